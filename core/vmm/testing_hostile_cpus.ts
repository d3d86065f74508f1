// Programs for CPUs that do what no system does: random code on all of them, random commands to random APICs, INIT in the
// middle of anything.
import { generator } from "./testing_runs.ts";

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

function step(next: Random, cpus: number): string {
  switch (next(9)) {
    case 0:
      return `mov dword [rbx + ${REGISTERS[next(REGISTERS.length)]}], ${next(0x20000)}`;
    case 1:
    case 2:
      return `send_ipi ${next(cpus + 1)}, ${(COMMANDS[next(COMMANDS.length)] ?? 0) | next(256)}`;
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

/** Starts all CPUs; they go on for ever, unless they run into something. */
export function hostileProgram(seed: number, cpus: number): string {
  const next = generator(seed);
  const steps = (n: number) => Array.from({ length: n }, () => ` ${step(next, cpus)}`).join("\n");
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
