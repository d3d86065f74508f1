// Where QEMU 7.2's translator does not do as the manual says, or the manual leaves it open. Each entry names the paragraph;
// nothing else is forgiven.
import { Code, type Instruction, Mnemonic, OpKind, RegisterExt } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import { PAGE_FAULT } from "../../cpu/mmu.ts";
import type { Difference } from "./compare.ts";
import { TYPE } from "../../cpu/linear.ts";
import { ATTRIBUTE } from "../../cpu/state.ts";
import { AT, GDT_BYTES, ROOT } from "./machine.ts";
import { registerOf, type Situation } from "./situation.ts";

/** An instruction that random trials leave out. */
export interface Avoided {
  readonly why: string;
  avoids(insn: Instruction, bytes: Uint8Array): boolean;
}

const oneOf = (...codes: Code[]) => (insn: Instruction) => codes.includes(insn.code);
const UNPREDICTABLE = new Set<Mnemonic>([
  ...[Mnemonic.Rdrand, Mnemonic.Rdseed, Mnemonic.Rdpid],
]);
const CACHE_LINES = new Set<Mnemonic>([
  ...[Mnemonic.Clflush, Mnemonic.Clflushopt, Mnemonic.Clwb],
]);
const isLegacyPrefix = (byte: number) =>
  [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3].includes(byte);
const isRex = (byte: number) => (byte & 0xf0) === 0x40;

export const AVOIDED: readonly Avoided[] = [
  {
    why:
      "F6 /1 and F7 /1 are TEST on every processor; the manual leaves them blank, QEMU raises #UD " +
      "(SDM vol. 2, table A-6; AMD64 APM vol. 3, table A-6)",
    avoids: oneOf(
      Code.Test_rm8_imm8_F6r1,
      Code.Test_rm16_imm16_F7r1,
      Code.Test_rm32_imm32_F7r1,
      Code.Test_rm64_imm32_F7r1,
    ),
  },
  {
    why: "BSWAP of a 16-bit register is undefined (SDM vol. 2, BSWAP)",
    avoids: (insn) => insn.mnemonic === Mnemonic.Bswap && RegisterExt.size(insn.op0Register) === 2,
  },
  {
    why: "SHLD and SHRD of 16 bits by more than 16 are undefined (SDM vol. 2, SHLD)",
    avoids: (insn) =>
      oneOf(
        Code.Shld_rm16_r16_imm8,
        Code.Shld_rm16_r16_CL,
        Code.Shrd_rm16_r16_imm8,
        Code.Shrd_rm16_r16_CL,
      )(insn) && !(insn.op2Kind === OpKind.Immediate8 && (insn.immediate8 & 31) <= 16),
  },
  {
    why:
      "BSF and BSR of zero leave 32-bit registers undefined, upper half included (SDM vol. 2, BSF)",
    avoids: oneOf(Code.Bsf_r32_rm32, Code.Bsr_r32_rm32),
  },
  {
    why:
      "0F 18 with a register is a reserved NOP; QEMU raises #UD (SDM vol. 2, table A-6, group 16)",
    avoids: (insn) => insn.mnemonic === Mnemonic.Reservednop,
  },
  {
    why:
      "RIP counts from the end of the whole instruction; QEMU forgets the count of SHLD and SHRD (SDM vol. 2, 2.2.1.6)",
    avoids: (insn) =>
      (insn.mnemonic === Mnemonic.Shld || insn.mnemonic === Mnemonic.Shrd) &&
      insn.isIpRelMemoryOperand,
  },
  {
    why:
      "CLFLUSH and CLFLUSHOPT fault as loads do; QEMU's does nothing, and it has no CLFLUSHOPT nor CLWB (SDM vol. 2, CLFLUSH)",
    avoids: (insn) => CACHE_LINES.has(insn.mnemonic),
  },
  {
    why: "random numbers differ, and QEMU 7.2 has no RDPID (SDM vol. 2, RDRAND, RDSEED, RDPID)",
    avoids: (insn) => UNPREDICTABLE.has(insn.mnemonic),
  },
  {
    why: "REX before another prefix is ignored; QEMU heeds it (SDM vol. 2, 2.2.1)",
    avoids: (_, bytes) =>
      bytes.some((byte, i) =>
        isRex(byte) && isLegacyPrefix(bytes[i + 1] ?? 0) && startsOpcode(bytes, i)
      ),
  },
];

/** Is everything before `end` a prefix? */
function startsOpcode(bytes: Uint8Array, end: number): boolean {
  return bytes.subarray(0, end).every((byte) => isLegacyPrefix(byte) || isRex(byte));
}

/** A difference that is QEMU's doing. */
export interface Lenience {
  readonly why: string;
  covers(difference: Difference, situation: Situation): boolean;
}

const { P, W, RSVD } = PAGE_FAULT;
const RF_BYTE = 2;
const PAGE = 0x1000n, MAX_OPERAND = 16n;
const ACCESSED = 0x20;
const STATUS = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF;
/** Do two bytes or numbers differ in these bits alone? */
const onlyIn = ({ theirs, ours }: Difference, mask: number) =>
  ((Number(theirs) ^ Number(ours)) & ~mask) === 0;
