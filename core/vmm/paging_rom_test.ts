// Paging that no boot loader sets up (five levels, contexts, PAE's pointers, tables outside of RAM), on every back end that
// shows its guest a PC. The guests are ROMs, which go through every mode by themselves.
import { assertEquals } from "@std/assert";
import { CR4 } from "../base/registers.ts";
import { PC_BACKENDS, runFile } from "./testing_files.ts";
import { postCodes, rom } from "./testing_rom.ts";

const BASE = 0xf0000;
/** Tables in RAM: five levels, and a table for the second 2 MiB. */
const T = {
  pml5: 0x1000,
  pml4: 0x2000,
  pdpt: 0x3000,
  pd: 0x4000,
  pt: 0x5000,
  idt: 0x6000,
} as const;

/**
 * A ROM that goes on in 64-bit code (`bits` 64) or in 32-bit code with PAE: the first 2 MiB are mapped as they are. Faults
 * write their vector and error code to port 0x80 and go on at R15 (EBP).
 */
function paged(bits: 32 | 64, cr4: number, cr3: number, text: string): Uint8Array {
  const long = bits === 64;
  const [a, sp, resume] = long ? ["rax", "rsp", "r15"] : ["eax", "esp", "ebp"];
  const gate = (vector: number) =>
    [
      `mov ${a}, ${BASE} + fault${vector}`,
      `mov [${T.idt + vector * (long ? 16 : 8)}], ax`,
      `mov word [${T.idt + vector * (long ? 16 : 8) + 2}], 8`,
      `shr ${a}, 16`,
      `mov word [${T.idt + vector * (long ? 16 : 8) + 4}], 0x8e00`,
      `mov [${T.idt + vector * (long ? 16 : 8) + 6}], ax`,
    ].join("\n");
  const fault = (vector: number) =>
    [
      `fault${vector}: mov al, ${vector}`,
      "out 0x80, al",
      `pop ${a}`,
      "out 0x80, al",
      `mov [${sp}], ${resume}`,
      long ? "iretq" : "iretd",
    ].join("\n");
  return rom(`start: cli
    xor  ax, ax
    mov  ds, ax
    o32 lgdt [cs:gdtr]
    mov  dword [${T.pml5}], ${T.pml4} + 3
    mov  dword [${T.pml4}], ${T.pdpt} + 3
    mov  dword [${T.pdpt}], ${T.pd} + ${long ? 3 : 1}
    mov  dword [${T.pd}], 0x83
    mov  dword [${T.pd + 8}], ${T.pt} + 3
    mov  eax, ${cr4}
    mov  cr4, eax
    mov  eax, ${cr3}
    mov  cr3, eax
    mov  ecx, 0xc0000080
    mov  eax, ${long ? 0x100 : 0}
    xor  edx, edx
    wrmsr
    mov  eax, 0x80010001
    mov  cr0, eax
    jmp  dword 8:${BASE} + wide
  gdtr: dw 0x17
    dd   ${BASE} + gdt
  idtr: dw 0xff
    dq   ${T.idt}
  gdt: dq 0, ${long ? "0x00af9b000000ffff" : "0x00cf9b000000ffff"}, 0x00cf93000000ffff
    bits ${bits}
  wide: mov ax, 0x10
    mov  ds, ax
    mov  ss, ax
    mov  ${sp}, 0x7f00
    lidt [${BASE} + idtr]
    ${gate(13)}
    ${gate(14)}
    ${text}
    hlt
  ${fault(13)}
  ${fault(14)}
    bits 16`);
}

function agree(guest: Uint8Array, expected: readonly number[]): void {
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    assertEquals([postCodes(trace), trace.end], [[...expected], { kind: "halt" }], backend);
  }
}

Deno.test("five levels of page tables translate 57 bits, for data and code, on every back end", () => {
  agree(
    paged(
      64,
      CR4.PAE | CR4.LA57,
      T.pml5,
      `
      mov  dword [${T.pml5 + 8}], ${T.pml4} + 3
      mov  byte [0x500], 0x5a
      mov  rbx, 1 << 48
      mov  al, [rbx + 0x500]
      out  0x80, al
      mov  r15, ${BASE} + after
      mov  rcx, 1 << 56
      mov  al, [rcx]
    after: mov r15, ${BASE} + later
      mov  al, [rbx + rbx]           ; the third entry is absent
    later: lea rax, [rbx + ${BASE} + there]
      jmp  rax
    there: lea rdx, [rel there]
      shr  rdx, 48
      mov  eax, edx
      out  0x80, al
      mov  rax, ${BASE} + back
      jmp  rax
    back: mov r15, ${BASE} + done
      mov  rax, cr4
      btr  rax, 12
      mov  cr4, rax
    done: mov rax, cr4
      shr  rax, 12
      and  al, 1
      out  0x80, al`,
    ),
    [0x5a, 13, 0, 14, 0, 1, 13, 0, 1],
  );
});

