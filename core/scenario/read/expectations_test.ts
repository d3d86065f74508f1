import { assertEquals } from "@std/assert";
import type { BytesMatcher, EndMatcher, EventPattern, Located, ValueMatcher } from "../case.ts";
import { expectations, planned, problems } from "../testdata/load.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (value: string) => new TextEncoder().encode(value);
const literal = (value: bigint | string | boolean): ValueMatcher => ({ is: "literal", value });
const values = <T>(located: Readonly<Record<string, Located<T>>> | undefined) =>
  Object.fromEntries(Object.entries(located ?? {}).map(([key, { value }]) => [key, value]));

Deno.test("values are literals, ranges, alternatives, negations, bindings or `any`", () => {
  const cases: readonly [yaml: string, matcher: ValueMatcher][] = [
    ["5", literal(5n)],
    ["0xffffffffffffffff", literal(0xffffffffffffffffn)],
    ["-1", literal(0xffffffffffffffffn)],
    ["{ at-least: 5 }", { is: "range", atLeast: 5n }],
    ["{ at-most: 9 }", { is: "range", atMost: 9n }],
    ["{ at-least: 5, at-most: 9 }", { is: "range", atLeast: 5n, atMost: 9n }],
    ["{ between: [5, 9] }", { is: "range", atLeast: 5n, atMost: 9n }],
    ["{ one-of: [1, -1] }", { is: "one-of", values: [literal(1n), literal(0xffffffffffffffffn)] }],
    ["{ not: 3 }", { is: "not", matcher: literal(3n) }],
    ["any", { is: "any" }],
    ["$flags", { is: "bound", name: "flags" }],
  ];
  for (const [yaml, matcher] of cases) {
    const { registers } = expectations(`expect: { registers: { rax: ${yaml} } }`);
    assertEquals(registers["rax"]?.value, matcher, yaml);
  }
});

Deno.test("the console is matched by all of its text, or by conditions", () => {
  const cases: readonly [yaml: string, matcher: BytesMatcher][] = [
    ["hi", { is: "equal", bytes: text("hi") }],
    ['"h\\xff\\0"', { is: "equal", bytes: bytes(0x68, 0xff, 0) }],
    ['"é"', { is: "equal", bytes: bytes(0xc3, 0xa9) }],
    ['""', { is: "equal", bytes: bytes() }],
    ["any", { is: "any" }],
    ['"any"', { is: "equal", bytes: text("any") }],
    ["{ is: hi }", { is: "equal", bytes: text("hi") }],
    ["{ starts-with: a }", { is: "starts-with", bytes: text("a") }],
    ["{ contains: a }", { is: "contains", bytes: text("a") }],
    ["{ matches: '^a+$' }", { is: "matches", pattern: "^a+$" }],
    ["{ bytes: '0f 0B' }", { is: "equal", bytes: bytes(0x0f, 0x0b) }],
    ["{ length: 3 }", { is: "length", length: literal(3n) }],
    ["{ not: a }", { is: "not", matcher: { is: "equal", bytes: text("a") } }],
    ["{ not: { contains: a } }", { is: "not", matcher: { is: "contains", bytes: text("a") } }],
    ["{ length: 1, contains: a }", {
      is: "all-of",
      matchers: [{ is: "length", length: literal(1n) }, { is: "contains", bytes: text("a") }],
    }],
  ];
  for (const [yaml, matcher] of cases) {
    assertEquals(expectations(`expect: { console: ${yaml} }`).console?.value, matcher, yaml);
  }
});

Deno.test("memory is matched by an integer, or by its first bytes", () => {
  const cases: readonly [yaml: string, matcher: BytesMatcher][] = [
    ["100", { is: "integer", value: literal(100n) }],
    ["-1", { is: "integer", value: literal(0xffffffffn) }],
    ["{ at-least: 5 }", { is: "integer", value: { is: "range", atLeast: 5n } }],
    ["{ one-of: [1, 2] }", {
      is: "integer",
      value: { is: "one-of", values: [literal(1n), literal(2n)] },
    }],
    ["{ not: 5 }", { is: "not", matcher: { is: "integer", value: literal(5n) } }],
    ["Xen", { is: "starts-with", bytes: text("Xen") }],
    ["{ is: Xen }", { is: "starts-with", bytes: text("Xen") }],
    ["{ not: Xen }", { is: "not", matcher: { is: "starts-with", bytes: text("Xen") } }],
    ["{ bytes: '00' }", { is: "starts-with", bytes: bytes(0) }],
    ["any", { is: "any" }],
  ];
  for (const [yaml, matcher] of cases) {
    const [group] = planned(
      `why: x\nguest: { program: "hlt", observe: { memory: { m: 4 } } }\nexpect: { memory: { m: ${yaml} } }`,
    );
    assertEquals(group?.cases[0]?.expect.memory["m"]?.value, matcher, yaml);
  }
});