const isDescriptor = (address: number | undefined) =>
  address !== undefined && address >= AT.gdt && address < AT.gdt + GDT_BYTES;
const isTable = (address: number | undefined) =>
  address !== undefined &&
  ((address >= AT.tables && address < AT.tables + 0xc000) ||
    (address >= ROOT.la57 && address < ROOT.la57 + 0x1000));
const STRING_COMPARES = new Set<Mnemonic>([
  ...[Mnemonic.Cmpsb, Mnemonic.Cmpsw, Mnemonic.Cmpsd, Mnemonic.Cmpsq],
]);

/** Trials of the system table on which QEMU is altogether wrong. */
const QUIRKS: readonly (readonly [trial: RegExp, why: string])[] = [
  [
    /^mov ax, 0x0\+3; mov ss/,
    "a null SS needs an RPL equal to the CPL (SDM vol. 2, MOV, #GP(selector))",
  ],
  [
    /wrgsbase rdx$|^mov ecx, 0xc0000101; mov edx, 0x1000000; wrmsr/,
    "bases are canonical (SDM vol. 2, WRGSBASE; vol. 4, IA32_GS_BASE)",
  ],
  [
    /^mov rax, 0x7ffffffffffe; mov ecx, \[rax\]$/,
    "an access that ends where no address is canonical is #GP (SDM vol. 1, 3.3.7.1), also where its first page is absent: " +
    "so it is on AMD's Zen 4; QEMU raises #PF",
  ],
  [/^mov eax, 16; mov cr8/, "CR8 has four bits (SDM vol. 2, MOV CR)"],
  [/lss rsp, \[rbx\]$/, "LSS with REX.W takes m16:64 (SDM vol. 2, LSS); AMD's and QEMU's do not"],
  [
    /o64 jmp far \[rbx\]$/,
    "a far jump to an address that is not canonical faults before it is done (SDM vol. 2, JMP)",
  ],
  [
    /^mov rax, 0x800000000000; jmp rax$/,
    "so does a near one (SDM vol. 2, JMP, 64-bit mode exceptions)",
  ],
  [
    /^mov sp, 1; push ax$/,
    "a stack that ends at 64 KiB takes no fault: shutdown; QEMU checks no limit (SDM vol. 2, PUSH, real-address mode exceptions)",
  ],
  [
    /mov rax, 0x800000000000; push (.*push rax; iretq|rax; ret)$/,
    "a return to an address that is not canonical faults before it is done (SDM vol. 2, IRET, RET)",
  ],
  [
    /^syscall$/,
    "SYSCALL is for 64-bit code alone (SDM vol. 2, SYSCALL, #UD); AMD's works in compatibility mode",
  ],
  [
    /^mov dx, 0x60; xor ecx, ecx; rep outsb/,
    "a string instruction repeated zero times does nothing; QEMU asks for the port's permission (SDM vol. 2, REP)",
  ],
];

