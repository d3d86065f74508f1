// Several CPUs under the back ends that show a PC: the same program twice gives the same trace, whatever it does.
import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Trace } from "../trace/trace.ts";
import { DEVICE, MAP_DEVICE, onWholePc } from "./testing_device_memory.ts";
import { generator, runProgram } from "./testing_runs.ts";

const BACKENDS: readonly Backend[] = ["native", "full-bt", "full-hw", "full-hw/shadow", "hybrid"];
const CPUS = 4;

const withoutTime = ({ wallNs: _, ...rest }: Trace) => rest;

/** Starts the other CPUs at `another`, does the same as they do, and ends when all are done. */
const program = (before: string, work: string): string => `
    %include "lib/smp.inc"
    start:
        ${before}
        start_cpus work
        xor   edi, edi
        call  work
    .wait:
        pause
        cmp   dword [rel done], ${CPUS}
        jb    .wait
        hlt
    work:
        ${work}
        lock inc dword [rel done]
        ret
        align 8
    done: dd 0, 0
    counts: dq 0, 0, 0, 0
`;

for (const backend of BACKENDS) {
  Deno.test(`a locked instruction on device memory is atomic on ${backend}`, () => {
    const text = program(
      MAP_DEVICE,
      `
        mov   ecx, 60
        mov   ebx, ${DEVICE}
    .more:
        lock inc dword [rbx]
        mov   eax, 1
        lock xadd [rbx + 8], eax
        dec   ecx
        jnz   .more
        mov   eax, [rbx]
        mov   [rel counts], rax
        mov   eax, [rbx + 8]
        mov   [rel counts + 8], rax`,
    );
    for (const turn of [1, 3, 10, 5000]) {
      const options = { cpus: CPUS, turn, observe: { counts: 16 }, change: onWholePc };
      const trace = runProgram(backend, text, options);
      assertEquals(trace.end, { kind: "halt" });
      const counts = trace.final.memory["counts"] ?? new Uint8Array(16);
      const view = new DataView(counts.slice().buffer);
      assertEquals([view.getUint32(0, true), view.getUint32(8, true)], [60 * CPUS, 60 * CPUS]);
    }
  });

  Deno.test(`CPUs that interrupt each other at random do so in the same way twice on ${backend}`, () => {
    for (let seed = 1; seed <= 3; seed++) {
      const trace = runProgram(backend, storm(seed), { cpus: CPUS, observe: { counts: 32 } });
      assertEquals(trace.end, { kind: "halt" }, `seed ${seed}`);
      assert((trace.counts.injections["external-interrupt"] ?? 0) > 0);
      const again = runProgram(backend, storm(seed), { cpus: CPUS, observe: { counts: 32 } });
      assertEquals(withoutTime(again), withoutTime(trace), `seed ${seed}`);
    }
  });
}

/** Every CPU sends what the seed says to whom it says, and loops as long as it says. */
function storm(seed: number): string {
  const next = generator(seed);
  const steps = Array.from({ length: 24 }, () => `
        send_ipi ${next(CPUS)}, 0x${(0x51 + next(3)).toString(16)}
        mov   ecx, ${1 + next(4000)}
    %%spin:
        dec   ecx
        jnz   %%spin`);
  const macros = steps.map((step, n) => `
    %macro step${n} 0${step}
    %endmacro`);
  return `${macros.join("")}
    ${
    program(
      [0x51, 0x52, 0x53].map((vector) => `
        mov   edi, ${vector}
        lea   rsi, [rel handler]
        pv    trap_set`).join(""),
      `
        push  rdi
        apic_on
        sti
        ${steps.map((_, n) => `step${n}`).join("\n        ")}
        cli
        pop   rdi`,
    )
  }
    handler:
        apic_id eax
        lea   rcx, [rel counts]
        inc   qword [rcx + 8 * rax]
        apic_eoi
        ret
  `;
}
