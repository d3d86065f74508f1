import { assertEquals } from "@std/assert";
import type { GuestSpec } from "../case.ts";
import { DEFAULT_LIMITS, FILE_LIMITS } from "../case.ts";
import { planned, problems } from "../testdata/load.ts";

function guest(yaml: string): GuestSpec | undefined {
  return planned(`why: x\nguest: { program: "hlt", ${yaml} }`)[0]?.guest;
}

Deno.test("a guest has what it says, and defaults", () => {
  assertEquals({ ...guest(""), program: undefined }, {
    program: undefined,
    entry: "long64",
    memory: 2 << 20,
    registers: {},
    disks: [],
    expectedUnported: [],
    observe: { registers: [], memory: {} },
  });
  assertEquals(guest("memory: 64 MiB")?.memory, 64 << 20);
  assertEquals(guest("memory: 2052KiB")?.memory, 2052 << 10);
  assertEquals(guest("memory: 0x300000")?.memory, 3 << 20);
  assertEquals(guest("entry: real16, memory: 64 KiB")?.memory, 64 << 10);
  assertEquals(guest("registers: { rax: 2, rbx: -2 }")?.registers, {
    rax: 2n,
    rbx: 2n ** 64n - 2n,
  });
  const { spans, ...observe } =
    guest("observe: { registers: [rbx], memory: { a: 4, .b: 1 KiB } }")?.observe ?? {};
  assertEquals(observe, { registers: ["rbx"], memory: { "a": 4, ".b": 1024 } });
  const written = Object.values(spans ?? {}).map(({ file, start, end }) =>
    file.text.slice(start, end)
  );
  assertEquals(written, ["a", ".b"]);
});

Deno.test("disks are made of a pattern, of text or of bytes", () => {
  const disks =
    'disks: [ { pattern: "s{n}", sectors: 3 }, { text: "é" }, { bytes: "0f 0b", sectors: 2, read-only: true } ]';
  assertEquals(guest(disks)?.disks, [
    { pattern: "s{n}", sectors: 3, readOnly: false },
    { bytes: Uint8Array.of(0xc3, 0xa9), sectors: 1, readOnly: false },
    { bytes: Uint8Array.of(0x0f, 0x0b), sectors: 2, readOnly: true },
  ]);
});

Deno.test("the lines of a program know their place", () => {
  const text =
    "why: x\nguest:\n  program: |\n    start:\n        mov eax, {length}\n\n        hlt\nparameters: { length: [5] }\n";
  const program = planned(text)[0]?.guest.program;
  assertEquals(program?.text, "start:\n    mov eax, 5\n\n    hlt\n");
  assertEquals(program?.lines.map(({ file, start, end }) => file.text.slice(start, end)), [
    "start:",
    "    mov eax, {length}",
    "",
    "    hlt",
    "",
  ]);
});

