// Instructions that access memory in every way, for trials of segmentation.

/** Status flags, for those that the manual leaves undefined. */
const F = { PF: 0x4, AF: 0x10, ZF: 0x40, SF: 0x80, OF: 0x800 } as const;
const MULTIPLY = F.SF | F.ZF | F.AF | F.PF;
const BIT = F.OF | F.SF | F.AF | F.PF;

export interface Snippet {
  /** With the memory operand in its place. */
  readonly text: (memory: string) => string;
  /** Bytes accessed. */
  readonly size: number;
  readonly undefinedFlags?: number;
  /** Goes by ESI, EDI and ECX. */
  readonly string?: boolean;
  /**
   * A near CALL. The manual looks at its target before it pushes, Bochs 2.7 behind it: the stack always has room, and what lies
   * below it is not compared.
   */
  readonly call?: boolean;
  /**
   * The stack pointer is in the middle of its segment. Bochs 2.7 does not wrap it between the parts of a far return, and of a
   * selector with 32 bits it reads 16, as it writes them: the manual lets processors do either (vol. 2, PUSH). And it reads the
   * slot that POPA skips (vol. 2, POPA).
   */
  readonly inside?: boolean;
  /** Pushes a selector of 32 bits, of which processors may write the upper half or not (SDM vol. 2, PUSH). */
  readonly partial?: boolean;
  /** Goes where memory says. */
  readonly wild?: boolean;
  /** EBP is in the stack. */
  readonly frame?: boolean;
}

const OPERANDS = { 1: ["byte", "cl"], 2: ["word", "cx"], 4: ["dword", "ecx"] } as const;
const SIZES = [1, 2, 4] as const;

function plain(): Snippet[] {
  return SIZES.flatMap((size) => {
    const [word, register] = OPERANDS[size];
    const of = (text: string, undefinedFlags = 0): Snippet => ({
      size,
      undefinedFlags,
      text: (m) => text.replace("M", `${word} ${m}`).replace("R", register),
    });
    return [
      of("mov R, M"),
      of("mov M, R"),
      of("mov M, 0x12"),
      of("add R, M"),
      of("add M, R"),
      of("sbb M, 5"),
      of("cmp M, R"),
      of("and M, R", F.AF),
      of("test M, R", F.AF),
      of("inc M"),
      of("neg M"),
      of("not M"),
      of("xchg M, R"),
      of("xadd M, R"),
      of("lock cmpxchg M, R"),
      of("cmpxchg M, R"),
      of("shl M, 1", F.AF),
      of("rol M, 1"),
      of("mul M", MULTIPLY),
      of("div M", F.OF | F.ZF | F.SF | F.AF | F.PF | 1),
      ...(size > 1
        ? [
          of("imul R, M", MULTIPLY),
          of("cmovz R, M"),
          of("bt M, 3", BIT),
          of("btc M, 3", BIT),
          of("push M"),
          of("pop M"),
        ]
        : [of("setz M"), of("movsx eax, M"), of("movzx ax, M")]),
    ];
  });
}

const isWild = (text: string) => /^(o\d\d )?(call|jmp) .*M|^(o\d\d )?ret|lss/.test(text);
const isCall = (text: string) => /^(o\d\d )?call (?!far)/.test(text);

const isPartial = (text: string) => /push [defgs]s/.test(text);

const one = (text: string, size: number, undefinedFlags = 0): Snippet => ({
  size,
  call: isCall(text),
  wild: isWild(text),
  partial: isPartial(text),
  undefinedFlags,
  text: (m) => text.replace("M", m),
});

const OTHERS: readonly Snippet[] = [
  one("movups xmm1, M", 16),
  one("movups M, xmm1", 16),
  one("movlps xmm2, M", 8),
  one("movlps M, xmm2", 8),
  one("movss xmm3, M", 4),
  one("cvtsi2sd xmm1, dword M", 4),
  one("movd M, mm1", 4),
  one("movq mm2, M", 8),
  one("paddb mm2, M", 8),
  one("cmpxchg8b M", 8),
  one("bound eax, M", 8),
  one("bound ax, M", 4),
  one("les ecx, M", 6),
  one("lfs cx, M", 4),
  one("lss ecx, M", 6),
  one("sgdt M", 6),
  one("sidt M", 6),
  one("smsw word M", 2),
  one("mov word M, ds", 2),
  one("mov fs, word M", 2),
  one("ldmxcsr M", 4),
  one("stmxcsr M", 4),
  one("push fs\n    pop word M", 2),
  one("xlatb", 1),
  one("call word M", 2),
  one("call dword M", 4),
  one("jmp word M", 2),
  one("jmp dword M", 4),
  one("jmp far word M", 4),
  one("call far dword M", 6),
  one("lea eax, M", 4),
  one("prefetcht0 M", 1),
  one("nop word M", 2),
  one("invlpg M", 1),
];

const stack = (text: string, frame = false): Snippet => ({
  size: 4,
  frame,
  call: isCall(text),
  wild: isWild(text),
  // Bochs pushes 16 bits of a segment register, as Intel's newer processors do; the engine 32 (SDM vol. 2, PUSH).
  inside: ["retf", "pop es", "popa", "popad"].includes(text) || isPartial(text),
  partial: isPartial(text),
  text: () => text,
});
const STACK: readonly Snippet[] = [
  ...["push eax", "push ax", "push dword 0x12345678", "push word 5", "push -1", "push esp"],
  ...["pop eax", "pop ax", "pop esp", "pusha", "pushad", "popa", "popad", "pushf", "pushfd"],
  ...["popf", "popfd", "push ds", "push es", "pop es", "o32 push gs", "ret 4", "o16 ret"],
  ...["call $+5", "o16 call $+6", "retf"],
].map((text) => stack(text)).concat(
  ["enter 0, 0", "enter 8, 0", "enter 4, 1", "enter 4, 3", "leave", "o16 leave", "o32 leave"]
    .map((text) => stack(text, true)),
);

const string = (text: string, size: number): Snippet => ({ size, string: true, text: () => text });
const STRINGS: readonly Snippet[] = ["b", "w", "d"].flatMap((suffix, i) =>
  ["movs", "stos", "lods", "cmps", "scas"].flatMap((name) =>
    ["", "rep ", ...(/^[cs][mc]/.test(name) ? ["repne "] : []), "es rep ", "a32 rep ", "a16 rep "]
      .filter((prefix) => !prefix.startsWith("es") || !/^(stos|scas)/.test(name))
      .map((prefix) => string(`${prefix}${name}${suffix}`, 1 << i))
  )
);

export const SNIPPETS: readonly Snippet[] = [...plain(), ...OTHERS, ...STACK, ...STRINGS];

/** Transfers whose targets may lie outside of the code segment; EAX is at its limit or beyond it. */
export const BRANCHES: readonly Snippet[] = [
  ...["jmp eax", "jmp ax", "call eax", "call ax", "push eax\n    o32 ret", "push ax\n    o16 ret"],
  ...["push eax\n    o32 ret 4", "nop", "nop\n    nop\n    mov eax, 0x12345678\n    inc eax"],
  ...["jmp short $+0x20", "jz $+0x18", "jnz $+0x18", "loop $+0x18", "loope $+8", "jcxz $+0x18"],
  ...["o32 jmp strict dword $+0x10000", "call $+0x20", "jmp short $+3\n    nop\n    nop"],
  ...[
    "jz $+0x7000",
    "o32 jnz $+0x12000",
    "o32 call $+0x12000",
    "ud2",
    "clts",
    "smsw ecx\n    inc eax",
  ],
].map((text) => stack(text));
