// No input throws, hangs or goes unexplained. Seeds are fixed; fast-check prints the one that failed.
import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { assemble, type AssembleResult, sourceOfFile } from "./assemble.ts";
import { Dice, formLines } from "./oracle/corpus.ts";
import { LINES_64 } from "./oracle/lines.ts";
import { ORACLE_PROGRAMS } from "./oracle/programs.ts";

const SEED = 90125;
/** Longest that one input of these sizes may take, in milliseconds: generous, for shared machines. */
const PATIENCE = 20_000;

const VOCABULARY: readonly string[] = (
  "mov add push jmp jz call lea times db dw dd dq resb equ align org bits section default rel abs rep lock o16 a32 pv " +
  "rax eax ax al cs st0 xmm1 cr0 byte word dword qword short near far strict ptr nosplit foo foo: .x .x: foo.x " +
  "start: %define %assign %macro %endmacro %rep %endrep %if %ifdef %else %endif %elif %include %1 %2 %0 %%x %+ %{1} %[ " +
  "%rotate %exitrep %strlen %xdefine %undef %? , , , [ ] ( ) + - * / % // << >> & | ^ ~ ! = == < > ? : $ $$ 0 1 5 -1 " +
  "0xffffffffffffffff 1000000 99999999999 'a' \"text\" `\\n` ' \" ` ; \\ { } 1.5 1e400 0x 12q 0b2 é \u0000"
).split(" ");

function run(text: string): AssembleResult {
  return assemble([sourceOfFile({ name: "fuzz.asm", text })], {
    bits: text.length % 3 === 0 ? 64 : text.length % 3 === 1 ? 32 : 16,
    origin: 0x7c00,
    include: (name) => name === "self" ? { name, text } : undefined,
    pv: (name) => name === "foo" ? "nop\npv foo" : undefined,
    pvNames: ["foo"],
  });
}

function check(text: string): void {
  const began = performance.now();
  const { assembled, diagnostics } = run(text);
  assert(performance.now() - began < PATIENCE, "took too long");
  const errors = diagnostics.filter((d) => d.severity === "error");
  assertEquals(assembled === undefined, errors.length > 0, "either bytes or an error");
  for (const { span, message } of diagnostics) {
    assert(message.length > 0);
    assert(span && span.start >= 0 && span.start <= span.end && span.end <= span.file.text.length);
  }
  if (!assembled) return;
  let at = 0;
  for (const { address, length } of assembled.lines) {
    assert(address >= at && length > 0, "lines are sorted and don't overlap");
    at = address;
    assert(address + length <= assembled.end);
  }
}

Deno.test("assemble() survives any text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), check), {
    seed: SEED,
    numRuns: 200,
  });
});

Deno.test("assemble() survives words in any order", () => {
  const word = fc.constantFrom(...VOCABULARY, "\n", "\n", "\n");
  const text = fc.array(word, { maxLength: 80 }).map((words) => words.join(" "));
  fc.assert(fc.property(text, check), { seed: SEED, numRuns: 1500 });
});

Deno.test("assemble() survives programs with characters lost, doubled and swapped", () => {
  const programs = [
    ...ORACLE_PROGRAMS.map((p) => p.text),
    LINES_64.slice(0, 150).join("\n"),
    formLines(64, 1, new Dice(SEED)).slice(0, 200).join("\n"),
  ];
  const edit = fc.record({
    at: fc.nat({ max: 5000 }),
    length: fc.nat({ max: 12 }),
    insert: fc.constantFrom("", "", ...VOCABULARY, "\n"),
  });
  const text = fc.tuple(
    fc.constantFrom(...programs),
    fc.array(edit, { minLength: 1, maxLength: 6 }),
  )
    .map(([program, edits]) =>
      edits.reduce((t, { at, length, insert }) => {
        const from = at % (t.length + 1);
        return t.slice(0, from) + insert + t.slice(from + length);
      }, program)
    );
  fc.assert(fc.property(text, check), { seed: SEED, numRuns: 250 });
});

/** Inputs made to run away, each with what must be said about it. */
const RUNAWAYS: readonly (readonly [string, RegExp])[] = [
  ["times 99999999999 db 0", /at most 16 MiB/],
  ["times 16000000 dq 0", /at most 16 MiB/],
  ["times 16000000 mov eax, $", /too large to assemble/],
  ["resb 99999999999", /at most 16 MiB/],
  ["resq 16000000", /at most 16 MiB/],
  ["%rep 99999999999\nnop\n%endrep", /at most 1000000 times/],
  ["%rep 1000000\n%rep 1000000\nnop\n%endrep\n%endrep", /more than 300000 lines/],
  ["%macro m 0\nm\n%endmacro\nm", /nested more than 100 deep/],
  ["%macro m 0\nm\nm\n%endmacro\nm", /nested more than 100 deep/],
  ['%include "self"', /nested more than 100 deep/],
  ["pv foo", /nested more than 100 deep/],
  [
    "%define a0 1, 1\n" +
    Array.from({ length: 40 }, (_, i) => `%define a${i + 1} a${i}, a${i}`).join("\n") + "\ndb a40",
    /too long a line/,
  ],
  [
    "%define f0(x) x x\n" +
    Array.from({ length: 40 }, (_, i) => `%define f${i + 1}(x) f${i}(f${i}(x))`).join("\n") +
    "\ndb f40(1)",
    /too long a/,
  ],
  ["a equ b + 1\nb equ a + 1\ndb a", /never settle/],
  ["a: times (b - a) ^ 1 nop\nb:", /never settle|negative/],
  [`db ${"(".repeat(5000)}1`, /nested too deep/],
  [`db ${"-".repeat(5000)}1`, /nested too deep/],
  [`db ${Array(5000).fill("1").join(" + ")}`, /more than 500 operators/],
  [`db ${"1 ? ".repeat(5000)}`, /nested too deep/],
  ["x".repeat(200_000), /longer than 100000 characters/],
  ["jmp " + "x".repeat(1000), /longer than 255 characters/],
  [Array.from({ length: 5000 }, (_, i) => `l${i}: jmp undefined_${i}`).join("\n"), /not defined/],
  ["%rep 300000\nfrobnicate eax\n%endrep", /Unknown instruction/],
  ["align 0x40000000", /power of two/],
  ["%if 1\n".repeat(2000), /no "%endif"/],
];

for (const [text, message] of RUNAWAYS) {
  const shown = text.length > 40 ? text.slice(0, 40) + "..." : text;
  Deno.test(`assemble() stops at ${JSON.stringify(shown)}`, () => {
    const began = performance.now();
    const { assembled, diagnostics } = run(text);
    assert(performance.now() - began < PATIENCE, "took too long");
    assertEquals(assembled, undefined);
    const messages = diagnostics.map((d) => d.message);
    assert(messages.some((m) => message.test(m)), messages.join("\n"));
    assert(diagnostics.length <= 60, `${diagnostics.length} diagnostics`);
  });
}
