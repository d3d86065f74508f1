// Random states for one form: registers that lead its memory operand, its stack and its branch to where they may be, and
// values that make it do something. What may come out as a fault is left in: both sides have to raise it.
import { type Instruction, MemorySizeExt, OpKind, Register, RegisterExt } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { STATUS_FLAGS } from "../../cpu/lazy_flags.ts";
import { nameOf } from "./encodings.ts";
import { type Form, OPERANDS } from "./forms.ts";
import { PLACE } from "./host_stub.ts";
import type { HostState } from "./host_cpu.ts";
import type { Values } from "./values.ts";
import { END, fillVectors, setVector } from "./vector_program.ts";

/** Flags that programs see and that can be anything. */
export const FLAGS = STATUS_FLAGS | BigInt(RFLAGS.DF);
const IDLE_FLAGS = BigInt(RFLAGS.FIXED | RFLAGS.IF);
/** What POPF may load in this process: no trap flag, no alignment checks, no I/O privilege. */
const POPPED_FLAGS = FLAGS | IDLE_FLAGS;

const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5, RSI = 6, RDI = 7;
/** Where the stack is in the scratch memory. */
const STACK = 1216;
const STRINGS = /^(Movs|Stos|Lods|Cmps|Scas)[bwdq]_|^Maskmov/;
const BIT_STRINGS = /^Bt[rsc]?_/, DIVISIONS = /^I?div_/;

/** Index in encoding order. */
const indexOf = (register: Register) => RegisterExt.number(RegisterExt.fullRegister(register));

export class States {
  readonly #insn: Instruction;
  readonly #name: string;
  readonly #operandSize: number;
  readonly #base: number | undefined;
  readonly #index: number | undefined;
  readonly #indexHigh: boolean;
  readonly #scale: bigint;
  readonly #displacement: bigint;
  readonly #addressBits: number;
  readonly #hasMemory: boolean;
  readonly #bitIndex: number | undefined;
  readonly #jumpsTo: "memory" | number | undefined;
  readonly #noise: Uint8Array;

