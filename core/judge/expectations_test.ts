import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Expectations } from "../scenario/case.ts";
import type { Exit } from "../trace/exit.ts";
import { checkExpectations } from "./expectations.ts";
import { Places } from "./place.ts";
import type { CheckStatus } from "./result.ts";
import {
  atLeast,
  cpuid,
  hlt,
  lineSpan,
  type Made,
  makeTrace,
  match,
  NOTHING,
  on,
  out,
  pattern,
} from "./testing.ts";

const IO: readonly Exit[] = [out(0x3f8, 1), out(0x3f8, 2), hlt()];

interface Row {
  readonly when: string;
  readonly expect: Partial<Expectations>;
  readonly made: Made;
  /** By `about`; `end` is met unless it is here. */
  readonly statuses: Readonly<Record<string, CheckStatus>>;
}

const equal = (text: string) => ({ is: "equal", bytes: new TextEncoder().encode(text) }) as const;

const ROWS: readonly Row[] = [
  { when: "nothing is expected", expect: {}, made: {}, statuses: {} },
  {
    when: "the console is right",
    expect: { console: on(3, equal("hi")) },
    made: { console: "hi" },
    statuses: { console: "met" },
  },
  {
    when: "the console is wrong",
    expect: { console: on(3, equal("hi")) },
    made: { console: "ho" },
    statuses: { console: "not met" },
  },
  {
    when: "the console can't be seen",
    expect: { console: on(3, equal("hi")) },
    made: { unobserved: ["console"] },
    statuses: { console: "unobserved" },
  },
  {
    when: "counts hold, by kind and in total",
    expect: {
      exits: { counts: { io: on(4, match(2)), total: on(5, match(3)), cpuid: on(6, match(0)) } },
    },
    made: { exits: IO },
    statuses: {
      "exits.counts.io": "met",
      "exits.counts.total": "met",
      "exits.counts.cpuid": "met",
    },
  },
  {
    when: "a count is wrong",
    expect: { exits: { counts: { io: on(4, atLeast(3)) } } },
    made: { exits: IO },
    statuses: { "exits.counts.io": "not met" },
  },
  {
    when: "accesses and injections are there",
    expect: {
      accesses: { exactly: on(4, [pattern("queue-notify", { device: "console" })]) },
      injections: {
        never: on(5, [pattern("nmi")]),
        inOrder: on(6, [pattern("exception", { vector: 14 })]),
      },
    },
    made: {
      events: [
        { at: 1, type: "access", access: { kind: "queue-notify", device: "console", queue: 1 } },
        { at: 2, type: "injection", injection: { kind: "exception", vector: 14 } },
      ],
    },
    statuses: {
      "accesses.exactly": "met",
      "injections.in-order": "met",
      "injections.never": "met",
    },
  },
  {
    when: "exits can't be seen",
    expect: { exits: { never: on(4, [pattern("io")]), counts: { io: on(5, match(0)) } } },
    made: { unobserved: ["exits"] },
    statuses: { "exits.never": "unobserved", "exits.counts.io": "unobserved" },
  },
  {
    when: "some kinds of exit can't be seen",
    expect: {
      exits: {
        exactly: on(4, [pattern("io"), pattern("io"), pattern("cpuid"), pattern("hlt")]),
        inOrder: on(5, [pattern("io"), pattern("hlt")]),
        anyOrder: on(6, [pattern("cpuid"), pattern("hlt")]),
        never: on(7, [pattern("cpuid")]),
        counts: { io: on(8, match(2)), cpuid: on(9, match(0)), total: on(10, match(3)) },
      },
    },
    made: { exits: IO, exitKinds: ["io", "hlt"] },
    statuses: {
      "exits.exactly": "unobserved",
      "exits.in-order": "met",
      "exits.any-order": "unobserved",
      "exits.never": "unobserved",
      "exits.counts.io": "met",
      "exits.counts.cpuid": "unobserved",
      "exits.counts.total": "unobserved",
    },
  },
  {
    when: "some kinds of exit can't be seen, and what is seen is wrong",
    expect: {
      exits: {
        exactly: on(4, [pattern("io"), pattern("cpuid"), pattern("hlt")]),
        inOrder: on(5, [pattern("cpuid"), pattern("hlt"), pattern("io")]),
        anyOrder: on(6, [pattern("cpuid"), pattern("io", {}, 3)]),
        never: on(7, [pattern("cpuid"), pattern("hlt")]),
        counts: { io: on(8, match(3)) },
      },
    },
    made: { exits: IO, exitKinds: ["io", "hlt"] },
    statuses: {
      "exits.exactly": "not met",
      "exits.in-order": "not met",
      "exits.any-order": "not met",
      "exits.never": "not met",
      "exits.counts.io": "not met",
    },
  },
  {
    when: "what reaches some devices can't be seen, nor some injections",
    expect: {
      exits: {
        inOrder: on(4, [pattern("io", { port: match(0x3f8) })]),
        anyOrder: on(5, [pattern("io", { port: match(0x20) }), pattern("io")]),
        exactly: on(17, [pattern("io"), pattern("io"), pattern("hlt"), pattern("io")]),
        never: on(6, [pattern("io", { port: match(0x21) })]),
        counts: { io: on(7, match(2)), hlt: on(8, match(1)) },
      },
      accesses: {
        anyOrder: on(9, [pattern("io", { device: match("pic") })]),
        never: on(10, [pattern("io", { device: match("uart") })]),
        counts: { "io": on(11, match(0)), "queue-notify": on(12, match(0)) },
      },
      injections: {
        never: on(13, [pattern("exception")]),
        inOrder: on(14, [pattern("external-interrupt")]),
        counts: { total: on(15, match(0)), exception: on(16, match(0)) },
      },
    },
    made: {
      exits: IO,
      hidden: {
        devices: [{ kind: "io", device: "pic", first: 0x20, last: 0x21 }],
        injections: ["external-interrupt"],
        accesses: [],
      },
    },
    statuses: {
      "exits.in-order": "met",
      "exits.any-order": "unobserved",
      "exits.exactly": "unobserved",
      "exits.never": "unobserved",
      "exits.counts.io": "unobserved",
      "exits.counts.hlt": "met",
      "accesses.any-order": "unobserved",
      "accesses.never": "met",
      "accesses.counts.io": "unobserved",
      "accesses.counts.queue-notify": "met",
      "injections.in-order": "unobserved",
      "injections.never": "met",
      "injections.counts.total": "unobserved",
      "injections.counts.exception": "met",
    },
  },
  {
    when: "what may be hidden is seen, or is wanted more often than it is seen",
    expect: {
      exits: {
        inOrder: on(4, [pattern("io"), pattern("io"), pattern("hlt")]),
        anyOrder: on(5, [pattern("io"), pattern("io"), pattern("io")]),
        exactly: on(6, [pattern("hlt"), pattern("hlt")]),
        never: on(7, [pattern("io")]),
      },
    },
    made: {
      exits: IO,
      hidden: {
        devices: [{ kind: "io", device: "pic", first: 0x20, last: 0x21 }],
        injections: [],
      },
    },
    statuses: {
      "exits.in-order": "met",
      "exits.any-order": "unobserved",
      "exits.exactly": "not met",
      "exits.never": "not met",
    },
  },
  {
    when: "nothing may exit, and some kinds of exit can't be seen",
    expect: { exits: { exactly: on(4, []) } },
    made: { exitKinds: ["io"] },
    statuses: { "exits.exactly": "unobserved" },
  },
  {
    when: "the limit on instructions should end it, and they are not counted",
    expect: {
      end: on(4, { kind: "limit", limit: match("instructions") }),
      console: on(5, equal("hi")),
    },
    made: {
      end: { kind: "limit", limit: "time" },
      console: "hi and more",
      unobserved: ["instructions"],
    },
    statuses: { end: "unobserved", console: "unobserved" },
  },
  {
    when: "the limit on exits should end it, and not all are counted",
    expect: { end: on(4, { kind: "limit", limit: match("exits") }) },
    made: { end: { kind: "limit", limit: "time" }, exitKinds: ["io"] },
    statuses: { end: "unobserved" },
  },
  {
    when: "the limit on instructions should end it, and it ends by itself",
    expect: { end: on(4, { kind: "limit", limit: match("instructions") }) },
    made: { end: { kind: "triple-fault" }, unobserved: ["instructions"] },
    statuses: { end: "not met" },
  },
  {
    when: "a limit that is counted should end it, and another does",
    expect: { end: on(4, { kind: "limit", limit: match("exits") }) },
    made: { end: { kind: "limit", limit: "time" }, unobserved: ["instructions"] },
    statuses: { end: "not met" },
  },
  {
    when: "events were dropped",
    expect: {
      exits: {
        exactly: on(4, [pattern("io"), pattern("io"), pattern("hlt")]),
        inOrder: on(5, [pattern("hlt"), pattern("io")]),
        anyOrder: on(6, [pattern("io", {}, 2)]),
        never: on(7, [pattern("cpuid")]),
        counts: { total: on(8, match(1003)) },
      },
    },
    made: { exits: IO, dropped: 1000 },
    statuses: {
      "exits.exactly": "unobserved",
      "exits.in-order": "unobserved",
      "exits.any-order": "unobserved",
      "exits.never": "unobserved",
      "exits.counts.total": "met",
    },
  },
  {
    when: "events were dropped, but the kept ones decide",
    expect: {
      exits: {
        exactly: on(4, [pattern("io")]),
        inOrder: on(5, [pattern("io"), pattern("hlt")]),
        anyOrder: on(6, [pattern("hlt")]),
        never: on(7, [pattern("hlt")]),
      },
    },
    made: { exits: IO, dropped: 1 },
    statuses: {
      "exits.exactly": "not met",
      "exits.in-order": "met",
      "exits.any-order": "met",
      "exits.never": "not met",
    },
  },
  {
    when: "registers and memory are right, wrong and missing",
    expect: {
      registers: { rax: on(4, match(2)), rbx: on(5, match(2)), rcx: on(6, match(2)) },
      memory: { a: on(7, equal("x")), b: on(8, equal("x")), c: on(9, equal("x")) },
    },
    made: {
      registers: { rax: 2n, rbx: 3n },
      memory: { a: Uint8Array.of(0x78), b: Uint8Array.of(0x79) },
    },
    statuses: {
      "registers.rax": "met",
      "registers.rbx": "not met",
      "registers.rcx": "unobserved",
      "memory.a": "met",
      "memory.b": "not met",
      "memory.c": "unobserved",
    },
  },
  {
    when: "a name bound by an exit is asked for in a register",
    expect: {
      exits: { inOrder: on(4, [pattern("io", { value: "$v" })]) },
      registers: { rax: on(5, match("$v")), rbx: on(6, match("$v")) },
    },
    made: { exits: IO, registers: { rax: 1n, rbx: 2n } },
    statuses: { "exits.in-order": "met", "registers.rax": "met", "registers.rbx": "not met" },
  },
  {
    when: "it halts as expected",
    expect: { end: on(4, { kind: "halt" }) },
    made: { end: { kind: "halt" } },
    statuses: { end: "met" },
  },
  {
    when: "it shuts down with another code",
    expect: { end: on(4, { kind: "shutdown", code: match(0) }) },
    made: { end: { kind: "shutdown", code: 1 } },
    statuses: { end: "not met" },
  },
  {
    when: "a crash is expected by part of its reason",
    expect: { end: on(4, { kind: "crash", reason: match("no handler") }) },
    made: { end: { kind: "crash", reason: "There is no handler for x", rip: 0n } },
    statuses: { end: "met" },
  },
  {
    when: "an unported instruction is expected, and found",
    expect: { end: on(4, { kind: "unported", instruction: match("cli") }) },
    made: { end: { kind: "unported", instruction: "cli", rip: 0n } },
    statuses: { end: "met" },
  },
  {
    when: "no end is expected and it halts",
    expect: {},
    made: { end: { kind: "halt" } },
    statuses: {},
  },
  {
    when: "no end is expected and it crashes",
    expect: {},
    made: { end: { kind: "crash", reason: "r", rip: 0n } },
    statuses: { end: "not met" },
  },
  {
    when: "no end is expected and a limit strikes",
    expect: {},
    made: { end: { kind: "limit", limit: "time" } },
    statuses: { end: "not met" },
  },
  {
    when: "no end is expected and it is not ported",
    expect: {},
    made: { end: { kind: "unported", instruction: "cli", rip: 0n } },
    statuses: { end: "not met" },
  },
];

