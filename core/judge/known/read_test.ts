import { assertEquals } from "@std/assert";
import { renderDiagnostic } from "../../base/diagnostic.ts";
import committed from "../../../fixtures/known/schema.json" with { type: "json" };
import { parseLedger } from "./read.ts";
import { ledgerJsonSchema } from "./schema.ts";

const GOOD = {
  subject: "full-bt@qemu",
  cases: "[a/b, 'smp/*']",
  about: "console",
  reason: "It does so.",
  manual: "SDM vol. 3, 4.10",
  link: "https://example.org/1",
  until: "2027-06-30",
};

function entry(changes: Readonly<Record<string, string | undefined>> = {}): string {
  const keys = Object.entries({ ...GOOD, ...changes });
  const lines = keys.flatMap(([key, value]) => value === undefined ? [] : [`${key}: ${value}`]);
  return `deviations:\n  - ${lines.join("\n    ")}\n`;
}

Deno.test("fixtures/known/schema.json is what `deno task schema` writes", () => {
  assertEquals(JSON.stringify(committed, null, 2) + "\n", ledgerJsonSchema());
});

Deno.test("parseLedger() reads one or several of what may be several", () => {
  const text = entry({ version: '"<8"', host: "[pvm, svm]" });
  const { deviations, diagnostics } = parseLedger({ name: "known.yaml", text });
  assertEquals(diagnostics, []);
  assertEquals(
    deviations,
    [{
      ...GOOD,
      subjects: [GOOD.subject],
      version: "<8",
      hosts: ["pvm", "svm"],
      cases: ["a/b", "smp/*"],
      about: ["console"],
      at: "known.yaml:2:5",
    }].map(({ subject: _, ...rest }) => rest),
  );
});

const WRONG: readonly [changes: Readonly<Record<string, string | undefined>>, message: string][] = [
  [{ reason: undefined }, '2:5: error: The key "reason" is missing'],
  [{ until: undefined }, '2:5: error: The key "until" is missing'],
  [{ until: "2027-13-01" }, '8:12: error: Expected a day such as 2027-06-30, found "2027-13-01"'],
  [{ until: "2027-02-30" }, "8:12: error: There is no day 2027-02-30"],
  [{ subject: "full-bt@qemo" }, '2:14: error: No subject is "full-bt@qemo"'],
  [{ subject: "qemu" }, '2:14: error: Expected a subject such as full-bt@qemu, found "qemu"'],
  [{ about: "consoles" }, "4:12: error: Expected what comes out otherwise"],
  [{ about: "exits.counts" }, "4:12: error: Expected what comes out otherwise"],
  [{ version: '"below 8"' }, "9:14: error: Expected versions such as `<8`"],
  [{ versions: '"<8"' }, '9:5: error: Unknown key "versions" in `deviations`'],
  [{ link: "here" }, '7:11: error: Expected an address, found "here"'],
];

for (const [changes, message] of WRONG) {
  Deno.test(`parseLedger() says where and what is wrong: ${message}`, () => {
    const file = { name: "known.yaml", text: entry(changes) };
    const { deviations, diagnostics } = parseLedger(file);
    assertEquals(deviations, undefined);
    const [first] = diagnostics.map((d) => renderDiagnostic(d).split("\n")[0] ?? "");
    assertEquals(first?.slice(0, "known.yaml:".length + message.length), `known.yaml:${message}`);
  });
}

Deno.test("parseLedger() finds fault with what is no ledger, and throws nothing", () => {
  for (const text of ["", "[]", "deviations: 5", "deviations:\n  - 5", "{", "deviations: [{}]"]) {
    const { deviations, diagnostics } = parseLedger({ name: "known.yaml", text });
    assertEquals([deviations, diagnostics.length > 0], [undefined, true], text);
  }
});
