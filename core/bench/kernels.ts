// The compute loops that are timed, as text for the assembler. The same bytes run on the embedded engine and on QEMU: they
// stand at 1 MiB, in long mode, and end by QEMU's isa-debug-exit.

export interface Kernel {
  readonly name: string;
  readonly about: string;
  /** The program, for a number of rounds; it uses RAM below {@linkcode KERNEL_MEMORY}. */
  readonly program: (rounds: number) => string;
  /** Rounds for one sample: about half a second. */
  readonly rounds: number;
}

/** RAM that the kernels need, in bytes. */
export const KERNEL_MEMORY = 8 << 20;

const END = `
    xor   eax, eax
    out   0xf4, al
    hlt
`;

/** Registers only: what translation makes of the plainest loop. */
const arithmetic: Kernel = {
  name: "add/xor/add/dec/jnz",
  about: "registers only",
  rounds: 200_000_000,
  program: (rounds) => `
start:
    mov   ecx, ${rounds}
.next:
    add   rax, rcx
    xor   rbx, rax
    add   rdx, rbx
    dec   rcx
    jnz   .next
${END}`,
};

/** Bytes in memory: what the check of every address costs. */
const sieve: Kernel = {
  name: "sieve of 1 MiB",
  about: "a store to memory every third instruction",
  rounds: 60,
  program: (rounds) => `
    size equ 0x100000
start:
    mov   r8d, ${rounds}
.again:
    mov   edi, 0x200000
    mov   ecx, size / 8
    xor   eax, eax
.clear:
    mov   [rdi], rax
    add   rdi, 8
    dec   ecx
    jnz   .clear
    mov   esi, 2
.outer:
    cmp   byte [rsi + 0x200000], 0
    jne   .skip
    lea   rdi, [rsi + rsi]
.mark:
    mov   byte [rdi + 0x200000], 1
    add   rdi, rsi
    cmp   rdi, size
    jb    .mark
.skip:
    inc   esi
    cmp   esi, 1024
    jb    .outer
    dec   r8d
    jnz   .again
${END}`,
};

/** Calls and returns, which are indirect branches: fib(24) by recursion. */
const fibonacci: Kernel = {
  name: "fib(24), recursive",
  about: "two calls and returns every dozen instructions",
  rounds: 100,
  program: (rounds) => `
start:
    mov   esp, 0x180000
    mov   r8d, ${rounds}
.again:
    mov   edi, 24
    call  fib
    dec   r8d
    jnz   .again
${END}
fib:
    cmp   edi, 2
    jb    .small
    push  rdi
    dec   edi
    call  fib
    pop   rdi
    push  rax
    lea   edi, [rdi - 2]
    call  fib
    pop   rdx
    add   rax, rdx
    ret
.small:
    mov   eax, edi
    ret
`,
};

export const KERNELS: readonly Kernel[] = [arithmetic, sieve, fibonacci];
