// Adams and Agesen's nanobenchmarks, run for real under their own figures: the published orderings must come out of what
// each technique does, counted. (`cost_model_test.ts` has the same orderings from the counts the techniques ought to have.)
import { assertEquals, assertLess } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { gate, runProgram } from "./testing_runs.ts";

/** A benchmark is run this often and twice as often: the difference is free of warming up (shadow fills, adaptation). */
const ROUNDS = 100;

interface Benchmark {
  readonly setup?: string;
  readonly round: string;
  readonly after?: string;
  /** The paper's: `bt` is its software VMM, `hw` its hardware VMM, which had no nested paging. */
  readonly order: string;
}

const BENCHMARKS: Record<string, Benchmark> = {
  "in": { round: "in al, 0x80", order: "bt < native < hw" },
  "cr8wr": { round: "mov cr8, r13", order: "bt < native = hw" },
  "call/ret": { round: "call function", after: "function: ret", order: "native = hw < bt" },
  "divzero": {
    setup: gate(0, "skip"),
    round: "xor edx, edx\n    xor ecx, ecx\n    div ecx",
    after: "skip:\n    add qword [rsp], 2\n    iretq",
    order: "native = hw < bt",
  },
  "pgfault": {
    setup: gate(14, "skip"),
    round: "mov rbx, 0x40000000\n    mov [rbx], eax",
    after: "skip:\n    add rsp, 8\n    add qword [rsp], 2\n    iretq",
    order: "native < bt < hw",
  },
  "ptemod": {
    // An entry that a walk has used, changed without an access in between; the access keeps it in use.
    setup: `
    mov   qword [0x4008], 0x181007
    mov   qword [0x181000], 0x180007
    mov   qword [0x180000], 0x190007
    mov   qword [0x180008], 0x191007
    mov   eax, [0x40000000]
    mov   eax, [0x40001000]`,
    round: "xor qword [0x180000], 0x1000",
    order: "native < bt < hw",
  },
};

function program({ setup = "", round, after = "" }: Benchmark, rounds: number): string {
  return `start:
    ${setup}
    mov   ebp, ${rounds}
next:
    ${round}
    dec   ebp
    jnz   next
    hlt
${after}`;
}

const SUBJECTS: Readonly<Record<string, Backend>> = {
  native: "native",
  bt: "full-bt",
  hw: "full-hw/shadow",
};

function cyclesOf(benchmark: Benchmark, backend: Backend, rounds: number): number {
  const text = program(benchmark, rounds);
  const { end, cycles } = runProgram(backend, text, { profile: "adams-agesen-2006" });
  assertEquals(end, { kind: "halt" }, backend);
  return cycles.guest + cycles.vmm;
}

for (const [name, benchmark] of Object.entries(BENCHMARKS)) {
  Deno.test(`the order "${benchmark.order}" of ${name} comes out of real runs`, () => {
    const cycles: Record<string, number> = {};
    for (const [subject, backend] of Object.entries(SUBJECTS)) {
      const once = cyclesOf(benchmark, backend, ROUNDS);
      cycles[subject] = (cyclesOf(benchmark, backend, 2 * ROUNDS) - once) / ROUNDS;
    }
    const words = benchmark.order.split(" ");
    for (let i = 0; i + 2 < words.length; i += 2) {
      const left = cycles[words[i] ?? ""] ?? NaN;
      const right = cycles[words[i + 2] ?? ""] ?? NaN;
      const figures = JSON.stringify(cycles);
      if (words[i + 1] === "=") assertEquals(left, right, figures);
      else assertLess(left, right, figures);
    }
  });
}