Deno.test("contexts keep apart and lose what they are told to, on every back end", () => {
  const page = 0x20_0000;
  agree(
    paged(
      64,
      CR4.PAE,
      T.pml4,
      `
      mov  rax, cr4
      bts  rax, 17
      mov  cr4, rax
      mov  byte [0x8000], 1
      mov  byte [0x9000], 2
      mov  dword [${T.pt}], 0x8003
      mov  rax, ${T.pml4} + 1
      mov  cr3, rax
      mov  al, [${page}]
      out  0x80, al
      mov  dword [${T.pt}], 0x9003
      mov  qword [0x7000], 1         ; the descriptor of INVPCID
      mov  qword [0x7008], ${page}
      xor  ebx, ebx
      invpcid rbx, [0x7000]
      mov  al, [${page}]
      out  0x80, al
      mov  dword [${T.pt}], 0x8003
      mov  ebx, 1
      invpcid rbx, [0x7000]
      mov  al, [${page}]
      out  0x80, al
      mov  dword [${T.pt}], 0x9003
      mov  ebx, 3
      invpcid rbx, [0x7000]
      mov  al, [${page}]
      out  0x80, al
      mov  dword [${T.pt}], 0x8103   ; global
      mov  ebx, 2
      invpcid rbx, [0x7000]
      mov  al, [${page}]
      out  0x80, al
      mov  rax, ${T.pml4} + 2
      bts  rax, 63
      mov  cr3, rax
      mov  rax, cr3
      out  0x80, al
      mov  r15, ${BASE} + bad
      mov  ebx, 4
      invpcid rbx, [0x7000]
    bad: mov r15, ${BASE} + worse
      mov  qword [0x7000], 0x1000
      mov  ebx, 1
      invpcid rbx, [0x7000]
    worse: mov rax, cr4
      btr  rax, 17
      mov  cr4, rax
      mov  al, 0xcc
      out  0x80, al`,
    ),
    [1, 2, 1, 2, 1, 2, 13, 0, 13, 0, 0xcc],
  );
});

Deno.test("PAE's pointers are what MOV CR3 has loaded, on every back end", () => {
  const page = 0x4000_0000;
  agree(
    paged(
      32,
      CR4.PAE,
      T.pdpt,
      `
      mov  byte [0x500], 1
      mov  dword [${T.pt}], 0x200003
      mov  byte [0x200500], 2
      mov  dword [${T.pt}], 0x83     ; two directories, of the first and the second 2 MiB
      mov  dword [0x9000], 0x200083
      mov  dword [${T.pdpt + 8}], ${T.pt} + 1
      mov  eax, cr3
      mov  cr3, eax
      mov  al, [${page} + 0x500]
      out  0x80, al
      mov  dword [${T.pdpt + 8}], 0x9001
      invlpg [${page}]
      mov  al, [${page} + 0x500]
      out  0x80, al
      mov  eax, cr3
      mov  cr3, eax
      mov  al, [${page} + 0x501]
      mov  al, [${page} + 0x500]
      out  0x80, al
      mov  dword [${T.pdpt + 8}], 0x9003 ; a reserved bit
      mov  ebp, ${BASE} + on
      mov  eax, cr3
      mov  cr3, eax
    on: mov al, [${page} + 0x500]
      out  0x80, al`,
    ),
    [1, 1, 2, 13, 0, 2],
  );
});

Deno.test("page tables outside of RAM are all ones, on every back end", () => {
  agree(
    paged(
      64,
      CR4.PAE,
      T.pml4,
      `
      mov  dword [${T.pd + 16}], 0x40000003
      mov  r15, ${BASE} + first
      mov  al, [0x400000]
    first: mov r15, ${BASE} + second
      mov  dword [${T.pdpt + 8}], 0xfee00003 ; the local APIC
      mov  [0x40000000], al
    second: mov al, 0xcc
      out  0x80, al`,
    ),
    [14, 9, 14, 0xb, 0xcc],
  );
});
