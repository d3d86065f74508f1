import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Findings } from "./findings.ts";
import { scenarioSchema } from "./schema.ts";
import { checkStructure } from "./structure.ts";
import { GOOD, load, problems } from "./testdata/load.ts";
import type { Node } from "./yaml/node.ts";
import { parseYaml } from "./yaml/parse.ts";

const HEAD = 'why: x\nguest: { program: "hlt" }\n';

Deno.test("`checkStructure()` says what is wrong, where, and what to write", () => {
  // deno-fmt-ignore
  const cases: readonly [text: string, ...problems: string[]][] = [
    ["", "1:1 A scenario is a map with the keys `why` and `guest`, not nothing | `trivisor new NAME` writes one to start from"],
    ["guest: { program: hi }", '1:1 The key "why" is missing | Add `why: ...` here', "1:19 Without `|`, YAML joins the lines of the program into one, and ends it at a ` #` | Write `program: |`, and the program on the lines below, indented"],
    [HEAD + "expct: {}", '3:1 Unknown key "expct" | Did you mean "expect"?'],
    [HEAD + "console: x", '3:1 Unknown key "console" | `console` belongs under `expect`'],
    [HEAD + "tags: smoke", '3:7 Expected a list, found "smoke" | Write [smoke] for a list of one'],
    [
      HEAD + "compare: { metric: exits, order: [para, native] }",
      "3:10 Expected a list, found a map | Write [ ] around it for a list of one",
    ],
    [
      HEAD + "limits: { instructions: 1e6 }",
      "3:25 Expected an integer, found the number 1000000 | Write 1000000",
    ],
    [
      HEAD + "per: { full-wh: {} }",
      '3:8 Unknown back end "full-wh" | Did you mean "full-hw"?',
    ],
    [HEAD + "tags: [5]", '3:8 Expected some words, found the number 5 | Quote it: "5"'],
    [HEAD + "tags: [yes, 2026-01-01]"],
    [HEAD + "expect: { end: off }", '3:16 Unknown end "off" | Write any, halt or triple-fault'],
    [HEAD + "expect: { end: shutdown }", '3:16 Unknown end "shutdown" | Write { shutdown: ... }'],
    [HEAD + "expect: { end: { shutdown: 0, crash: any } }", "3:31 Expected one end, found 2 | Give each end a map of its own"],
    [HEAD + "expect: { console: 4 }", '3:20 Expected a text, or a map such as `{ contains: ... }`, found the number 4 | Quote it: "4"'],
    [HEAD + "expect: { console: }", '3:20 "console" has no value | Write a text, or a map such as `{ contains: ... }`'],
    [HEAD + "expect: { registers: { eax: 1 } }", '3:24 Unknown register "eax" | Did you mean "rax"?'],
    [HEAD + "expect: { registers: { rax: 10h } }", "3:29 Expected an integer, a range such as `{ at-least: 5 }`, `any` or `$name`, found \"10h\" | Hexadecimal is written 0x10"],
    [HEAD + "expect: { memory: { a b: 1 } }", '3:21 Expected a label of the program, found "a b"'],
    [HEAD + "expect: { exits: { in-order: [ioo] } }", '3:31 Unknown exit kind "ioo" | Did you mean "io"?'],
    // Nothing of that name is near: no name is better than a wrong one.
    [HEAD + "expect: { exits: { in-order: [out] } }", '3:31 Unknown exit kind "out"'],
    [HEAD + "expect: { exits: { in-order: [ { oi: {} } ] } }", '3:34 Unknown exit kind "oi" | Did you mean "io"?'],
    [HEAD + "expect: { exits: { in-order: [ { io: { prt: 5 } } ] } }", '3:40 Unknown field of io "prt" | Did you mean "port"?'],
    [HEAD + "expect: { exits: { in-order: [ { io: { direction: outt } } ] } }", '3:51 Unknown direction "outt" | Did you mean "out"?'],
    [HEAD + "expect: { exits: { in-order: [ io: ] } }", '3:36 "io" has no value | Write a map of fields, or io without the colon'],
    [HEAD + "expect: { exits: { counts: { totl: 1 } } }", '3:30 Unknown exit kind "totl" | Did you mean "total"?'],
    [HEAD + "expect: { accesses: { never: [hlt] } }", '3:31 Unknown access kind "hlt" | Write io, mmio, queue-notify or device-needs-reset'],
    [HEAD + "expect: { exits: { in-order: [ { exception: { errorCode: 4, error-code: 4 } } ] } }", '3:61 "error-code" is a second name for "errorCode" | Keep one of them'],
    [HEAD + "per: { full: {} }", '3:8 Unknown back end "full" | Did you mean "full-bt", "full-hw" or "full-hw/shadow"?'],
    [HEAD + "requires: { engine: [kmv] }", '3:22 Unknown engine "kmv" | Did you mean "kvm"?'],
    [HEAD + "limits: { time: 5 }", "3:17 Expected a time such as `5 ms`, found the number 5"],
    [HEAD + "expect: { registers: { rax: { between: [1] } } }", "3:40 Expected two integers, found 1"],
    [HEAD + "expect: { registers: { rax: {} } }", "3:29 Expected at least one key, found none | Write at-least, at-most, between, one-of or not"],
    ["why: ''\nguest: { program: 'hlt' }", "1:6 Expected some words, found \"\""],
    ["why: x\nguest: { program: 'hlt', memory: 2MB }", '2:34 Expected a size such as `2 MiB`, found "2MB" | Write 2 MiB'],
    ["why: x\nguest: { program: 'hlt', disks: [ { text: x, read-only: yes } ] }", '2:57 Expected true or false, found "yes" | YAML 1.2 reads yes as text: write true'],
    ["why: x\nguest: { program: 'hlt', registers: { rax: 0b11 } }", '2:44 Expected an integer, found "0b11" | YAML has no binary numbers: write 0x3'],
    ["why: x\nguest:\n  program: |\n        hlt\n  start:\n", '5:3 Unknown key "start" in `guest` | If start: is a line of the program, indent it at least as far as the program\'s first line'],
    ["why: x\nguest:\n  program: |\n        hlt\nstart:\n", '5:1 Unknown key "start" | If start: is a line of the program, indent it at least as far as the program\'s first line'],
  ];
  for (const [text, ...expected] of cases) assertEquals(problems(text), expected, text);
});

