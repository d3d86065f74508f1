import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { parseScenario } from "./parse.ts";
import { plan } from "./plan.ts";
import { GOOD, load, problems } from "./testdata/load.ts";

Deno.test("`parseScenario()` reads every scenario in testdata", () => {
  for (const name of GOOD) {
    const { scenario, diagnostics } = parseScenario(load(name), `x/${name}`);
    assertEquals(diagnostics.map((diagnostic) => renderDiagnostic(diagnostic)), []);
    assert(scenario && plan(scenario).length > 0);
  }
});

Deno.test("`parseScenario()` tells all mistakes at once", () => {
  assertEquals(problems(load("mistakes").text), [
    '2:1 Unknown key "wy" | Did you mean "why"?',
    '4:10 Unknown entry "long46" | Did you mean "long64"?',
    '8:10 Unknown end "shutdwn" | Did you mean "shutdown"?',
    '10:15 Unknown metric "exists" | Did you mean "exits"?',
    '10:37 Unknown back end "full" | Did you mean "full-bt", "full-hw" or "full-hw/shadow"?',
  ]);
});

Deno.test("`parseScenario()` hands on the program of a broken scenario, for the assembler to read", () => {
  const { scenario, program } = parseScenario(load("mistakes"), "mistakes");
  assertEquals(scenario, undefined);
  assertEquals(program?.text, "mov   rax, bl\n");
});

/** Calls the whole front of the pipeline; whatever it is given, it answers, and with places inside the text. */
function survives(text: string): void {
  const file = { name: "fuzz.yaml", text };
  const { scenario, diagnostics } = parseScenario(file, "fuzz");
  for (const diagnostic of diagnostics) {
    const { span, message } = diagnostic;
    assert(span && span.file === file && span.start >= 0 && span.start <= text.length, message);
    assert(/^["A-Z`>-]/.test(message) && !message.endsWith("."), message);
    renderDiagnostic(diagnostic);
  }
  if (scenario) plan(scenario);
  assertEquals(scenario === undefined, diagnostics.length > 0);
}

const FUZZ = { seed: 1, numRuns: 300 };
const TEXTS = GOOD.map((name) => load(name).text);

Deno.test("`parseScenario()` survives random text", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 200 }), survives), FUZZ);
  const yaml = fc.constantFrom(
    ..."-?:,[]{}#&*!|>'\"%@ \n\t".split(""),
    "a: ",
    "- ",
    "\n  ",
    "why",
    "guest",
    "program",
    "|\n",
    "0x",
    "{length}",
    "$x",
    "&a ",
    "*a",
    "---\n",
    "\r\n",
    "\\x80",
  );
  const soup = fc.array(yaml, { maxLength: 80 }).map((parts) => parts.join(""));
  fc.assert(fc.property(soup, survives), { ...FUZZ, numRuns: 1000 });
});

Deno.test("`parseScenario()` survives mutated scenarios", () => {
  const piece = fc.oneof(
    fc.string({ maxLength: 4 }),
    fc.constantFrom(
      "\n",
      "  ",
      "\t",
      "{",
      "}",
      "[",
      ": ",
      "-1",
      "0x",
      '"',
      "'",
      "{length *",
      "any",
      "null",
      "\u0000",
    ),
  );
  const edit = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(12), piece);
  const mutant = fc.tuple(
    fc.constantFrom(...TEXTS),
    fc.array(edit, { minLength: 1, maxLength: 4 }),
  );
  fc.assert(
    fc.property(mutant, ([text, edits]) => {
      const mutated = edits.reduce((text, [where, remove, insert]) => {
        const at = Math.floor(where * text.length);
        return text.slice(0, at) + insert + text.slice(at + remove);
      }, text);
      survives(mutated);
    }),
    { ...FUZZ, numRuns: 1000 },
  );
});

Deno.test("`parseScenario()` survives random structures", () => {
  const words = fc.constantFrom(
    "why",
    "guest",
    "program",
    "expect",
    "per",
    "compare",
    "exits",
    "io",
    "counts",
    "in-order",
    "memory",
    "console",
    "end",
    "parameters",
    "matrix",
    "include",
    "exclude",
    "metric",
    "order",
    "of",
    "times",
    "at-most",
    "disks",
    "pattern",
    "sectors",
    "observe",
    "registers",
    "rax",
    "limits",
    "time",
    "requires",
    "backend",
    "para",
    "__proto__",
    "constructor",
    "toString",
  );
  const value = fc.letrec((tie) => ({
    node: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.oneof(
        words,
        fc.integer(),
        fc.boolean(),
        fc.constant(null),
        fc.double(),
        fc.string({ maxLength: 8 }),
      ),
      fc.array(tie("node"), { maxLength: 3 }),
      fc.dictionary(words, tie("node"), { maxKeys: 6 }),
    ),
  })).node;
  const root = fc.dictionary(words, value, { maxKeys: 8 });
  // JSON is YAML.
  fc.assert(fc.property(root, (root) => survives(JSON.stringify(root))), {
    ...FUZZ,
    numRuns: 1000,
  });
});

Deno.test("`parseScenario()` takes bounded time over hostile text", () => {
  const hostile = [
    "[".repeat(50_000),
    "- ".repeat(50_000),
    "program: |\n  x\n".repeat(10_000),
    "program: |\n".repeat(20_000),
    "a: &a 1\n" + Array.from({ length: 15_000 }, (_, i) => `k${i}: *a`).join("\n"),
    `why: x\nguest: { program: '${"{".repeat(100_000)}' }`,
    `why: x\nguest: { program: '${"{a}".repeat(30_000)}' }`,
    `why: x\nguest: { program: "hlt" }\nexpect: { console: { bytes: "${" ".repeat(100_000)}x" } }`,
    `a: ${"9".repeat(200_000)}`,
  ];
  for (const text of hostile) {
    const start = performance.now();
    survives(text);
    assert(performance.now() - start < 20_000, text.slice(0, 40));
  }
});