for (const { when, expect, made, statuses } of ROWS) {
  Deno.test(`checkExpectations() gives each its status when ${when}`, () => {
    const checks = checkExpectations({ ...NOTHING, ...expect }, makeTrace(made), new Places());
    const actual = Object.fromEntries(checks.map((c) => [c.about, c.status]));
    assertEquals(actual, { end: "met", ...statuses });
  });
}

Deno.test("checkExpectations() says where it is written, what was wanted and what came nearest", () => {
  const wanted = { ...pattern("io", { port: 0x80 }), span: lineSpan(7) };
  const expect = { ...NOTHING, exits: { inOrder: on(6, [wanted]) } };
  const [check] = checkExpectations(expect, makeTrace({ exits: IO }), new Places());
  assertEquals(check?.source, { at: "scenarios/test.yaml:7:1", text: "line 7: what was written" });
  assertEquals(check?.lines[0]?.expected, "io port=0x80");
  assertStringIncludes(check?.lines[0]?.event?.text ?? "", "io port=0x3f8 out");
  assertEquals(check?.lines[0]?.event?.name, "exit 1");
});

/** One line of a report: `STATUS EXPECTED; got ACTUAL; RELATION EVENT`. */
function told(expect: Partial<Expectations>, made: Made): string[] {
  const checks = checkExpectations({ ...NOTHING, ...expect }, makeTrace(made), new Places());
  return checks.filter((c) => c.status === "not met").flatMap((c) =>
    c.lines.map(({ status, expected, actual, relation, event }) =>
      `${status}: ${expected}${actual === undefined ? "" : `; got ${actual}`}` +
      (event ? `; ${relation ?? "by"} ${event.name}` : "")
    )
  );
}

