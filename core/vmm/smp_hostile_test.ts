// CPUs that do what no system does: random code on all of them, random commands to random APICs, INIT in the middle of
// anything. Whatever they do, the run ends with a verdict, and twice with the same one.
import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Limits } from "../scenario/case.ts";
import { generator, runProgram } from "./testing_runs.ts";

const BACKENDS: readonly Backend[] = ["native", "full-bt", "full-hw", "full-hw/shadow", "hybrid"];
const CPUS = 3;
const SEED = 20_261_122, PROGRAMS = 12;
const LIMITS: Partial<Limits> = { instructions: 40_000, exits: 4_000, time: 2_000_000 };

/** Offsets in the APIC's page, most of them registers. */
const REGISTERS = [
  0x20,
  0x80,
  0xb0,
  0xd0,
  0xe0,
  0xf0,
  0x280,
  0x310,
  0x320,
  0x350,
  0x360,
  0x380,
  0x3e0,
];
const COMMANDS = [
  0x4500,
  0x8500,
  0x4600,
  0x400,
  0x51,
  0x100,
  0x851,
  0x40051,
  0x80051,
  0xc0051,
  0xc4500,
];

type Random = (below: number) => number;

function step(next: Random): string {
  switch (next(9)) {
    case 0:
      return `mov dword [rbx + ${REGISTERS[next(REGISTERS.length)]}], ${next(0x20000)}`;
    case 1:
    case 2:
      return `send_ipi ${next(CPUS + 1)}, ${(COMMANDS[next(COMMANDS.length)] ?? 0) | next(256)}`;
    case 3:
      return `mov ecx, 0x1b\n rdmsr\n xor eax, ${1 << 8 + next(5)}\n wrmsr\n mov ebx, APIC`;
    case 4:
      return `mov ecx, ${0x800 + next(0x41)}\n mov eax, ${next(0x10000)}\n xor edx, edx\n wrmsr`;
    case 5:
      return next(2) === 0 ? "sti\n nop\n nop" : "cli";
    case 6:
      return next(4) === 0 ? "sti\n hlt" : `mov rax, ${next(16)}\n mov cr8, rax`;
    case 7:
      return `db ${Array.from({ length: 4 }, () => next(256)).join(", ")}`;
    default:
      return `mov ecx, ${1 + next(50)}\n loop $`;
  }
}

function program(seed: number): string {
  const next = generator(seed);
  const steps = (n: number) => Array.from({ length: n }, () => ` ${step(next)}`).join("\n");
  return `
    %include "lib/smp.inc"
    start:
        mov   edi, 0x51
        lea   rsi, [rel handler]
        pv    trap_set
        mov   edi, 13
        lea   rsi, [rel skip]
        pv    trap_set
        start_cpus another
    another:
        apic_on
        mov   ebx, APIC
        sti
    again:
${steps(40)}
        jmp   again
    handler:
        apic_eoi
        ret
    skip:
        add   qword [rdx], 2
        ret
  `;
}

for (const backend of BACKENDS) {
  Deno.test(`nothing that CPUs do to each other's APICs gets out of hand on ${backend}`, () => {
    const ends = new Set<string>();
    for (let n = 0; n < PROGRAMS; n++) {
      const text = program(SEED + n);
      const options = { cpus: CPUS, limits: LIMITS, turn: 1 + n * 40 };
      const { end, counts } = runProgram(backend, text, options);
      assertEquals(runProgram(backend, text, options).end, end, `seed ${SEED + n}`);
      assert(counts.instructions > 0, `seed ${SEED + n}`);
      ends.add(end.kind);
    }
    assert(ends.size > 0);
  });
}
