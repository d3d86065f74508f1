// Sensitive instructions at random, in kernel and user mode: whatever a technique does about them (inline, callout, exit,
// execute), the guest must not be able to tell. That is Popek and Goldberg's equivalence, instruction by instruction.
import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { gate, generator, runProgram } from "./testing_runs.ts";

/** Exceptions that the instructions below raise on purpose. All skip to where R14 points. */
const FAULTS = [0, 3, 6, 10, 11, 12, 13, 14];
const WITH_CODE: ReadonlySet<number> = new Set([10, 11, 12, 13, 14]);
/** A system call of the user's: it does nothing. */
const NOTHING = 0x50;
/** Ends user mode. */
const FINISH = 0x51;

/** Instructions to choose from; `N` becomes a small number, `L` the number of the step. RBX gathers results. */
const TEMPLATES = [
  "pushfq\n pop rax\n xor rbx, rax",
  "mov eax, N\n shl eax, 9\n or eax, 2\n push rax\n popfq",
  "cli",
  "sti",
  "mov ax, cs\n add rbx, rax",
  "mov ax, ss\n add rbx, rax",
  "mov eax, 0x10\n mov ds, ax",
  "mov eax, 0x23\n mov es, ax\n mov ax, es\n add rbx, rax",
  "mov eax, N*8\n mov fs, ax\n mov ax, fs\n add rbx, rax",
  "push fs\n pop rax\n add rbx, rax",
  "mov rax, cr0\n add rbx, rax",
  "mov rax, cr3\n add rbx, rax",
  "mov rax, cr4\n add rbx, rax",
  "mov rax, cr0\n mov cr0, rax",
  "mov rax, cr3\n mov cr3, rax",
  "mov rax, cr4\n mov cr4, rax",
  "mov eax, N\n mov cr8, rax\n mov rcx, cr8\n add rbx, rcx",
  "mov rax, N\n mov cr2, rax\n mov rax, cr2\n add rbx, rax",
  "clts",
  "smsw ax\n add rbx, rax",
  "sub rsp, 16\n sgdt [rsp]\n mov rax, [rsp]\n add rbx, rax\n add rsp, 16",
  "sub rsp, 16\n sidt [rsp]\n mov rax, [rsp+2]\n add rbx, rax\n add rsp, 16",
  "sub rsp, 16\n sidt [rsp]\n lidt [rsp]\n add rsp, 16",
  "sub rsp, 16\n sgdt [rsp]\n lgdt [rsp]\n add rsp, 16",
  "str ax\n add rbx, rax",
  "sldt ax\n add rbx, rax",
  "xor eax, eax\n lldt ax",
  "mov ecx, N*8\n lar eax, ecx\n add rbx, rax",
  "mov ecx, N*8\n lsl eax, ecx\n add rbx, rax",
  "mov ecx, N*8\n verr cx\n setz al\n add bl, al",
  "mov ecx, N*8\n verw cx\n setz al\n add bl, al",
  "mov ecx, 0xc0000082\n rdmsr\n add rbx, rax",
  "mov ecx, 0xc0000101\n mov eax, N\n xor edx, edx\n wrmsr",
  "mov ecx, 0xc0000102\n mov eax, N*16\n xor edx, edx\n wrmsr",
  "swapgs\n mov ecx, 0xc0000101\n rdmsr\n add rbx, rax",
  "mov ecx, 0x12345\n rdmsr",
  "mov ecx, 0xc0000080\n rdmsr\n wrmsr",
  "xor eax, eax\n cpuid\n xor r8, rbx\n add r9, rcx\n mov rbx, r8",
  "mov eax, N\n mov dr0, rax\n mov rax, dr0\n add rbx, rax",
  "mov rax, dr7\n add rbx, rax",
  "in al, 0x80\n add rbx, rax",
  "mov al, N\n out 0x80, al",
  "mov edx, 0x80\n lea rsi, [rsp]\n outsb",
  "mov edx, 0x80\n lea rdi, [rsp-64]\n insb",
  "invlpg [rsp]",
  "push N\n push 0\n mov eax, N-2\n invpcid rax, [rsp]",
  "push N*4096\n push N\n mov eax, 0\n invpcid rax, [rsp]",
  "mov rax, cr4\n btc rax, 17\n mov cr4, rax\n add rbx, rax",
  "mov rax, cr4\n btc rax, 12\n mov cr4, rax",
  "mov rax, cr4\n btc rax, 7\n mov cr4, rax",
  "mov rax, cr3\n bts rax, 63\n mov cr3, rax\n add rbx, rax",
  "mov rax, cr3\n xor rax, N\n mov cr3, rax\n mov rax, cr3\n add rbx, rax",
  "wbinvd",
  "invd",
  "int3",
  "int 0x50",
  "int 0x60",
  "ud2",
  "xor edx, edx\n mov ecx, N-3\n mov eax, 10\n div ecx\n add rbx, rax",
  "mov rax, [rsp+N*8-64]\n add rbx, rax",
  "mov rax, 0x40000000\n mov [rax], ebx",
  "mov rax, 0x800000000000\n mov [rax], ebx",
  "push rsp\n pop rax\n add rbx, rax",
  "lea rax, [rel retL]\n push 8\n push rax\n retfq\nretL:",
  "mov rax, rsp\n push 0x10\n push rax\n pushfq\n push 8\n lea rax, [rel iretL]\n push rax\n iretq\niretL:",
  "call callL\n jmp endL\ncallL: inc rbx\n ret\nendL:",
  "pause",
  "vmcall",
  "hlt_if_user",
];

