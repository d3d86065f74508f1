// How guests wait: MONITOR and MWAIT, which only bare hardware has, and PAUSE.
import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { gate, runProgram } from "./testing_runs.ts";

/** The first interrupt controller at vectors from 32 on, letting the timer through; that ticks every ten milliseconds. */
const TICKING = `
    ${gate(32, "tick")}
    %macro byte_out 2
    mov   al, %2
    out   %1, al
    %endmacro
    byte_out 0x20, 0x11
    byte_out 0x21, 32
    byte_out 0x21, 4
    byte_out 0x21, 1
    byte_out 0x21, 0xfe
    byte_out 0x43, 0x34
    mov   eax, 11932
    out   0x40, al
    mov   al, ah
    out   0x40, al`;

const FEATURES = `start:
    mov   eax, 1
    cpuid
    shr   ecx, 3
    and   ecx, 1
    mov   r12d, ecx
    mov   eax, 5
    cpuid
    mov   r13d, eax
    hlt`;

for (const backend of ["full-bt", "full-hw", "full-hw/shadow", "hybrid"] as const) {
  Deno.test(`${backend} keeps MONITOR and MWAIT from its guest`, () => {
    const { registers } = runProgram(backend, FEATURES).final;
    assertEquals([registers["r12"], registers["r13"]], [0n, 0n]);
  });
}

Deno.test("native shows MONITOR and MWAIT, and the size of the lines they watch", () => {
  const { registers } = runProgram("native", FEATURES).final;
  assertEquals([registers["r12"], registers["r13"]], [1n, 64n]);
});

/** Counts its waits in RBX until three ticks have come. */
const waiting = (wait: string) =>
  `start:${TICKING}
    xor   ebx, ebx
    xor   esi, esi
    xor   ecx, ecx
    xor   edx, edx
    sti
.next:
    inc   ebx
    lea   rax, [rel start]
    ${wait}
    cmp   esi, 3
    jb    .next
    cli
    hlt
tick:
    inc   esi
    push  rax
    byte_out 0x20, 0x20
    pop   rax
    iretq`;

Deno.test("MWAIT on bare hardware sleeps until something happens, and time goes on meanwhile", () => {
  const { final, counts, end } = runProgram("native", waiting("monitor\n    mwait"));
  assertEquals([end.kind, final.registers["rsi"]], ["halt", 3n]);
  const waits = final.registers["rbx"] ?? 0n;
  assert(waits >= 3n && waits <= 10n, `waited ${waits} times`);
  assert(counts.instructions < 1_000);
});

Deno.test("MWAIT with interrupts off ends at once", () => {
  const text = "start:\n    xor ecx, ecx\n    xor edx, edx\n    lea rax, [rel start]\n" +
    "    monitor\n    mwait\n    mov ebx, 7\n    hlt";
  assertEquals(runProgram("native", text).final.registers["rbx"], 7n);
});

Deno.test("a PAUSE counts once, however it is done: as an instruction, and as an inlined one in translated kernels", () => {
  const text = "start:\n    mov ecx, 1000\n.l: pause\n    dec ecx\n    jnz .l\n    hlt";
  const backends: readonly [Backend, number | undefined][] = [
    ["native", undefined],
    ["full-hw", undefined],
    ["full-bt", 1000],
  ];
  for (const [backend, inlined] of backends) {
    const { counts } = runProgram(backend, text);
    assertEquals([counts.instructions, counts.inlined["pause"]], [3002, inlined], backend);
  }
});
