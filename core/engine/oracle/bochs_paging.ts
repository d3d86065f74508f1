// Paging in long mode, on Bochs and on the engine: a ROM that tries one access after the other, each under entries and control
// registers of its own, and prints what fault came of it and what became of the entries. Unlike QEMU's, Bochs' walk marks
// entries only when the access is granted, and tells a write that reads first from a read.
import { renderDiagnostic } from "../../base/diagnostic.ts";
import { CR0, CR4, EFER, RFLAGS } from "../../base/registers.ts";
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { descriptor } from "../../guest/boot.ts";
import { type BochsImage, OUTPUT_PORT, ROM_AT, ROM_BYTES, SHUT_DOWN } from "./bochs.ts";
import { Random } from "./random.ts";

/** Where things are; linear and physical addresses are the same below 2 MiB. */
const AT = {
  gdt: 0x1000,
  tss: 0x2000,
  idt: 0x3000,
  running: 0x5000,
  /** The instruction that a page begins with, to be put back. */
  ending: 0x5008,
  innerStack: 0x8000,
  stack: 0x8800,
  /** Page tables: of the ROM, and from `tried` on of what is tried. */
  tables: 0x10000,
  tried: 0x14000,
  /** What a 4-KiB page is, and the same place in pages of 2 MiB and 1 GiB. */
  frame: 0x17000,
  /** What is done to it, at level 3 and at level 0. */
  userCode: 0x18000,
  kernelCode: 0x19000,
  /** Bochs loads RAM block by block of 128 KiB: what is there from the start lies within one. */
  end: 0x20000,
  records: 0x100000,
  largeFrame: 0x200000,
} as const;
const STUB_BYTES = 16;
/** Entry 1 of the first level, and then the page at `AT.frame`. */
const LINEAR = (1n << 39n) + BigInt(AT.frame);
const SLOT = AT.frame >> 12;
const SELECTOR = { code: 0x08, data: 0x10, userData: 0x1b, userCode: 0x23, tss: 0x28 } as const;
const END_VECTOR = 0x30;
const HANDLED = [6, 13, 14, END_VECTOR];
const BASE_CR0 = BigInt(CR0.PE | CR0.ET | CR0.NE | CR0.WP) | BigInt(CR0.PG);
const BASE_CR4 = BigInt(CR4.PAE);
const BASE_EFER = BigInt(EFER.LME | EFER.LMA | EFER.NXE);

const [P, RW, US, A, D, PS, G] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n, 0x100n];
const NX = 1n << 63n;
const TABLE = P | RW;

/** Of a record: eight bytes each. */
const FIELDS = ["rip", "cs", "rflags", "ss", "cr0", "cr4", "efer", "e0", "e1", "e2", "e3"] as const;
type PagingRecord = Readonly<Record<typeof FIELDS[number], bigint>>;
const field = (name: typeof FIELDS[number]) => 8 * FIELDS.indexOf(name);

/** The accesses, in order: RBX points at the page. */
const STUBS = [
  "mov eax, [rbx]",
  "mov [rbx], eax",
  "inc dword [rbx]",
  "jmp rbx",
  "mov eax, [rbx + 0xffe]",
  "cmp [rbx], eax",
  "push qword [rbx + 8]",
  "movups xmm0, [rbx]",
];

const load = (name: typeof FIELDS[number]) => `mov rax, [rsi + ${field(name)}]`;
const ENTRIES = [
  AT.tables + 8,
  AT.tried,
  AT.tried + 0x1000,
  AT.tried + 0x2000 + 8 * SLOT,
];