interface ToldRow {
  readonly when: string;
  readonly expect: Partial<Expectations>;
  readonly made: Made;
  readonly lines: readonly string[];
}

const io = (fields = {}, times?: Parameters<typeof pattern>[2]) => pattern("io", fields, times);
const LONG = "0123456789".repeat(5);

const TOLD: readonly ToldRow[] = [
  {
    when: "what is wanted came before its turn",
    expect: { exits: { inOrder: on(1, [io({ value: 2 }), io({ value: 1 }), pattern("hlt")]) } },
    made: { exits: IO },
    lines: [
      "met: io value=2; by exit 2",
      "not met: io value=1; earlier exit 1",
      "met: hlt; by exit 3",
    ],
  },
  {
    when: "what came before its turn is another line's, and says what a name is bound to",
    expect: { exits: { inOrder: on(1, [io({ value: "$v" }), io({ value: "$v" })]) } },
    made: { exits: IO },
    lines: ["met: io value=$v (1); by exit 1", "not met: io value=$v (1); nearest exit 2"],
  },
  {
    when: "a run is too short",
    expect: { exits: { inOrder: on(1, [io({}, 3)]) } },
    made: { exits: IO },
    lines: ["not met: io × 3; got 2 in a row; nearest exit 1"],
  },
  {
    when: "nothing of its kind is there, in any order",
    expect: {
      exits: { anyOrder: on(1, [pattern("cpuid"), io({ value: 9 }), io({}, atLeast(5))]) },
    },
    made: { exits: IO },
    lines: [
      "not met: cpuid; got there is no cpuid",
      "not met: io value=9; nearest exit 1",
      "not met: io × at least 5; got 2 in all; first exit 1",
    ],
  },
  {
    when: "all that match are wanted by others",
    expect: { exits: { anyOrder: on(1, [pattern("hlt"), pattern("hlt")]) } },
    made: { exits: IO },
    lines: ["met: hlt; by exit 3", "not met: hlt; got every hlt that would do is another line's"],
  },
  {
    when: "`exactly` has more",
    expect: { exits: { exactly: on(1, [io()]) } },
    made: { exits: [...IO, cpuid(1)] },
    lines: ["met: io; by exit 1", "not met: nothing more; got 3 more; first exit 2"],
  },
  {
    when: "registers are wrong: in hexadecimal, and as somebody would count",
    expect: { registers: { rax: on(1, match(78)), rbx: on(2, match(1 << 24)) } },
    made: { registers: { rax: 77n, rbx: 0xffff_ffff_0000_0000n } },
    lines: [
      "not met: rax = 0x4e (78); got 0x4d (77)",
      "not met: rbx = 0x1000000; got 0xffffffff00000000",
    ],
  },
  {
    when: "an integer in memory is wrong",
    expect: { memory: { n: on(1, { is: "integer", value: match(78) }) } },
    made: { memory: { n: Uint8Array.of(77, 0, 0, 0) } },
    lines: ["not met: 0x4e (78); got 0x4d (77)"],
  },
  {
    when: "bytes are zero: as YAML writes them",
    expect: { console: on(1, equal("a\0b")) },
    made: { console: "a\0c" },
    lines: ['not met: "a\\0b"; got "a\\0c"'],
  },
  {
    when: "it ends badly and nothing is said of that: where it was",
    expect: {},
    made: { end: { kind: "limit", limit: "time" }, registers: { rip: 0x1234n } },
    lines: ["not met: shutdown or halt; got stopped by the limit on time, in 0x1234"],
  },
  {
    when: "long output differs far in: there",
    expect: { console: on(1, equal(`${LONG}x`)) },
    made: { console: `${LONG}yz` },
    lines: [
      `not met: "${
        LONG.slice(0, 32)
      }"... (51 bytes); got the same up to byte 50, then "yz" in place of "x"`,
    ],
  },
];

for (const { when, expect, made, lines } of TOLD) {
  Deno.test(`checkExpectations() tells line by line when ${when}`, () => {
    assertEquals(told(expect, made), [...lines]);
  });
}
