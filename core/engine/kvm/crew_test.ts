// CPUs side by side on KVM: that they are, that none runs away, and what they must not see of each other.
import { assert, assertEquals, assertLess } from "@std/assert";
import type { Backend } from "../../base/backend.ts";
import type { Trace } from "../../trace/trace.ts";
import { DEVICE, MAP_DEVICE, onWholePc } from "../../vmm/testing_device_memory.ts";
import { hostileProgram } from "../../vmm/testing_hostile_cpus.ts";
import { type ProgramOptions, runProgram } from "../../vmm/testing_runs.ts";
import { SubjectLacks } from "../lacks.ts";
import { closeKvm, kvm } from "./engine.ts";
import { KVM_UNAVAILABLE } from "./testing.ts";

/** Milliseconds that a second of work may take where others keep the machine busy. */
const AT_LAST = 20_000;

function test(
  name: string,
  body: (t: Deno.TestContext) => Promise<void> | void,
  why = KVM_UNAVAILABLE,
): void {
  Deno.test({
    name: `kvm, CPUs side by side: ${name}${why ? `: ${why}` : ""}`,
    ignore: why !== undefined,
    fn: async (t) => {
      try {
        await body(t);
      } finally {
        closeKvm();
      }
    },
  });
}

const onKvm = (text: string, options: ProgramOptions): Trace =>
  runProgram("full-hw", `%include "lib/smp.inc"\n${text}`, { ...options, engine: kvm });

/** The value under a label of 8 bytes. */
function counted({ final }: Trace, label: string): number {
  return Number(
    new DataView((final.memory[label] ?? new Uint8Array(8)).slice().buffer).getBigUint64(0, true),
  );
}

/**
 * Two CPUs hand a token to each other through memory, and do nothing else; those rounds are counted that take less than a tenth
 * of a turn (ticks of 1 GHz, or faster ones of the host).
 */
const ROUNDS = 200, TICKS = 100_000;
const TOKEN = `
    start:
        start_cpus other
        mov   ecx, ${ROUNDS}
    .mine:
        cmp   dword [rel token], 0
        jne   .mine
        rdtsc
        mov   ebx, eax
        sub   eax, [rel last]
        mov   [rel last], ebx
        cmp   eax, ${TICKS}
        adc   qword [rel fast], 0
        mov   dword [rel token], 1
        inc   qword [rel given]
        dec   ecx
        jnz   .mine
        xor   edi, edi
        pv    shutdown
    other:
        cmp   dword [rel token], 1
        jne   other
        mov   dword [rel token], 0
        jmp   other
        align 8
    given: dq 0
    fast:  dq 0
    last:  dd 0
    token: dd 0`;
/** Rounds that show it, and how often it is tried: others may keep all but one of the host's processors busy for a while. */
const ENOUGH = 10, TRIES = 10;
/** Two have to be able to run at the same time. */
const ALONE = navigator.hardwareConcurrency < 2 ? "the host has one CPU" : undefined;

test("they hand a token over without leaving their guests, faster than in turns", () => {
  const fast: number[] = [];
  while (fast.length < TRIES && !fast.some((rounds) => rounds >= ENOUGH)) {
    const trace = onKvm(TOKEN, { cpus: 2, observe: { given: 8, fast: 8 } });
    assertEquals(trace.end, { kind: "shutdown", code: 0 });
    assertEquals(counted(trace, "given"), ROUNDS);
    assertLess(trace.counts.exits.total, 50);
    fast.push(counted(trace, "fast"));
  }
  assert(Math.max(...fast) >= ENOUGH, `${fast} of ${ROUNDS} rounds`);
}, KVM_UNAVAILABLE ?? ALONE);

/** Adds to one number on all CPUs: what is lost is what two did at the same time. */
const racing = (add: string, cpus: number, times: number) => `
    start:
        start_cpus work
        call  work
    .wait:
        pause
        cmp   dword [rel done], ${cpus}
        jb    .wait
        xor   edi, edi
        pv    shutdown
    work:
        mov   ecx, ${times}
    .more:
        ${add}
        dec   ecx
        jnz   .more
        lock inc dword [rel done]
        ret
        align 8
    sum: dq 0
    done: dd 0, 0`;

test("a locked addition loses nothing", () => {
  for (const cpus of [2, 4, 8]) {
    const text = racing("lock inc qword [rel sum]", cpus, 2_000);
    const trace = onKvm(text, { cpus, observe: { sum: 8 } });
    assertEquals(trace.end, { kind: "shutdown", code: 0 });
    assertEquals(counted(trace, "sum"), 2_000 * cpus);
  }
});

test("a locked instruction on device memory is one for the others", () => {
  const cpus = 3, times = 100;
  const add = `mov   ebx, ${DEVICE}
        lock inc dword [rbx]
        mov   eax, 1
        lock xadd [rbx + 8], eax`;
  const text = racing(add, cpus, times).replace("start:", `start:${MAP_DEVICE}`).replace(
    "xor   edi",
    `mov   ebx, ${DEVICE}
        mov   eax, [rbx]
        mov   [rel sum], eax
        mov   eax, [rbx + 8]
        mov   [rel sum + 4], eax
        xor   edi`,
  );
  const trace = onKvm(text, { cpus, observe: { sum: 8 }, change: onWholePc });
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(counted(trace, "sum"), times * cpus * (1 + 2 ** 32));
});

