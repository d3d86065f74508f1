import { assertEquals } from "@std/assert";
import { overheadSummary, overheadTable } from "./overhead.ts";
import { makeFigures, makeGroupResult, makeResult } from "./testing.ts";

/** A group whose guest stops early on para. */
const STOPPED = makeGroupResult("a/b", [
  makeResult("a/b", "native", { figures: makeFigures(0, 0) }),
  makeResult("a/b", "full-hw", { figures: makeFigures(3, 3000, { io: 3000 }) }),
  makeResult("a/b", "para", {
    figures: {
      ...makeFigures(1, 500, { exception: 500 }),
      end: { kind: "unported", instruction: "cli", rip: 0n },
    },
  }),
]);

function row(lines: readonly string[], label: string): string[] {
  const line = lines.find((l) => l.trim().startsWith(label));
  return line?.trim().slice(label.length).trim().split(/\s{2,}/) ?? [];
}

Deno.test("overheadTable() has no ratio for a guest that ended otherwise than on native", () => {
  const lines = overheadTable([STOPPED]);
  assertEquals(row(lines, "modelled cycles"), ["1 000", "4 000", "1 500"]);
  assertEquals(row(lines, "over native"), ["–", "4.0x", "n/a"]);
});

Deno.test("overheadSummary() leaves guests out that ended otherwise than on native", () => {
  assertEquals(row(overheadSummary([STOPPED]), "a (1)"), ["–", "4.0x"]);
});

Deno.test("overheadTable() is made of parts that come to the total: guest and every kind", () => {
  const kinds = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`kind-${n}`, 10 + n]));
  const sum = Object.values(kinds).reduce((a, b) => a + b, 0);
  const lines = overheadTable([
    makeGroupResult("a/b", [
      makeResult("a/b", "full-hw", { figures: makeFigures(12, sum, kinds) }),
    ]),
  ]);
  const parts = lines.slice(4).map((l) => Number(l.trim().split(/\s{2,}/).at(-1)));
  assertEquals(parts.length, 9);
  assertEquals(parts.reduce((a, b) => a + b, 0), sum);
  assertEquals(row(lines, "modelled cycles"), ["1 186"]);
});

Deno.test("overheadTable() says when the profile makes devices free to native, and only then", () => {
  const noteOf = (native: Record<string, number>, profile: string) => {
    const made = makeFigures(0, 0);
    const figures = { ...made, native, cycles: { ...made.cycles, profile } };
    const lines = overheadTable([
      makeGroupResult("a/b", [makeResult("a/b", "native", { figures })]),
    ]);
    return lines.some((line) => line.includes("no figure for devices of bare hardware"));
  };
  assertEquals(noteOf({ "port-io": 1 }, "kvm-2017"), true);
  assertEquals(noteOf({ "mmio": 1 }, "kvm-2017"), true);
  assertEquals(noteOf({ "iret": 1 }, "kvm-2017"), false);
  assertEquals(noteOf({ "port-io": 1 }, "adams-agesen-2006"), false);
  assertEquals(noteOf({ "port-io": 1 }, "somebody's own"), false);
});

Deno.test("overheadTable() has a table an engine, and prices nothing of which not all is shown", () => {
  const group = makeGroupResult("a/b", [
    makeResult("a/b", "full-hw", { figures: makeFigures(3, 3000, { io: 3000 }) }),
    makeResult("a/b", "full-hw", {
      engine: "kvm",
      figures: {
        ...makeFigures(2, 3000, { io: 3000 }),
        unobserved: ["instructions"],
        exitKinds: ["io"],
        coarse: { io_exits: 0, halt_exits: 5 },
      },
    }),
  ]);
  const lines = overheadTable([group]);
  const at = lines.findIndex((l) => l.includes("OVERHEAD on kvm"));
  assertEquals(row(lines.slice(0, at), "modelled cycles"), ["4 000"]);
  assertEquals(lines.slice(at).map((l) => l.trim().replaceAll(/ +/g, " ")), [
    "OVERHEAD on kvm full-hw",
    "a/b",
    "exits shown 2",
    "io 2",
    "coarse, counted by the host's KVM",
    "halt_exits 5",
  ]);
});
