// The boot state, as guests on every back end with a bare machine find it.
import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { LAPIC_BASE, PROGRAM_BASE, SELECTOR, STACK_TOP, UNMAPPED_BASE } from "../guest/layout.ts";
import { runProgram } from "./testing_runs.ts";

const BARE: readonly Backend[] = ["native", "full-bt", "full-hw", "full-hw/shadow", "hybrid"];

for (const backend of BARE) {
  Deno.test(`${backend}: a long64 guest starts in long mode, on a stack, with its TSS loaded`, () => {
    const { end, final: { registers } } = runProgram(
      backend,
      `start:
        mov   r8, rsp
        lea   r9, [rel start]
        mov   r10, cr0
        mov   r11, cr4
        mov   cr4, r11                  ; #GP, and so a triple fault, if it held what the CPU lacks
        mov   ecx, 0xc0000080
        rdmsr
        mov   r12, rax
        mov   r13, cs
        mov   r14, ss
        str   r15
        pushfq
        pop   rbx
        mov   rdi, 0
        pv    shutdown`,
    );
    assertEquals(end, { kind: "shutdown", code: 0 });
    const { r8, r9, r10, r11, r12, r13, r14, r15, rbx } = registers;
    assertEquals([r8, r9], [BigInt(STACK_TOP), BigInt(PROGRAM_BASE)]);
    assertEquals([r10, r11, r12], [0x80010033n, 0x620n, 0xd01n]);
    assertEquals([r13, r14, r15], [SELECTOR.code64, SELECTOR.data, SELECTOR.tss].map(BigInt));
    assertEquals((rbx ?? 0n) & 0x202n, 2n, "interrupts are masked");
  });

  Deno.test(`${backend}: a long64 guest finds RAM and devices mapped, and nothing at 1 GiB`, () => {
    const { end, final: { registers } } = runProgram(
      backend,
      `start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        mov   rax, 0x1ffff8             ; the end of RAM
        mov   qword [rax], 5
        mov   rbx, [rax]
        mov   eax, ${LAPIC_BASE}
        mov   ecx, [rax + 0x30]         ; device memory, whether a device is there or not
        mov   rax, ${UNMAPPED_BASE}
        mov   cl, [rax]                 ; 8A 08
        mov   eax, 0x200000             ; behind the end of RAM
        mov   cl, [rax]
        mov   rdx, [rel faults]
        mov   edi, 0
        pv    shutdown
     fault:
        inc   qword [rel faults]
        add   qword [rdx], 2
        ret
        align 8
     faults: dq 0`,
    );
    assertEquals(end, { kind: "shutdown", code: 0 });
    assertEquals([registers["rbx"], registers["rdx"]], [5n, 2n]);
  });

  Deno.test(`${backend}: a protected32 guest starts flat, without paging`, () => {
    const { end, final: { registers } } = runProgram(
      backend,
      `start:
        mov   ebx, cr0
        mov   ecx, esp
        push  0x1234
        pop   edx
        mov   eax, cs
        shl   eax, 16
        mov   ax, ss
        mov   esi, eax
        mov   ebp, [start]
        mov   edi, 3
        pv    shutdown`,
      { entry: "protected32" },
    );
    assertEquals(end, { kind: "shutdown", code: 3 });
    assertEquals([registers["rbx"], registers["rcx"]], [0x10033n, BigInt(STACK_TOP)]);
    assertEquals(registers["rdx"], 0x1234n);
    assertEquals(registers["rsi"], BigInt(SELECTOR.code32 << 16 | SELECTOR.data));
    assertEquals(registers["rbp"], 0x89c3200fn, "its own first bytes: mov ebx, cr0; mov ecx, ...");
  });

  Deno.test(`${backend}: a real16 guest starts at 0:7c00 with a stack below`, () => {
    const { end, final: { registers } } = runProgram(
      backend,
      `start:
        call  .here
     .here:
        pop   bx
        mov   cx, cs
        mov   dx, ss
        mov   si, sp
        mov   word [0x21 * 4], handler  ; the interrupt vector table is at 0
        mov   word [0x21 * 4 + 2], 0
        int   0x21
        mov   edi, 4
        pv    shutdown
     handler:
        mov   bp, 77
        iret`,
      { entry: "real16" },
    );
    assertEquals(end, { kind: "shutdown", code: 4 });
    const { rbx, rcx, rdx, rsi, rbp } = registers;
    assertEquals([rbx, rcx, rdx, rsi, rbp], [0x7c03n, 0n, 0n, 0x7000n, 77n]);
  });
}