test("an NMI, and an INIT, reach a CPU that spins with interrupts off", () => {
  const text = `
    start:
        mov   edi, 2
        lea   rsi, [rel nmi]
        pv    trap_set
        start_cpus spins
    .wait:
        cmp   qword [rel spinning], 1
        jb    .wait
        send_ipi 1, ICR_NMI
    .other:
        cmp   qword [rel seen], 1
        jb    .other
        send_ipi 1, ICR_INIT
        mov   ecx, 200000
        loop  $
        mov   rax, [rel spinning]
        mov   ecx, 200000
        loop  $
        sub   rax, [rel spinning]
        mov   [rel after], rax
        xor   edi, edi
        pv    shutdown
    spins:
        cli
    .on:
        inc   qword [rel spinning]
        jmp   .on
    nmi:
        inc   qword [rel seen]
        ret
        align 8
    spinning: dq 0
    seen: dq 0
    after: dq 0`;
  const trace = onKvm(text, { cpus: 2, observe: { seen: 8, after: 8 } });
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(counted(trace, "seen"), 1);
  assertEquals(counted(trace, "after"), 0, "it stands still after the INIT");
});

test("A20 closes and opens under a CPU that runs, and it finds its memory all the while", () => {
  // In an even megabyte, which is there in any case.
  const LOW = 0x70000, COUNT = 0x78000;
  const text = `
    start:
        lea   rsi, [rel low]
        mov   edi, ${LOW}
        mov   ecx, low_end - low
        rep movsb
        mov   qword [${COUNT}], 0
        start_cpus goes_low
        ; Until it is there, its code is in an odd megabyte.
    .comes:
        cmp   qword [${COUNT}], 0
        je    .comes
        lea   rbx, [rel finish]
        mov   eax, ${LOW} + toggles - low
        jmp   rax
    goes_low:
        mov   eax, ${LOW} + counts - low
        jmp   rax
    finish:
        xor   edi, edi
        pv    shutdown
    low:
    toggles:
        mov   ecx, 40
    .more:
        mov   rdx, [${COUNT}]
        in    al, 0x92
        xor   al, 2
        and   al, ~1
        out   0x92, al
    .wait:
        cmp   rdx, [${COUNT}]
        je    .wait
        dec   ecx
        jnz   .more
        jmp   rbx
    counts:
        inc   qword [${COUNT}]
        jmp   counts
    low_end:`;
  const { end, events, counts } = onKvm(text, { cpus: 2, change: onWholePc });
  assertEquals(end, { kind: "shutdown", code: 0 });
  assert((counts.exits.kinds["io"] ?? 0) >= 80);
  const strayed = events.filter((event) =>
    event.type === "exit" && event.exit.kind === "ept-violation" && event.exit.detail.gpa < 2 << 20
  );
  assertEquals(strayed, []);
});

const SPINNING = `
    start:
        start_cpus spins
    spins:
        cli
        jmp   $`;

for (
  const [name, options] of [
    ["time", { limits: { wallMs: 200 } }],
    ["the guest's time", { limits: { time: 200_000_000 } }],
  ] as const satisfies readonly (readonly [string, ProgramOptions])[]
) {
  test(`CPUs that spin with interrupts off end at a limit of ${name}`, () => {
    const before = performance.now();
    const { end } = onKvm(SPINNING, { ...options, cpus: 8 });
    assertEquals(end, { kind: "limit", limit: "time" });
    assertLess(performance.now() - before, AT_LAST);
  });
}

test("one that exits for ever ends them all at the limit on exits", () => {
  const text = `
    start:
        start_cpus spins
    .on:
        out   0x80, al
        jmp   .on
    spins:
        cli
        jmp   $`;
  assertEquals(onKvm(text, { cpus: 3, limits: { exits: 1000 } }).end, {
    kind: "limit",
    limit: "exits",
  });
});

test("all that halt for good are a halt", () => {
  const halts = `
    start:
        start_cpus halts
    halts:
        cli
        hlt
        jmp   halts`;
  assertEquals(onKvm(halts, { cpus: 4 }).end, { kind: "halt" });
});

test("while all sleep, their time is skipped", () => {
  const TICKS = 3, DIVIDE_BY_1 = 0xb, VECTOR = 0x51;
  const sleeps = `
    start:
        mov   edi, ${VECTOR}
        lea   rsi, [rel tick]
        pv    trap_set
        start_cpus halts
        apic_on
        mov   dword [rax + 0x320], ${VECTOR}
        mov   dword [rax + 0x3e0], ${DIVIDE_BY_1}
        mov   ecx, ${TICKS}
    .again:
        mov   eax, APIC
        mov   dword [rax + 0x380], 0xffffffff
        sti
        hlt
        cli
        dec   ecx
        jnz   .again
        xor   edi, edi
        pv    shutdown
    halts:
        cli
        hlt
        jmp   halts
    tick:
        apic_eoi
        ret`;
  const { end, wallNs } = onKvm(sleeps, { cpus: 2, limits: { time: 1e12 } });
  assertEquals(end, { kind: "shutdown", code: 0 });
  // By the board's clock of 1 GHz.
  assertLess(wallNs, TICKS * 0xffffffff);
});

const SEED = 20_261_122, PROGRAMS = 8;
for (const backend of ["full-hw", "hybrid"] as const satisfies readonly Backend[]) {
  test(`nothing that they do to each other's APICs gets out of hand on ${backend}`, async (t) => {
    for (let n = 0; n < PROGRAMS; n++) {
      const before = performance.now();
      try {
        const limits = { exits: 4_000, time: 300_000_000 };
        runProgram(backend, hostileProgram(SEED + n, 3), { cpus: 3, limits, engine: kvm });
      } catch (error) {
        if (!(error instanceof SubjectLacks)) throw new Error(`Seed ${SEED + n}`, { cause: error });
        await t.step({ name: `seed ${SEED + n}: ${error.message}`, ignore: true, fn: () => {} });
      }
      assertLess(performance.now() - before, AT_LAST, `seed ${SEED + n}`);
    }
  });
}