Deno.test("memory must be observed as far as it is looked at", () => {
  const head =
    'why: x\nguest: { program: "hlt", observe: { memory: { m: 4 } } }\nexpect: { memory: { ';
  const cases: readonly [yaml: string, ...problems: string[]][] = [
    ["m: 12345678", ...[]],
    ["m: { contains: ab }"],
    ["m: { length: 4 }"],
    [
      "m: '12345'",
      '3:24 5 bytes are expected at "m", but only 4 observed | Write `m: 5` under `observe`',
    ],
    [
      "o: { contains: ab }",
      '3:24 How many bytes to look at from "o" on is not stated | Add `observe: { memory: { o: 64 } }` to the guest',
    ],
    [
      "o: -1",
      "3:24 How many bytes the negative integer has is not stated | Add the label and its size to `observe`, or write the unsigned integer",
    ],
    [
      "o: { at-least: 1, is: x }",
      "3:39 An integer is matched here, and bytes too | Keep one of them",
    ],
    [
      "o: { at-least: 2, at-most: 1 }",
      "3:24 No value is at least 2 and at most 1 | Write the smaller number first",
    ],
    [
      "o: { at-least: 2, one-of: [3] }",
      "3:24 A value is matched in one way only: by a range, by `one-of` or by `not` | Keep one of them",
    ],
    ["m: { matches: '(' }", "3:35 A group is not closed | Write ), or \\( for the character"],
  ];
  for (const [yaml, ...expected] of cases) {
    assertEquals(problems(`${head}${yaml} } }`), expected, yaml);
  }
});

Deno.test("a run ends as `end` says", () => {
  const cases: readonly [yaml: string, matcher: EndMatcher][] = [
    ["any", { kind: "any" }],
    ["halt", { kind: "halt" }],
    ["triple-fault", { kind: "triple-fault" }],
    ["{ shutdown: 0 }", { kind: "shutdown", code: literal(0n) }],
    ["{ shutdown: any }", { kind: "shutdown", code: { is: "any" } }],
    ["{ shutdown: { at-least: 1 } }", { kind: "shutdown", code: { is: "range", atLeast: 1n } }],
    ["{ unported: { instruction: cli } }", { kind: "unported", instruction: literal("cli") }],
    ["{ unported: any }", { kind: "unported", instruction: { is: "any" } }],
    ["{ limit: instructions }", { kind: "limit", limit: literal("instructions") }],
    ["{ limit: { one-of: [exits, time] } }", {
      kind: "limit",
      limit: { is: "one-of", values: [literal("exits"), literal("time")] },
    }],
    ["{ crash: no handler }", { kind: "crash", reason: literal("no handler") }],
    ["{ crash: any }", { kind: "crash", reason: { is: "any" } }],
  ];
  for (const [yaml, matcher] of cases) {
    assertEquals(expectations(`expect: { end: ${yaml} }`).end?.value, matcher, yaml);
  }
});

Deno.test("events are matched by kind and by fields, under their names in the trace", () => {
  const { exits, accesses, injections } = expectations(`expect:
  exits:
    exactly: [ hlt, { io: { port: 0x3f8, direction: out, string: false, via: vm-exit, times: 2 } } ]
    in-order: [ { exception: { vector: 14, error-code: $code, address: any } } ]
    any-order: [ { exception: { errorCode: 0 } } ]
    never: [ { cr-access: { access: { one-of: [clts, lmsw] } } } ]
    counts: { io: 3, hypercall: { at-most: 3 }, total: 0 }
  accesses: { exactly: [ { io: { port: 1 } }, { mmio: { gpa: 2 } }, { io: { address: 3 } } ] }
  injections: { never: [ nmi, { event: { port: 1 } } ] }`);
  const short = (patterns: Located<readonly EventPattern[]> | undefined) =>
    patterns?.value.map(({ kind, fields, times }) => ({
      kind,
      fields,
      ...(times ? { times } : {}),
    }));
  assertEquals(short(exits?.exactly), [
    { kind: "hlt", fields: {} },
    {
      kind: "io",
      fields: {
        port: literal(0x3f8n),
        direction: literal("out"),
        string: literal(false),
        via: literal("vm-exit"),
      },
      times: literal(2n),
    },
  ]);
  assertEquals(short(exits?.inOrder)?.[0]?.fields, {
    vector: literal(14n),
    errorCode: { is: "bound", name: "code" },
    address: { is: "any" },
  });
  assertEquals(short(exits?.anyOrder)?.[0]?.fields, { errorCode: literal(0n) });
  assertEquals(short(exits?.never)?.[0]?.fields, {
    access: { is: "one-of", values: [literal("clts"), literal("lmsw")] },
  });
  assertEquals(values(exits?.counts), {
    io: literal(3n),
    hypercall: { is: "range", atMost: 3n },
    total: literal(0n),
  });
  assertEquals(short(accesses?.exactly)?.map(({ fields }) => fields), [
    { address: literal(1n) },
    { address: literal(2n) },
    { address: literal(3n) },
  ]);
  assertEquals(short(injections?.never), [
    { kind: "nmi", fields: {} },
    { kind: "event", fields: { port: literal(1n) } },
  ]);
});

