// The real-mode part of the ROM that runs trials (`bochs_kernel.ts`): how a trial is entered, and the handlers that take its
// end back to protected mode.
import { field, KERNEL, result } from "./bochs_layout.ts";

/** Code in RAM, which in real mode runs at segment 0, so that CS reaches the cells. */
export const REAL = `
    mov   eax, cr0
    and   al, 0xfe
    mov   cr0, eax
    jmp   0:.real
.real:
    lidt  [cs:.idtr]
    mov   sp, ${KERNEL.stack - 0x100}
    push  dword [cs:${field("eflags")}]
    popfd
    mov   ds, [cs:${field("ds")}]
    mov   es, [cs:${field("es")}]
    mov   fs, [cs:${field("fs")}]
    mov   gs, [cs:${field("gs")}]
    mov   ss, [cs:${field("ss")}]
    mov   esp, [cs:${field("esp")}]
    mov   eax, [cs:${field("cs")}]
    mov   [cs:.target + 2], ax
    mov   eax, [cs:${field("eip")}]
    mov   [cs:.target], ax
    mov   eax, [cs:${field("eax")}]
    mov   ecx, [cs:${field("ecx")}]
    mov   edx, [cs:${field("edx")}]
    mov   ebx, [cs:${field("ebx")}]
    mov   ebp, [cs:${field("ebp")}]
    mov   esi, [cs:${field("esi")}]
    mov   edi, [cs:${field("edi")}]
    jmp   far [cs:.target]
.target:
    dw    0, 0
.idtr:
    dw    0x3ff, 0, 0
handler:
    mov   [cs:${result("eax")}], eax
    mov   eax, 0
    mov   [cs:${result("error")}], eax
    mov   [cs:${result("eip")}], eax
    mov   [cs:${result("cs")}], eax
    mov   [cs:${result("eflags")}], eax
    pop   word [cs:${result("eip")}]
    pop   word [cs:${result("cs")}]
    pop   word [cs:${result("eflags")}]
    mov   [cs:${result("esp")}], esp
    mov   [cs:${result("ss")}], ss
    mov   [cs:${result("ds")}], ds
    mov   [cs:${result("es")}], es
    mov   [cs:${result("fs")}], fs
    mov   [cs:${result("gs")}], gs
    mov   [cs:${result("ecx")}], ecx
    mov   [cs:${result("edx")}], edx
    mov   [cs:${result("ebx")}], ebx
    mov   [cs:${result("ebp")}], ebp
    mov   [cs:${result("esi")}], esi
    mov   [cs:${result("edi")}], edi
    mov   eax, cr0
    mov   [cs:${result("cr0")}], eax
    or    al, 1
    mov   cr0, eax
`;

/** The handler of a vector. */
export const realStub = (vector: number) => `
stub${vector}:
    mov   dword [cs:${result("vector")}], ${vector}
    jmp   handler`;