  constructor(readonly form: Form, readonly values: Values) {
    const insn = this.#insn = form.insn;
    this.#name = nameOf(form.code);
    this.#operandSize = Math.max(8, MemorySizeExt.size(insn.memorySize));
    this.#hasMemory = [0, 1, 2, 3].some((i) =>
      i < insn.opCount && insn.opKind(i) === OpKind.Memory
    );
    const { memoryBase: base, memoryIndex: index } = insn;
    const relative = base === Register.RIP || base === Register.EIP;
    this.#base = base === Register.None || relative ? undefined : indexOf(base);
    this.#index = index === Register.None ? undefined : indexOf(index);
    this.#indexHigh = index === Register.AL;
    this.#scale = BigInt(insn.memoryIndexScale);
    this.#displacement = insn.memoryDisplacement;
    this.#addressBits = 8 * (base === Register.None ? 8 : RegisterExt.size(base));
    const bitString = BIT_STRINGS.test(this.#name) && insn.op1Kind === OpKind.Register;
    this.#bitIndex = bitString ? indexOf(insn.op1Register) : undefined;
    const indirect = insn.isJmpNearIndirect || insn.isCallNearIndirect;
    this.#jumpsTo = !indirect
      ? undefined
      : insn.op0Kind === OpKind.Memory
      ? "memory"
      : indexOf(insn.op0Register);
    const noise = values.u64();
    this.#noise = Uint8Array.from(
      { length: 2 * END },
      (_, i) => Number(noise >> BigInt(i * 7 % 57) & 0xffn) ^ Math.imul(i, 0x9d),
    );
  }

  next(): HostState {
    const { values, form } = this;
    const from = values.below(END);
    const memory = this.#noise.slice(from, from + END);
    const view = new DataView(memory.buffer);
    const few = [values.word(), values.word(), values.word()];
    const registers = Array.from(
      { length: 16 },
      () => values.below(4) ? values.pick(few) : values.word(),
    );
    let flags = IDLE_FLAGS | values.u64() & STATUS_FLAGS;
    const vector = form.kind === "vector" ? fillVectors(view, values) : undefined;
    this.#special(registers, view);
    if (STRINGS.test(this.#name)) {
      this.#strings(registers);
      if (values.oneIn(2)) flags |= BigInt(RFLAGS.DF);
    }
    const offset = this.#place(registers);
    if (offset !== undefined) {
      // Operands of 16 bytes are half of one value and half of another as often as not.
      const value = vector?.() ?? (values.pick(few) | values.pick(few) << 64n);
      if (values.below(4)) setVector(view, offset, value);
      if (this.#jumpsTo === "memory") view.setBigUint64(offset, BigInt(form.taken), true);
    }
    if (form.bits === 32) registers.forEach((v, i) => registers[i] = BigInt.asUintN(32, v));
    return { registers, flags, memory };
  }

  /** What particular instructions need. */
  #special(registers: bigint[], view: DataView): void {
    const { values, form } = this;
    const stack = STACK + 8 * values.below(8) + (values.oneIn(8) ? values.below(8) : 0);
    registers[RSP] = BigInt(PLACE.scratch + stack);
    const insn = this.#insn;
    if (insn.isStackInstruction) {
      if (/^(Leave|Enter)/.test(this.#name)) registers[RBP] = BigInt(PLACE.scratch + STACK + 64);
      if (/^Ret/.test(this.#name)) view.setBigUint64(stack, BigInt(form.taken), true);
      if (/^Popf/.test(this.#name)) {
        const popped = view.getBigUint64(stack, true) & POPPED_FLAGS | IDLE_FLAGS;
        view.setBigUint64(stack, popped, true);
      }
    }
    if (/^(Loop|J.?cxz)/.test(this.#name)) registers[RCX] = BigInt(values.below(3));
    if (typeof this.#jumpsTo === "number") registers[this.#jumpsTo] = BigInt(form.taken);
    if (DIVISIONS.test(this.#name) && values.below(4)) {
      // A quotient that fits, mostly: the upper half of the dividend is no more than its sign.
      const lower = registers[RAX] ?? 0n;
      registers[RDX] = values.oneIn(2) ? BigInt(values.below(3)) : BigInt.asIntN(64, lower) >> 63n;
      registers[RDX] = BigInt.asUintN(64, registers[RDX]);
      if (values.oneIn(2)) registers[RAX] = lower & 0xffn;
    }
    if (this.#bitIndex !== undefined && this.#hasMemory) {
      registers[this.#bitIndex] = BigInt.asUintN(64, BigInt(values.below(2048) - 1024)) &
        // What lies above the operand does not count.
        (values.oneIn(2) ? ~0n : (1n << BigInt(8 * MemorySizeExt.size(insn.memorySize))) - 1n);
      registers[this.#bitIndex] = BigInt.asUintN(64, registers[this.#bitIndex] ?? 0n);
    }
    if (this.#indexHigh) registers[RBX] = BigInt(PLACE.scratch + OPERANDS);
  }

  /** Both ends of a string, and how often. */
  #strings(registers: bigint[]): void {
    const { values } = this;
    const place = () => BigInt(PLACE.scratch + OPERANDS + 8 * values.below(64) + values.below(8));
    const far = this.form.kind === "vector" ? 0n : BigInt(values.below(2)) << 40n;
    const narrow = this.#insn.opKind(0) === OpKind.MemoryESEDI ||
      this.#insn.opKind(0) === OpKind.MemorySegESI || this.#insn.opKind(1) === OpKind.MemorySegESI;
    registers[RSI] = place() | (narrow ? far : 0n);
    registers[RDI] = place() | (narrow ? far : 0n);
    registers[RCX] = BigInt(values.below(20)) | (narrow ? far : 0n);
  }

  /** Leads the memory operand into the scratch memory; where it is there. */
  #place(registers: bigint[]): number | undefined {
    if (!this.#hasMemory) return undefined;
    const { values } = this;
    if (this.#indexHigh) return OPERANDS;
    const wide = this.#operandSize > 8;
    const from = this.#base === RSP ? STACK : OPERANDS;
    const offset = from + 64 * values.below(8) +
      (values.oneIn(6) ? values.below(16) : wide ? 0 : 8 * values.below(8));
    let index = 0n;
    if (this.#index !== undefined) {
      // A stack instruction's own operand and its stack share RSP: both have to be in reach.
      const near = this.#base === undefined || this.#base === RSP && this.#insn.isStackInstruction;
      const small = BigInt(near ? values.below(8) : values.below(200));
      const any = !near && this.#bitIndex === undefined && values.oneIn(2);
      index = any ? registers[this.#index] ?? 0n : small;
      registers[this.#index] = index;
      index *= this.#scale;
    }
    if (this.#base === undefined) {
      return Number(this.#displacement + index) - PLACE.scratch;
    }
    const linear = BigInt(PLACE.scratch + offset);
    const base = BigInt.asUintN(this.#addressBits, linear - index - this.#displacement);
    // What lies above the address size does not count.
    const above = this.#addressBits === 32 && this.form.bits === 64 && this.#base !== RSP
      ? BigInt(values.below(2)) << 45n
      : 0n;
    registers[this.#base] = base | above;
    return offset;
  }
}