Deno.test("expectations keep their place", () => {
  const { console, exits } = expectations(
    'expect:\n  console: "x"\n  exits: { in-order: [ hlt ] }',
  );
  const at = (span: { file: { text: string }; start: number; end: number } | undefined) =>
    span?.file.text.slice(span.start, span.end);
  assertEquals(at(console?.span), '"x"');
  assertEquals(at(exits?.inOrder?.span), "[ hlt ]");
  assertEquals(at(exits?.inOrder?.value[0]?.span), "hlt");
});

const LAYERS = `expect:
  console: a
  end: { shutdown: 0 }
  registers: { rax: 1, rbx: 2 }
  memory: { m: 1, o: 2 }
  exits: { never: [invd], counts: { io: 1, hlt: 1 } }
per:
  full-hw: { registers: { rbx: 3 }, exits: { counts: { io: 5 } } }
  full-hw/shadow: { memory: { o: any }, exits: { in-order: [ trace ], counts: { trace: 7 } } }
  para: { console: b }`;

Deno.test("`per` is laid over `expect` key by key, and shadow over full-hw but for its exits", () => {
  const native = expectations(LAYERS, "native");
  const hardware = expectations(LAYERS, "full-hw");
  const shadow = expectations(LAYERS, "full-hw/shadow");
  const para = expectations(LAYERS, "para");
  assertEquals(values(native.registers), { rax: literal(1n), rbx: literal(2n) });
  assertEquals(values(hardware.registers), { rax: literal(1n), rbx: literal(3n) });
  assertEquals(values(shadow.registers), { rax: literal(1n), rbx: literal(3n) });
  assertEquals(values(hardware.exits?.counts), { io: literal(5n), hlt: literal(1n) });
  assertEquals(values(shadow.exits?.counts), {
    io: literal(1n),
    hlt: literal(1n),
    trace: literal(7n),
  });
  assertEquals(shadow.exits?.inOrder?.value.length, 1);
  assertEquals(shadow.exits?.never?.value.length, 1);
  assertEquals(shadow.memory["o"]?.value, { is: "any" });
  assertEquals(para.console?.value, { is: "equal", bytes: text("b") });
  assertEquals(para.end?.value, native.end?.value);
});

Deno.test("a guest known not to be ported is expected to be found out on para alone", () => {
  const guest = (rest: string) =>
    `why: x\nguest: { program: "cli", expected-unported: [${rest}] }\nexpect: { end: halt }\n`;
  const end = (yaml: string, backend: string) =>
    planned(yaml)[0]?.cases.find((c) => c.backend === backend)?.expect.end?.value;
  assertEquals(end(guest("cli"), "para"), { kind: "unported", instruction: literal("cli") });
  assertEquals(end(guest("cli, hlt"), "para"), {
    kind: "unported",
    instruction: { is: "one-of", values: [literal("cli"), literal("hlt")] },
  });
  assertEquals(end(guest("cli"), "full-bt"), { kind: "halt" });
  assertEquals(end(guest(""), "para"), { kind: "halt" });
  assertEquals(end(guest("cli") + "per: { para: { end: any } }", "para"), { kind: "any" });
});

Deno.test("`host-time` is laid over all else for those who go by the host's clock", () => {
  const [group] = planned(
    `why: x
guest: { program: "hlt" }
${LAYERS}
host-time:
  expect: { registers: { rax: any }, exits: { counts: { hlt: any } } }
  per: { full-hw: { registers: { rbx: 4 } } }`,
    { engines: ["embedded", "kvm", "qemu"] },
  );
  const of = (id: string) => group?.cases.find((c) => c.id === `test@${id}`)?.expect;
  for (const id of ["full-hw+embedded", "full-bt+qemu"]) {
    assertEquals(of(id)?.registers["rax"]?.value, literal(1n), id);
  }
  const hardware = of("full-hw+kvm");
  assertEquals(values(hardware?.registers), { rax: { is: "any" }, rbx: literal(4n) });
  assertEquals(values(hardware?.exits?.counts), { io: literal(5n), hlt: { is: "any" } });
  assertEquals(hardware?.exits?.never?.value.length, 1);
  assertEquals(values(of("para+kvm")?.registers), { rax: { is: "any" }, rbx: literal(2n) });
});