const ROM = `
    bits 16
start:
    cli
    o32 lgdt [cs:gdtr - ${ROM_AT}]
    mov   eax, ${BASE_CR4}
    mov   cr4, eax
    mov   eax, ${AT.tables}
    mov   cr3, eax
    mov   ecx, 0xc0000080
    mov   eax, ${EFER.LME | EFER.NXE}
    xor   edx, edx
    wrmsr
    mov   eax, ${BASE_CR0}
    mov   cr0, eax
    jmp   dword ${SELECTOR.code}:long
gdtr:
    dw    0x37
    dd    ${AT.gdt}
    dd    0
    bits 64
idtr:
    dw    ${16 * (END_VECTOR + 1) - 1}
    dq    ${AT.idt}
long:
    mov   ax, ${SELECTOR.data}
    mov   ds, ax
    mov   es, ax
    mov   ss, ax
    mov   rsp, ${AT.innerStack}
    mov   ax, ${SELECTOR.tss}
    ltr   ax
    lidt  [abs idtr]
    mov   qword [abs ${AT.running}], ${AT.records}
trial:
    mov   rsi, [abs ${AT.running}]
    cmp   qword [rsi], 0
    je    finished
    mov   rax, [abs ${AT.ending}]
    mov   [abs ${AT.frame}], rax
    mov   [abs ${AT.largeFrame + AT.frame}], rax
${
  ENTRIES.map((at, i) => `    ${load(`e${i as 0 | 1 | 2 | 3}`)}\n    mov [abs ${at}], rax`).join(
    "\n",
  )
}
    mov   rax, cr3
    mov   cr3, rax
    mov   ecx, 0xc0000080
    mov   eax, [rsi + ${field("efer")}]
    xor   edx, edx
    wrmsr
    ${load("cr4")}
    mov   cr4, rax
    push  qword [rsi + ${field("ss")}]
    push  qword ${AT.stack}
    push  qword [rsi + ${field("rflags")}]
    push  qword [rsi + ${field("cs")}]
    push  qword [rsi + ${field("rip")}]
    mov   rbx, ${LINEAR}
    xor   edx, edx
    mov   cr2, rdx
    ${load("cr0")}
    mov   cr0, rax
    mov   eax, 0x12345678
    iretq
${
  HANDLED.map((vector) =>
    `stub${vector}: ${
      [6, END_VECTOR].includes(vector) ? "push 0\n" : ""
    }    push ${vector}\n    jmp common`
  ).join("\n")
}
common:
    mov   rax, ${BASE_CR0}
    mov   cr0, rax
    mov   rax, ${BASE_CR4}
    mov   cr4, rax
    mov   ecx, 0xc0000080
    mov   eax, ${EFER.LME | EFER.NXE}
    xor   edx, edx
    wrmsr
    pop   rbx
    call  print
    pop   rbx
    call  print
    mov   rbx, cr2
    call  print
${ENTRIES.map((at) => `    mov   rbx, [abs ${at}]\n    call  print`).join("\n")}
    mov   al, 10
    out   ${OUTPUT_PORT}, al
    mov   rsp, ${AT.innerStack}
    add   qword [abs ${AT.running}], ${8 * FIELDS.length}
    jmp   trial
; RBX in hexadecimal, without leading zeros, and a blank
print:
    mov   ecx, 16
.skip:
    cmp   ecx, 1
    je    .digit
    rol   rbx, 4
    test  bl, 15
    jnz   .first
    dec   ecx
    jmp   .skip
.first:
    ror   rbx, 4
.digit:
    rol   rbx, 4
    mov   al, bl
    and   al, 15
    cmp   al, 10
    jb    .decimal
    add   al, 'a' - '0' - 10
.decimal:
    add   al, '0'
    out   ${OUTPUT_PORT}, al
    dec   ecx
    jnz   .digit
    mov   al, ' '
    out   ${OUTPUT_PORT}, al
    ret
finished:
${SHUT_DOWN}
    times ${ROM_AT + ROM_BYTES - 16}-$ db 0
    bits 16
    jmp   ${ROM_AT >> 4}:start - ${ROM_AT}
    times ${ROM_AT + ROM_BYTES}-$ db 0
`;

/** Records in 128 KiB, the last of which is empty. */
const MAX_TRIALS = Math.floor(0x20000 / (8 * FIELDS.length)) - 1;

/** The ROM and RAM that try so many accesses. */
export function pagingImage(
  count: number,
  seed: number,
): BochsImage & { readonly names: string[] } {
  if (count > MAX_TRIALS) throw new RangeError(`At most ${MAX_TRIALS} trials fit`);
  const random = new Random(seed);
  const records = Array.from({ length: count }, () => randomRecord(random));
  const rom = assembled(ROM, ROM_AT);
  const code = new Uint8Array((count + 1) * 8 * FIELDS.length);
  const view = new DataView(code.buffer);
  records.forEach((record, i) =>
    FIELDS.forEach((name, j) =>
      view.setBigUint64(8 * (i * FIELDS.length + j), BigInt.asUintN(64, record[name]), true)
    )
  );
  const names = records.map((record) =>
    FIELDS.map((name) => `${name}=${BigInt.asUintN(64, record[name]).toString(16)}`).join(" ")
  );
  const frame = assembled(`    int ${END_VECTOR}`, 0).bytes;
  return {
    names,
    rom: rom.bytes,
    ram: [
      { address: AT.gdt, bytes: lowMemory(rom.symbols, frame) },
      { address: AT.records, bytes: code },
    ],
  };
}

