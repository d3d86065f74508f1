// Lines of assembly for the test against NASM: every form of the table with made-up operands, from a fixed seed.
import { formsOf, mnemonics } from "../isa/forms.ts";
import { KINDS } from "../isa/kinds.ts";
import { sizeName } from "../operand.ts";

export type Bits = 16 | 32 | 64;

/** A small generator of pseudo-random numbers (xorshift32), so that a seed stands for a corpus. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** An integer from 0 to `below` - 1. */
  roll(below: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % below;
  }

  pick<T>(from: readonly [T, ...T[]]): T {
    return from[this.roll(from.length)] ?? from[0];
  }
}

type Names = readonly [string, ...string[]];

const LOW: Readonly<Record<string, Names>> = {
  gpr8: ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"],
  gpr16: ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"],
  gpr32: ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"],
  gpr64: ["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r12", "r13", "r15"],
  segment: ["es", "ss", "ds", "fs", "gs"],
  control: ["cr0", "cr2", "cr3", "cr4"],
  debug: ["dr0", "dr3", "dr6", "dr7"],
  test: ["tr3", "tr6", "tr7"],
  st: ["st1", "st2", "st5", "st7"],
  mm: ["mm0", "mm3", "mm7"],
  xmm: ["xmm0", "xmm1", "xmm6", "xmm7"],
  ymm: ["ymm0", "ymm2", "ymm7"],
  bound: ["bnd0", "bnd3"],
};
/** Registers that only 64-bit code has. */
const HIGH: Readonly<Record<string, Names>> = {
  gpr8: ["spl", "dil", "r8b", "r15b"],
  gpr16: ["r8w", "r13w"],
  gpr32: ["r8d", "r12d", "r13d"],
  control: ["cr8"],
  xmm: ["xmm8", "xmm15"],
  ymm: ["ymm9", "ymm15"],
};

const NUMBERS: Names = ["0", "1", "5", "-1", "-5", "127", "128", "-128", "-129", "255", "0x1234"];
const WIDE: Names = [...NUMBERS, "0x7fffffff", "0x12345678", "-0x80000000"];

/** An address in brackets, of any shape the mode has. */
export function address(bits: Bits, dice: Dice): string {
  const displacement = dice.pick(["", "", "+8", "-8", "+127", "+128", "-129", "+0x1234"]);
  const segment = dice.roll(8) === 0 ? dice.pick(["fs:", "gs:"]) : "";
  if (bits === 16 && dice.roll(4) !== 0) {
    const base = dice.pick(["bx", "bp", "si", "di", "bx+si", "bx+di", "bp+si", "di+bp", "0x1234"]);
    return `[${segment}${base}${displacement}]`;
  }
  const wide = bits === 64 && dice.roll(4) !== 0;
  const registers: Names = wide ? LOW.gpr64 as Names : LOW.gpr32 as Names;
  const base = dice.pick(registers);
  let index = dice.pick(registers);
  if (index === "rsp" || index === "esp") index = wide ? "r9" : "edi";
  const shape = dice.roll(9);
  switch (shape) {
    case 0:
      return `[${segment}0x1234]`;
    case 1:
      return `[${segment}${index}*${
        dice.pick(["1", "2", "3", "4", "5", "8", "9"])
      }${displacement}]`;
    case 2:
      return `[${segment}${base}+${index}${displacement}]`;
    case 3:
      return `[${segment}${index}*${dice.pick(["2", "4", "8"])}+${base}${displacement}]`;
    case 4:
      return `[${segment}8+${base}+${index}*${dice.pick(["2", "4", "8"])}${displacement}]`;
    case 5:
      return bits === 64 ? `[rel start${displacement}]` : `[start${displacement}]`;
    default:
      return `[${segment}${base}${displacement}]`;
  }
}