/** A scenario with one of its values, keys or items replaced by something else. */
function mutate(node: Node, choose: (count: number) => number): Node {
  const { span } = node;
  const replacements: Node[] = [
    { kind: "scalar", value: 7n, style: "plain", span },
    { kind: "scalar", value: "any", style: "plain", span },
    { kind: "scalar", value: "io", style: "plain", span },
    { kind: "scalar", value: true, style: "plain", span },
    { kind: "scalar", value: null, style: "plain", span },
    { kind: "scalar", value: 0.5, style: "plain", span },
    { kind: "list", items: [], span },
    { kind: "map", entries: [], span },
  ];
  const children = node.kind === "list"
    ? node.items.length
    : node.kind === "map"
    ? node.entries.length
    : 0;
  if (children === 0 || choose(6) === 0) return replacements[choose(replacements.length)] ?? node;
  const at = choose(children);
  if (node.kind === "list") {
    return {
      ...node,
      items: node.items.map((item, index) => index === at ? mutate(item, choose) : item),
    };
  }
  if (node.kind === "map") {
    const what = choose(6);
    return {
      ...node,
      entries: node.entries.flatMap((entry, index) => {
        if (index !== at) return [entry];
        if (what === 0) return [];
        if (what === 1) return [{ ...entry, key: "other" }];
        return [{ ...entry, value: mutate(entry.value, choose) }];
      }),
    };
  }
  return node;
}

function plain(node: Node): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plain);
    case "map":
      return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]));
  }
}

Deno.test("`checkStructure()` accepts what zod accepts, of mutated scenarios", () => {
  const trees = GOOD.flatMap((name) => parseYaml(load(name), new Findings()) ?? []);
  const verdicts = { accepted: 0, refused: 0 };
  fc.assert(
    fc.property(
      fc.nat(trees.length - 1),
      fc.array(fc.nat(999), { minLength: 40, maxLength: 40 }),
      (index, numbers) => {
        const [tree] = trees.slice(index);
        if (!tree) return;
        let used = 0;
        const mutant = mutate(tree, (count) => (numbers[used++ % numbers.length] ?? 0) % count);
        const findings = new Findings();
        checkStructure(mutant, findings);
        const accepted = scenarioSchema.safeParse(plain(mutant)).success;
        verdicts[accepted ? "accepted" : "refused"]++;
        assertEquals(
          findings.count === 0,
          accepted,
          JSON.stringify(
            [plain(mutant), findings.list().map((f) => f.message)],
            (_, value) => typeof value === "bigint" ? String(value) : value,
          ),
        );
      },
    ),
    { seed: 1, numRuns: 1500 },
  );
  // Both verdicts must come up for this to mean anything.
  assertEquals([verdicts.accepted > 100, verdicts.refused > 100], [true, true]);
});
