// Pushes and pops that take effect together: the stack pointer moves only when the instruction can't fault any more.
import { type Segment, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import type { Loading } from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { withinLimit } from "./linear.ts";
import { writePart } from "./operands.ts";
import { ATTRIBUTE } from "./state.ts";
import { isCanonical } from "./walk.ts";

const RSP = 4;

/** Where a stack is, and as whom it is accessed. */
export interface StackPlace {
  readonly ss: Loading;
  readonly sp: bigint;
  /** Bytes of the stack pointer in use. */
  readonly width: 2 | 4 | 8;
  readonly user: boolean;
  /** Error code of #SS: 0, or the selector of a stack being switched to. */
  readonly errorCode: number;
}

/** Bytes of the stack pointer that `ss` gives to code that is 64-bit or not. */
export function stackWidth(ss: Segment, sixtyFour: boolean): 2 | 4 | 8 {
  return sixtyFour ? 8 : ss.attributes & ATTRIBUTE.DB ? 4 : 2;
}

/** A stack that is being worked on. */
export class Stack {
  readonly #cpu: Cpu;
  readonly #place: StackPlace;
  readonly #bits: number;
  #sp: bigint;

  /** The current stack, unless `place` names the one to switch to. */
  constructor(cpu: Cpu, place?: StackPlace) {
    this.#cpu = cpu;
    const { state } = cpu;
    const ss = state.segment("ss");
    this.#place = place ?? {
      ss,
      sp: state.gpr(RSP),
      width: stackWidth(ss, state.bitness === 64),
      user: state.cpl === 3,
      errorCode: 0,
    };
    this.#bits = 8 * this.#place.width;
    this.#sp = BigInt.asUintN(this.#bits, this.#place.sp);
  }

  /** The stack pointer as it is now, in its width. */
  get pointer(): bigint {
    return this.#sp;
  }
  set pointer(value: bigint) {
    this.#sp = BigInt.asUintN(this.#bits, value);
  }

  push(size: number, value: bigint): void {
    const sp = BigInt.asUintN(this.#bits, this.#sp - BigInt(size));
    const { user } = this.#place;
    this.#cpu.memory.write(this.#linear(sp, size), size, BigInt.asUintN(8 * size, value), { user });
    this.#sp = sp;
  }

  pop(size: number): bigint {
    const { user } = this.#place;
    const value = this.#cpu.memory.read(this.#linear(this.#sp, size), size, { user });
    this.#sp = BigInt.asUintN(this.#bits, this.#sp + BigInt(size));
    return value;
  }

  /** Gives up `bytes` without reading them. */
  drop(bytes: number): void {
    this.pointer = this.#sp + BigInt(bytes);
  }

  /** Moves the stack pointer register. A 16-bit stack leaves the upper part alone. */
  commit(): void {
    writePart(this.#cpu.state, RSP, this.#place.width, this.#sp);
  }

  #linear(offset: bigint, size: number): bigint {
    const { ss, width, errorCode } = this.#place;
    if (width === 8) {
      const bits = this.#cpu.state.linearBits;
      if (!isCanonical(offset, bits) || !isCanonical(offset + BigInt(size - 1), bits)) {
        throw new GuestFault(VECTOR.SS, errorCode);
      }
      return offset;
    }
    if (!withinLimit(ss, Number(offset), size)) throw new GuestFault(VECTOR.SS, errorCode);
    return BigInt.asUintN(32, ss.base + offset);
  }
}