function operand(kindName: string, memorySize: number, bits: Bits, dice: Dice): string | undefined {
  const kind = KINDS[kindName];
  if (!kind) return undefined;
  if (kind.far) {
    return `${kind.far === 16 ? "word " : "dword "}${dice.pick(["8", "0x1234"])}:${
      dice.pick(["0", "0x5678"])
    }`;
  }
  if (kind.branch) {
    const { bytes, bits: size } = kind.branch;
    if (bytes === 1) return dice.pick(["short $", "short $+20", "$-50"]);
    return `${size === 16 ? "word " : size === 32 ? "dword " : ""}${
      dice.pick(["near $+5", "$+300", "near start"])
    }`;
  }
  if (kind.immediate) {
    const { bytes, only, extendedTo } = kind.immediate;
    if (only !== undefined) return String(only);
    if (bytes === 1 && extendedTo !== 0) return dice.pick(["5", "-5", "byte 7", "127"]);
    if (bytes === 1) return dice.pick(["0", "1", "7", "-1", "200"]);
    if (bytes === 2) return dice.pick([...NUMBERS, "start"]);
    if (bytes === 8) {
      return dice.pick([...WIDE, "0x123456789abcdef0", "0xffffffff", "start", "end-start"]);
    }
    return dice.pick([...WIDE, "start", "end-start", "strict dword 5"]);
  }
  const named = kind.register
    ? dice.pick(
      bits === 64 && dice.roll(3) === 0
        ? HIGH[kind.register] ?? LOW[kind.register] ?? ["?"]
        : kind.register === "gpr64" || bits !== 64
        ? (LOW[kind.register] ?? ["?"])
        : LOW[kind.register] ?? ["?"],
    )
    : undefined;
  if (kind.memory && (!named || dice.roll(2) === 0)) {
    if (kind.memory === "direct") return bits === 64 ? "[qword 0x1122334455667788]" : `[0x1234]`;
    const size =
      memorySize === 0 || memorySize > 32 || ![1, 2, 4, 8, 10, 16, 32].includes(memorySize)
        ? ""
        : sizeName(memorySize) + " ";
    return `${kind.memory === "far" ? "far " : ""}${size}${address(bits, dice)}`;
  }
  return named ?? kindName;
}

/** Lines that use every form which exists in the mode, `rounds` times each. */
export function formLines(bits: Bits, rounds: number, dice: Dice): string[] {
  const mode = bits === 16 ? 1 : bits === 32 ? 2 : 4;
  const lines: string[] = [];
  for (const mnemonic of mnemonics()) {
    for (const form of formsOf(mnemonic) ?? []) {
      if ((form.modes & mode) === 0) continue;
      for (let round = 0; round < rounds; round++) {
        const operands = form.kinds.map((kind) => operand(kind, form.memorySize, bits, dice));
        if (operands.some((o) => o === undefined)) break;
        lines.push(`${mnemonic} ${operands.join(", ")}`.trim());
        if (form.kinds.length === 0) break;
      }
    }
  }
  return lines;
}

/** A program of jumps, data, padding and addresses that all depend on each other. */
export function randomProgram(bits: Bits, length: number, dice: Dice): string {
  const labels = Math.max(2, Math.floor(length / 8));
  const label = () => `l${dice.roll(labels)}`;
  const register = bits === 16 ? "ax" : bits === 32 ? "ecx" : "rdx";
  const base = bits === 16 ? "bx" : bits === 32 ? "ebx" : "rbx";
  const lines = Array.from({ length }, () => {
    switch (dice.roll(16)) {
      case 0:
      case 1:
      case 2:
        return `jmp ${label()}`;
      case 3:
      case 4:
        return `j${dice.pick(["z", "nc", "g", "be"])} ${label()}`;
      case 5:
        return `call ${label()}`;
      case 6:
        return `mov ${register}, ${label()} - ${label()}`;
      case 7:
        return `add ${register}, ${label()} - ${label()}`;
      case 8:
        return `mov ${register}, [${base} + ${label()} - ${label()}]`;
      case 9:
        return `push ${dice.pick(["5", "300", label(), `${label()} - ${label()}`])}`;
      case 10:
        return `times ${dice.roll(40)} nop`;
      case 11:
        return `align ${dice.pick(["2", "4", "8", "16"])}`;
      case 12:
        return `dd ${label()} - $, ${label()}`;
      case 13:
        return bits === 64 ? `lea ${register}, [rel ${label()}]` : `mov ${register}, [${label()}]`;
      case 14:
        return `times ${dice.roll(120)} db ${dice.roll(256)}`;
      default:
        return `mov ${register}, ${label()}`;
    }
  });
  for (let i = 0; i < labels; i++) lines.splice(dice.roll(lines.length + 1), 0, `l${i}:`);
  return lines.join("\n") + "\n";
}