function lowMemory(symbols: Readonly<Record<string, bigint>>, frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(AT.end - AT.gdt);
  const view = new DataView(bytes.buffer);
  const put = (address: number, value: bigint) =>
    view.setBigUint64(address - AT.gdt, BigInt.asUintN(64, value), true);
  const flat = 0xffff_ffff;
  const segments: [number, number][] = [
    [SELECTOR.code, 0xa09b],
    [SELECTOR.data, 0xc093],
    [SELECTOR.userData, 0xc0f3],
    [SELECTOR.userCode, 0xa0fb],
  ];
  for (const [selector, attributes] of segments) {
    put(AT.gdt + (selector & ~7), descriptor(0, flat, attributes));
  }
  put(AT.gdt + SELECTOR.tss, descriptor(AT.tss, 0x67, 0x89));
  put(AT.tss + 4, BigInt(AT.innerStack));
  for (const vector of HANDLED) {
    const handler = symbols[`stub${vector}`] ?? 0n;
    const access = vector === END_VECTOR ? 0xeen : 0x8en;
    put(
      AT.idt + 16 * vector,
      (handler & 0xffffn) | BigInt(SELECTOR.code) << 16n | access << 40n | (handler >> 16n) << 48n,
    );
  }
  // The first 2 MiB, page by page: the kernel's, but for the code of level 3.
  const open = TABLE | US | A;
  [0, 1, 2].forEach((level) => {
    const next = BigInt(AT.tables + 0x1000 * (level + 1));
    put(AT.tables + 0x1000 * level, next | open);
  });
  for (let page = 0; page < 512; page++) {
    const user = page === AT.userCode >> 12 ? US : 0n;
    put(AT.tables + 0x3000 + 8 * page, BigInt(page) << 12n | TABLE | A | D | user);
  }
  STUBS.forEach((text, i) => {
    const stub = assembled(`    ${text}\n    int ${END_VECTOR}`, 0).bytes;
    for (const at of [AT.userCode, AT.kernelCode]) bytes.set(stub, at + i * STUB_BYTES - AT.gdt);
  });
  put(AT.tables + 0x2008, BigInt(AT.largeFrame) | TABLE | PS | A | D);
  bytes.set(frame, AT.ending - AT.gdt);
  return bytes;
}

/** Mostly generous bits, and one surprise or two. */
function entryBits(random: Random): bigint {
  let bits = TABLE | US;
  for (const bit of [A, D]) if (random.oneIn(2)) bits |= bit;
  for (const bit of [P, RW, US]) if (random.oneIn(6)) bits &= ~bit;
  for (const bit of [G, NX]) if (random.oneIn(6)) bits |= bit;
  // Above the forty bits that both processors have, and below the ignored ones.
  if (random.oneIn(20)) bits |= 1n << BigInt(40 + random.below(12));
  return bits;
}

function randomRecord(random: Random): PagingRecord {
  const user = random.oneIn(2);
  const large = random.below(5);
  const turned = (value: bigint, bit: number) => random.oneIn(2) ? value ^ BigInt(bit) : value;
  const level = (address: number) => BigInt(address) | entryBits(random);
  const huge = () =>
    entryBits(random) | PS | (random.oneIn(4) ? 1n << BigInt(12 + random.below(9)) : 0n);
  const stub = random.below(STUBS.length);
  return {
    rip: BigInt((user ? AT.userCode : AT.kernelCode) + STUB_BYTES * stub),
    cs: BigInt(user ? SELECTOR.userCode : SELECTOR.code),
    ss: BigInt(user ? SELECTOR.userData : SELECTOR.data),
    rflags: BigInt(RFLAGS.FIXED) | (random.oneIn(2) ? BigInt(RFLAGS.AC) : 0n),
    cr0: turned(BASE_CR0, CR0.WP),
    cr4: [CR4.PGE, CR4.SMEP, CR4.SMAP].reduce(turned, BASE_CR4 | BigInt(CR4.OSFXSR)),
    efer: turned(BASE_EFER, EFER.NXE) & ~BigInt(EFER.LMA),
    e0: level(AT.tried) | (random.oneIn(20) ? PS : 0n),
    e1: large === 0 ? huge() : level(AT.tried + 0x1000),
    e2: large === 1 ? BigInt(AT.largeFrame) | huge() : level(AT.tried + 0x2000),
    e3: level(AT.frame),
  };
}

function assembled(text: string, origin: number) {
  const source = sourceOfFile({ name: "paging.asm", text });
  const bits = origin === ROM_AT ? 16 : 64;
  const { assembled, diagnostics } = assemble([source], { bits, origin });
  if (!assembled) throw new Error(diagnostics.map(renderDiagnostic).join("\n"));
  return assembled;
}