function program(seed: number, user: boolean, length: number): string {
  const random = generator(seed);
  const steps: string[] = [];
  for (let i = 0; i < length; i++) {
    const template = TEMPLATES[random(TEMPLATES.length)] ?? "";
    // HLT in the kernel would wait; in user mode it faults.
    const text = template === "hlt_if_user" ? (user ? "hlt" : "nop") : template;
    const filled = text.replaceAll("N", String(random(9))).replaceAll(/(\w+)L\b/g, `$1${i}`);
    steps.push(`    lea r14, [rel step${i}]`, `    mov r15, rsp`, filled, `step${i}:`);
  }
  const iopl = random(2) * 0x3000;
  const enter = user
    ? `push 0x23
    push 0x80000
    push ${0x2 + iopl}
    push 0x2b
    lea rax, [rel steps]
    push rax
    iretq`
    : "";
  const handlers = FAULTS.map((vector) => `
fault${vector}:
    ${WITH_CODE.has(vector) ? "pop rax" : `mov eax, ${vector + 0x100}`}
    rol rbx, 7
    add rbx, rax
    jmp skip`);
  return `start:
    ${
    FAULTS.map((vector) => gate(vector, `fault${vector}`, vector === 3 ? 0xee00 : 0x8e00)).join(
      "\n",
    )
  }
    ${gate(NOTHING, "nothing", 0xee00)}
    ${gate(FINISH, "finish", 0xee00)}
    ; All of the first 2 MiB is the user's too.
    mov   edi, 0x7000
    mov   ecx, 512
.open:
    or    qword [rdi], 4
    add   edi, 8
    loop  .open
    mov   rax, cr3
    mov   cr3, rax
    xor   ebx, ebx
    ${enter}
steps:
${steps.join("\n")}
    ${user ? `int ${FINISH}` : ""}
finish:
    cli
    hlt
nothing:
    iretq
skip:
    mov   [rsp], r14
    mov   [rsp+24], r15
    iretq
${handlers.join("")}`;
}

const BACKENDS: readonly Backend[] = ["full-bt", "full-hw", "full-hw/shadow"];
/** Page-table entries at entry; the registers that hold what the clock or the stack left are compared too. */
for (let seed = 1; seed <= 12; seed++) {
  const user = seed % 2 === 0;
  const mode = user ? "user" : "kernel";
  Deno.test(`no technique shows through sensitive instructions in ${mode} mode (seed ${seed})`, () => {
    const text = program(0x2545f491 * seed, user, 150);
    const run = (backend: Backend) => {
      const { end, final, counts, cycles: _ } = runProgram(backend, text);
      return { end, registers: final.registers, instructions: counts.instructions };
    };
    const native = run("native");
    assertEquals(native.end, { kind: "halt" });
    for (const backend of BACKENDS) assertEquals(run(backend), native, `${backend}, seed ${seed}`);
  });
}