Deno.test("a guest that can't be gets a diagnostic", () => {
  const cases: readonly [guest: string, ...problems: string[]][] = [
    [
      "{}",
      "2:8 A guest has either a `program` or a `file` | Add `program: |` and the guest's instructions below it",
    ],
    [
      "{ program: 'hlt', file: x.bin }",
      "2:19 A guest has either a `program` or a `file` | Remove one of them",
    ],
    [
      "{ program: hlt }",
      "2:19 Without `|`, YAML joins the lines of the program into one, and ends it at a ` #` | Write `program: |`, and the program on the lines below, indented",
    ],
    [
      "\n  program: >\n    hlt\n    hlt\n",
      "3:12 `>` joins the lines of the program into one | Write `program: |`, and the program on the lines below, indented",
    ],
    [
      "{ program: 'hlt', memory: 1 MiB }",
      "2:34 A long64 guest has from 2048 KiB to 1024 MiB of memory | Write 2 MiB",
    ],
    [
      "{ program: 'hlt', entry: real16, memory: 4096 }",
      "2:49 A real16 guest has from 64 KiB to 1024 MiB of memory | Write 64 KiB",
    ],
    [
      "{ program: 'hlt', memory: 2 GiB }",
      "2:34 A long64 guest has from 2048 KiB to 1024 MiB of memory",
    ],
    [
      "{ program: 'hlt', memory: 2097153 }",
      "2:34 Memory comes in pages of 4096 bytes | Write 2052 KiB",
    ],
    [
      "{ program: 'hlt', disks: [ {} ] }",
      '2:35 A disk has one of `pattern`, `text` and `bytes` | Write pattern: "sector {n}\\n" for one with recognizable sectors',
    ],
    [
      "{ program: 'hlt', disks: [ { text: a, bytes: '00' } ] }",
      "2:35 A disk has one of `pattern`, `text` and `bytes` | Remove the others",
    ],
    [
      "{ program: 'hlt', disks: [ { pattern: a } ] }",
      "2:35 A disk made of a pattern needs `sectors` | Add `sectors: 64`",
    ],
    [
      "{ program: 'hlt', disks: [ { text: a, sectors: 0 } ] }",
      "2:55 This disk can have from 1 to 131072 sectors of 512 bytes",
    ],
    [
      "{ program: 'hlt', observe: { memory: { a: 2 MiB } } }",
      "2:50 From 1 byte to 1 MiB can be observed at a label",
    ],
    [
      "{ program: 'hlt', format: elf, load: 5 }",
      "2:34 `format` goes with `file` | Remove it",
      "2:45 `load` goes with `file` | Remove it",
    ],
    [
      "{ file: k, format: rom, entry: real16, modules: [a] }",
      "2:39 `entry` is for flat files, not for rom | Remove it",
      "2:56 `modules` is for multiboot and pvh files, not for rom | Remove it",
    ],
    ["{ file: k, format: elff }", '2:27 Unknown format "elff" | Did you mean "elf"?'],
    ["{ file: k, load: -1 }", "2:25 An address is not negative"],
    ["{ program: 'hlt' }\nlimits: { exits: 0 }", '3:18 The limit "exits" must be positive'],
  ];
  for (const [guest, ...expected] of cases) {
    assertEquals(problems(`why: x\nguest: ${guest}`), expected, guest);
  }
});

Deno.test("a guest from a file has what goes with a file", () => {
  const of = (yaml: string) => planned(`why: x\nguest: { file: k.elf, ${yaml} }`)[0]?.guest;
  assertEquals(of("")?.memory, 64 << 20);
  assertEquals(of("memory: 4 MiB")?.memory, 4 << 20);
  assertEquals(of("memory: 1 MiB, format: rom")?.memory, 1 << 20);
  const handed = of('format: multiboot, command-line: "a b", modules: [x, y]');
  assertEquals([handed?.format, handed?.commandLine], ["multiboot", "a b"]);
  assertEquals(handed?.modules?.map(({ value }) => value), ["x", "y"]);
  const flat = of("format: flat, entry: real16, load: 0x600");
  assertEquals([flat?.entry, flat?.load?.value], ["real16", 0x600]);
});

Deno.test("para skips guests from files", () => {
  const [group] = planned("why: x\nguest: { file: k.elf }");
  const para = group?.cases.find(({ backend }) => backend === "para");
  assertEquals(para?.skip, "para runs programs ported to it, not files");
});

Deno.test("limits are those stated, and else the default ones", () => {
  const limits = (yaml: string) => planned(`why: x\nguest: { program: "hlt" }\n${yaml}`)[0]?.limits;
  assertEquals(limits(""), DEFAULT_LIMITS);
  const [file] = planned("why: x\nguest: { file: k.elf }\nlimits: { exits: 6 }");
  assertEquals(file?.limits, { ...FILE_LIMITS, exits: 6 });
  assertEquals(limits("limits: { instructions: 5, exits: 6, time: 7 us, wall: 8 s }"), {
    instructions: 5,
    exits: 6,
    time: 7000,
    wallMs: 8000,
  });
});

Deno.test("a seed has 32 bits, and there need not be one", () => {
  assertEquals(guest("seed: 0")?.seed, 0);
  assertEquals(guest("seed: 0xffffffff")?.seed, 0xffff_ffff);
  assertEquals(guest("memory: 2 MiB")?.seed, undefined);
  for (const seed of ["0x100000000", "-1"]) {
    const found = problems(`why: x\nguest: { program: "hlt", seed: ${seed} }`);
    assertEquals(found.length, 1);
    assertEquals(found[0]?.includes("A seed has 32 bits"), true);
  }
});
