// Instructions whose operand is device memory, the test device's, do as they do in RAM: whichever the instruction, however many
// accesses it makes, and whoever takes its exits.
import { assert, assertEquals } from "@std/assert";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import { PROGRAM_BASE } from "../guest/layout.ts";
import { TEST_MEMORY_BASE } from "../machine/devices/test_device.ts";
import { PC_BACKENDS, runFile } from "./testing_files.ts";

/** RDI is in the middle of 128 bytes; R9 and R10 are free, and nothing that depends on RDI may stay in RAX to RDX. */
const FORMS: readonly string[] = [
  ...["b", "w", "l", "q"].flatMap((size) => {
    const [name, a, b] = {
      b: ["byte", "al", "bl"],
      w: ["word", "ax", "bx"],
      l: ["dword", "eax", "ebx"],
      q: ["qword", "rax", "rbx"],
    }[size] ?? [];
    return [
      `add ${name} [rdi+1], ${b}`,
      `adc ${b}, [rdi]`,
      `lock xor ${name} [rdi], 0x55`,
      `inc ${name} [rdi+3]`,
      `rcl ${name} [rdi], 1`,
      `lock xadd [rdi], ${b}`,
      `xchg [rdi-1], ${b}`,
      `mov ${a}, [rdi]\nlock cmpxchg [rdi], ${b}`,
      `mul ${name} [rdi]\ncmp eax, ebx`,
      `cmp ${a}, [rdi+60]`,
    ];
  }),
  "lock bts dword [rdi], 7",
  "btc qword [rdi], rcx",
  "shld [rdi], rbx, 9\nmov cl, 1",
  "mov rax, [rdi]\nmov rdx, [rdi+8]\nlock cmpxchg16b [rdi]",
  "movsx ebx, byte [rdi+2]",
  "cmovc rbx, [rdi]",
  "push qword [rdi]\npop qword [rdi+9]",
  "mov r9, rsp\nlea rsp, [rdi+32]\npush rax\npush 5\npushfq\npop rbx\npop rcx\npop rdx\nmov rsp, r9",
  "lea r9, [rel here]\nmov [rdi], r9d\nmov word [rdi+4], cs\ncall dword far [rdi]\njmp after\nhere: mov ebx, 7\nretf\nafter: mov qword [rdi], 0",
  "mov r9, rdi\nlea rsi, [rdi+40]\nmov ecx, 5\nrep movsq\nsub rdi, r9\nmov rbx, rdi",
  "mov r9, rdi\nmov ecx, 19\nrep stosb\nsub rdi, r9\nmov rbx, rdi",
  "mov r9, rdi\nlea rsi, [rdi+32]\nmov rax, [rdi]\nmov [rsi], rax\nmov ecx, 20\nrepe cmpsb\nsub rdi, r9\nmov rbx, rdi",
  "mov rsi, rdi\nmov ecx, 3\nmov edx, 0x80\nrep outsb\nsub rsi, rdi\nmov rbx, rsi",
  "mov r9, rdi\nmov ecx, 3\nmov edx, 0x80\nrep insb\nsub rdi, r9\nmov rbx, rdi",
  "sgdt [rdi]\nlgdt [rdi]",
  "sidt [rdi+2]\nlidt [rdi+2]",
  "smsw [rdi]\nstr [rdi+2]",
  "mov word [rdi], 0\nmov fs, [rdi]\nmov [rdi+2], gs",
  "mov word [rdi], cs\nlar ebx, [rdi]",
  "movups xmm0, [rdi+1]\nmovaps [rdi+16], xmm0",
  "paddd xmm0, [rdi]",
  "movhps [rdi], xmm0",
  "cvttsd2si rbx, [rdi]",
  "pextrw [rdi], xmm0, 3",
  "fld dword [rdi]\nfstp qword [rdi+8]",
  "fild qword [rdi]\nfistp qword [rdi+8]",
  "fld1\nfstp tword [rdi]",
  "fnstcw [rdi]\nfldcw [rdi]",
  "stmxcsr [rdi]\nldmxcsr [rdi]",
  "movbe rbx, [rdi]",
];

/** Each form in RAM and in the device; the number of one that makes a difference is printed. */
const program = `bits 64
start:
    ; The last of four gigabytes, one to one.
    mov   rax, cr3
    mov   rax, [rax]
    and   rax, -4096
    mov   ecx, 0xc0000083
    mov   [rax+24], rcx
    mov   rsp, stack
    fninit
${
  FORMS.map((_, i) =>
    `    lea   r15, [rel form${i}]
    mov   r14d, ${i + 1}
    call  both`
  ).join("\n")
}
    xor   eax, eax
    out   0xf4, al
both:
    mov   ebp, ram
    mov   r13d, results
    call  once
    mov   ebp, ${TEST_MEMORY_BASE}
    mov   r13d, results + 256
    call  once
    mov   esi, results
    mov   edi, results + 256
    mov   ecx, 256
    repe  cmpsb
    je    same
    mov   eax, r14d
    out   0xe9, al
same:
    ret
once:
    xor   ecx, ecx
    mov   rax, 0x3ff2345678abcdef
fill:
    mov   [rbp+rcx*8], rax
    ror   rax, 5
    inc   ecx
    cmp   ecx, 16
    jb    fill
    lea   rdi, [rbp+48]
    mov   rbx, 0xfedcba9876543210
    mov   ecx, 3
    mov   edx, 0x1234
    movq  xmm0, rbx
    push  0x8d7
    popfq
    call  r15
    pushfq
    pop   r9
    cld
    mov   [r13], rax
    mov   [r13+8], rbx
    mov   [r13+16], rcx
    mov   [r13+24], rdx
    mov   [r13+32], r9
    movups [r13+48], xmm0
    mov   rsi, rbp
    lea   rdi, [r13+128]
    mov   ecx, 16
    rep   movsq
    ret
${FORMS.map((form, i) => `form${i}:\n${named(form, i)}\n    ret`).join("\n")}
results equ 0x200000
ram equ 0x201000
stack equ 0x203000
`;

/** Labels of a form are its own. */
function named(form: string, i: number): string {
  return form.replace(/\b(here|after)\b/g, `$1${i}`);
}

Deno.test("instructions do in device memory as they do in RAM, on every back end", () => {
  const { assembled, diagnostics } = assemble(
    [sourceOfFile({ name: "forms.asm", text: program })],
    { bits: 64, origin: PROGRAM_BASE },
  );
  assert(assembled, diagnostics.map(renderDiagnostic).join("\n"));
  for (const backend of PC_BACKENDS) {
    const { console, end } = runFile(backend, { guest: assembled.bytes }, { format: "flat" });
    assertEquals([...console].map((number) => FORMS[number - 1]), [], backend);
    assertEquals(end, { kind: "shutdown", code: 0 }, backend);
  }
});