export const LENIENCES: readonly Lenience[] = [
  {
    why: "QEMU leaves RF clear in the flags that a fault pushes (SDM vol. 3, 18.3.1.1)",
    covers: (d, { fault }) =>
      fault !== undefined && d.address === fault.flags + RF_BYTE && onlyIn(d, RFLAGS.RF >> 16),
  },
  {
    why:
      "an access that reads and writes is judged as a write; QEMU reads first, and tells of a read " +
      "(SDM vol. 3, 4.7, W/R flag)",
    covers: (d, { fault, culprit }) =>
      fault?.vector === VECTOR.PF && d.address === fault.code && culprit?.modifies === true &&
      onlyIn(d, W | (Number(d.ours) & RSVD ? P : 0)),
  },
  {
    why:
      "and where it crosses into a page that may not even be read, QEMU tells of that one (SDM vol. 3, 4.7, W/R flag)",
    covers: (d, { fault, culprit, theirs, ours }) => {
      if (fault?.vector !== VECTOR.PF || culprit?.modifies !== true) return false;
      const [next, first] = [registerOf(theirs, "cr2"), registerOf(ours, "cr2")];
      const crosses = next % PAGE === 0n && next > first && next - first < MAX_OPERAND;
      return crosses && (d.what === "cr2" || d.address === fault.code && onlyIn(d, W | P | RSVD));
    },
  },
  {
    why:
      "whether a walk that ends in a fault marks the entries above as accessed is left open; QEMU marks them, the " +
      "embedded CPU does not, nor does Bochs (SDM vol. 3, 4.8)",
    covers: (d, { fault }) =>
      fault?.vector === VECTOR.PF && isTable(d.address) && onlyIn(d, ACCESSED),
  },
  {
    why: "RSVD comes with P: entries that are absent have no reserved bits; QEMU leaves P clear " +
      "(SDM vol. 3, 4.7, RSVD flag)",
    covers: (d, { fault }) =>
      fault?.vector === VECTOR.PF && d.address === fault.code && (Number(d.ours) & RSVD) !== 0 &&
      onlyIn(d, P),
  },
  {
    why: "PAE's page-directory pointers have no accessed bit; QEMU sets it (SDM vol. 3, table 4-8)",
    covers: (d) => d.address === ROOT.pae && onlyIn(d, ACCESSED),
  },
  {
    why:
      "flags that an instruction reads before it faults are mixed up by QEMU, which has unpacked half of them",
    covers: (d, { fault, culprit }) =>
      fault !== undefined && culprit?.readsFlags === true &&
      (d.what === "rflags" || d.address === fault.flags || d.address === fault.flags + 1) &&
      onlyIn(d, d.address === fault.flags + 1 ? STATUS >> 8 : STATUS),
  },
  {
    why:
      "which operand of CMPS is read first, and which fault is told, is nowhere said (SDM vol. 2, CMPS)",
    covers: (d, { fault, culprit }) =>
      fault?.code !== undefined && culprit !== undefined &&
      STRING_COMPARES.has(culprit.mnemonic) &&
      (d.what === "cr2" || isTable(d.address) && onlyIn(d, ACCESSED) ||
        d.address !== undefined && d.address >= fault.at && d.address < fault.code + 4),
  },
  {
    why: "PUSHA stores AX first, at the highest address; QEMU DI (SDM vol. 2, PUSHA)",
    covers: (d, { fault, culprit }) =>
      fault?.vector === VECTOR.PF && culprit !== undefined &&
      (culprit.mnemonic === Mnemonic.Pusha || culprit.mnemonic === Mnemonic.Pushad) &&
      (d.what === "cr2" || d.address === fault.code || d.what === "memory"),
  },
  {
    why:
      "an address through SS that is not canonical is #SS; QEMU raises #GP (SDM vol. 1, 3.3.7.1)",
    covers: (d, { fault, theirs }) =>
      fault?.vector === VECTOR.SS && d.address === fault.at && d.theirs === BigInt(VECTOR.GP) &&
      theirs.registers["bits"] === "64",
  },
  {
    why:
      "an interrupt stack at the same level leaves SS alone; QEMU makes it null (SDM vol. 2, INT n, " +
      "INTRA-PRIVILEGE-LEVEL-INTERRUPT; vol. 3, 6.14.5)",
    covers: (d, { ours }) =>
      d.what.startsWith("ss.") && ours.end === "handler" &&
      ours.registers["ss.selector"] === "10" &&
      ours.registers["efer"] !== "0",
  },
  {
    why: "a far transfer marks its code segment as accessed; QEMU does not (SDM vol. 3, 3.4.5.1)",
    covers: (d) =>
      (d.what === "cs.attributes" || (isDescriptor(d.address) && (d.address ?? 0) % 8 === 5)) &&
      onlyIn(d, TYPE.ACCESSED),
  },
  {
    why:
      "LDTR or SS with a null selector has no limit nor rights; QEMU keeps the old ones (SDM vol. 2, LLDT, IRET)",
    covers: (d, { ours }) =>
      (d.what.startsWith("ldtr.") && registerOf(ours, "ldtr.selector") < 4n) ||
      (/^ss.(limit|attributes)/.test(d.what) && registerOf(ours, "ss.selector") < 4n),
  },
  {
    why:
      "an error code tells an IDT entry's number times 8; QEMU's tells it times 16 in long mode " +
      "(SDM vol. 3, figure 6-7)",
    covers: (d, { fault, trial }) =>
      fault?.code !== undefined && trial.mode.family === "long" &&
      (fault.errorCode ?? 0) % 8 === 2 &&
      (d.address === fault.code || d.address === fault.code + 1),
  },
  {
    why:
      "SYSENTER in long mode, and SYSEXIT to it, load a CS whose D bit is clear; QEMU sets it (SDM vol. 2, SYSENTER, SYSEXIT)",
    covers: (d, { trial }) =>
      d.what === "cs.attributes" && /; (sysenter|o64 sysexit)$/.test(trial.name) &&
      onlyIn(d, ATTRIBUTE.DB),
  },
  {
    why:
      "LAR leaves bits 16 to 19 undefined; processors give those of the limit, QEMU zeros (SDM vol. 2, LAR)",
    covers: (d, { trial }) => /\blar\b/.test(trial.name) && onlyIn(d, 0xf_0000),
  },
  ...QUIRKS.map(([trial, why]): Lenience => ({
    why,
    covers: (_, { trial: { name } }) => trial.test(name),
  })),
  {
    why:
      "QEMU checks no segment limits, types or null selectors on access (SDM vol. 3, 5.3 to 5.5)",
    covers: (_, { fault, culprit }) =>
      (fault?.vector === VECTOR.GP || fault?.vector === VECTOR.SS) &&
      (fault.errorCode ?? 0) === 0 && culprit?.refused === true,
  },
];
