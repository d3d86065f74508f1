// One region on its way to WebAssembly: registers and operands as instructions name them, and memory through the TLBs. What
// each instruction means is in the files beside it; this is what they are written with.
import { OpKind, Register, RegisterExt } from "iced-x86";
import * as L from "../layout.ts";
import { Frame, type Size } from "./frame.ts";
import { THROUGH_STACK } from "./runtime.ts";
import { type Access, addressSegment, checkSegment } from "./segments.ts";
import { I32, I64, type Local } from "./wasm.ts";

export { commonKey, logOf, type Mode, modeKey, type Site, type Size } from "./frame.ts";

const LOADS = { 1: "i64_load8_u", 2: "i64_load16_u", 4: "i64_load32_u", 8: "i64_load" } as const;
const STORES = { 1: "i64_store8", 2: "i64_store16", 4: "i64_store32", 8: "i64_store" } as const;
const PAGE_MASK = -4096n;

/** All ones in `size` bytes. */
export const maskOf = (size: Size): bigint => (1n << BigInt(8 * size)) - 1n;

export class Translation extends Frame {
  /** Segments whose kinds the code depends on, by their number. */
  readonly segmentsUsed = new Set<number>();
  /** Is the address made last one of the stack segment? */
  #throughStack = false;

  // ---- Registers -----------------------------------------------------------------------------------------------------

  /** Leaves a register's value, zero-extended. */
  getRegister(register: Register): void {
    const { f } = this;
    const size = RegisterExt.size(register) as Size;
    this.getGpr(gprIndex(register));
    if (isHighByte(register)) {
      f.i64(8);
      f.op("i64_shr_u");
    }
    if (size < 8) {
      f.i64(maskOf(size));
      f.op("i64_and");
    }
  }

  /** Sets a register to a value that is zero-extended; 32 bits clear the upper half, 8 and 16 bits keep the rest. */
  setRegister(register: Register): void {
    const { f } = this;
    const size = RegisterExt.size(register) as Size;
    const index = gprIndex(register);
    if (size < 4) {
      const shift = isHighByte(register) ? 8n : 0n;
      if (shift) {
        f.i64(shift);
        f.op("i64_shl");
      }
      this.getGpr(index);
      f.i64(~(maskOf(size) << shift));
      f.op("i64_and", "i64_or");
    }
    this.setGpr(index);
  }

  /** A part of a register by its index: the stack pointer, a counter. */
  getPart(index: number, bits: 16 | 32 | 64): void {
    this.getGpr(index);
    this.cutTo(bits);
  }
  setPart(index: number, bits: 16 | 32 | 64): void {
    const { f } = this;
    this.cutTo(bits);
    if (bits === 16) {
      this.getGpr(index);
      f.i64(~0xffffn);
      f.op("i64_and", "i64_or");
    }
    this.setGpr(index);
  }
  cutTo(bits: 16 | 32 | 64): void {
    if (bits === 64) return;
    this.f.i64(bits === 16 ? 0xffff : 0xffffffff);
    this.f.op("i64_and");
  }
  /** Cuts the value on the stack to a size. */
  cut(size: Size): void {
    if (size === 8) return;
    this.f.i64(maskOf(size));
    this.f.op("i64_and");
  }
  signExtend(size: Size): void {
    if (size === 1) this.f.op("i64_extend8_s");
    if (size === 2) this.f.op("i64_extend16_s");
    if (size === 4) this.f.op("i64_extend32_s");
  }

  // ---- Operands ----------------------------------------------------------------------------------------------------

  isMemory(operand: number): boolean {
    return this.site.insn.opKind(operand) === OpKind.Memory;
  }

  /**
   * A temporary with the operand's linear address, checked for an access of `size` bytes. `stackBump` is added when the base
   * is the stack pointer (POP).
   */
  address(size: number, access: Access, stackBump = 0): Local {
    const { f } = this;
    const { memoryBase, memoryIndex } = this.site.insn;
    this.effectiveAddress(stackBump);
    this.linear(addressSegment(this), size, access, this.addressBits(memoryBase, memoryIndex));
    const local = f.temporary(I64);
    f.set(local);
    return local;
  }

  /** Leaves base + index x scale + displacement, cut to the address size. */
  effectiveAddress(stackBump = 0): void {
    const { f } = this;
    const { insn } = this.site;
    const { memoryBase: base, memoryIndex: index } = insn;
    let displacement = insn.memoryDisplacement;
    const bits = this.addressBits(base, index);
    if (base === Register.RIP || base === Register.EIP) {
      f.i64(BigInt.asIntN(64, displacement));
      return;
    }
    let any = false;
    if (base !== Register.None) {
      this.getGpr(gprIndex(base));
      any = true;
      if (stackBump && gprIndex(base) === 4) displacement += BigInt(stackBump);
    }
    if (index !== Register.None) {
      this.getGpr(gprIndex(index));
      if (insn.memoryIndexScale > 1) {
        f.i64(Math.log2(insn.memoryIndexScale));
        f.op("i64_shl");
      }
      if (any) f.op("i64_add");
      any = true;
    }
    if (displacement !== 0n || !any) {
      f.i64(BigInt.asIntN(64, displacement));
      if (any) f.op("i64_add");
    }
    this.cutTo(bits);
  }

  addressBits(base: Register, index: Register): 16 | 32 | 64 {
    const register = base !== Register.None ? base : index;
    if (register !== Register.None) return 8 * RegisterExt.size(register) as 16 | 32 | 64;
    const size = this.site.insn.memoryDisplSize;
    return size === 8 || size === 0 && this.mode.bits === 64 ? 64 : size === 2 ? 16 : 32;
  }

  /**
   * Makes a linear address of the offset on the stack, which has so many bits; raises what the segment's limit and type have
   * against an access of `size` bytes. The loads and stores that follow are through this segment.
   */
  linear(segment: Register, size: number, access: Access, bits: 16 | 32 | 64): void {
    const { f, mode } = this;
    this.#throughStack = segment === Register.SS;
    checkSegment(this, segment, size, access, bits);
    // In 64-bit code only FS and GS have a base.
    if (mode.bits === 64 && segment !== Register.FS && segment !== Register.GS) return;
    const index = segment - Register.ES;
    f.i32(0);
    f.memory("i64_load", L.SEGMENTS + L.SEGMENT_STRIDE * index + L.SEGMENT_BASE);
    f.op("i64_add");
    if (mode.bits !== 64) this.cutTo(32);
  }

  /** Leaves operand `n`, zero-extended from `size` (immediates are sign-extended to the size first). */
  read(operand: number, size: Size): void {
    const { insn } = this.site;
    switch (insn.opKind(operand)) {
      case OpKind.Register:
        return this.getRegister(insn.opRegister(operand));
      case OpKind.Memory: {
        const at = this.address(size, "read");
        this.load(at, size);
        return this.f.release(I64, at);
      }
      default:
        return this.f.i64(BigInt.asIntN(64, insn.immediate(operand) & maskOf(size)));
    }
  }

  /** Writes the value of a local, zero-extended, to operand `n`. */
  write(operand: number, size: Size, value: Local): void {
    if (this.isMemory(operand)) {
      const at = this.address(size, "write");
      this.store(at, size, value);
      this.f.release(I64, at);
    } else {
      this.f.get(value);
      this.setRegister(this.site.insn.opRegister(operand));
    }
  }

  /**
   * Reads operand `n` into a local, lets `compute` work out the new value into another one, and writes that back. Nothing
   * that `compute` does may be visible when the write still faults: it must not set registers or flags.
   */
  modify(
    operand: number,
    size: Size,
    compute: (old: Local, result: Local) => void,
  ): { old: Local; result: Local } {
    const { f } = this;
    const [old, result] = [f.temporary(I64), f.temporary(I64)];
    if (!this.isMemory(operand)) {
      const register = this.site.insn.opRegister(operand);
      this.getRegister(register);
      f.set(old);
      compute(old, result);
      f.get(result);
      this.setRegister(register);
      return { old, result };
    }
    const at = this.address(size, "write");
    this.modifyAt(at, size, old, result, compute);
    f.release(I64, at);
    return { old, result };
  }

  /** As `modify`, of memory at a linear address. */
  modifyAt(
    at: Local,
    size: Size,
    old: Local,
    result: Local,
    compute: (old: Local, result: Local) => void,
  ): void {
    const { f } = this;
    const [entry, host] = [f.temporary(I32), f.temporary(I32)];
    this.#lookUp(L.WRITE_TLB, at, size, entry);
    f.open("if", I64);
    this.#hostAddress(L.WRITE_TLB, at, entry);
    f.tee(host);
    f.memory(LOADS[size], 0);
    f.else();
    f.i32(0);
    f.set(host);
    this.#slowRead(at, size, 1);
    f.end();
    f.set(old);
    compute(old, result);
    // Host address 0 is CPU state: never the place of guest memory.
    f.get(host);
    f.open("if");
    f.get(host);
    f.get(result);
    f.memory(STORES[size], 0);
    f.else();
    this.#slowWrite(at, size, result);
    f.end();
    f.release(I32, entry, host);
  }

  // ---- Memory ------------------------------------------------------------------------------------------------------

  /** Leaves the value at a linear address, zero-extended. */
  load(at: Local, size: Size): void {
    const { f } = this;
    const entry = f.temporary(I32);
    this.#lookUp(L.READ_TLB, at, size, entry);
    f.open("if", I64);
    this.#hostAddress(L.READ_TLB, at, entry);
    f.memory(LOADS[size], 0);
    f.else();
    this.#slowRead(at, size, 0);
    f.end();
    f.release(I32, entry);
  }

  store(at: Local, size: Size, value: Local): void {
    const { f } = this;
    const entry = f.temporary(I32);
    this.#lookUp(L.WRITE_TLB, at, size, entry);
    f.open("if");
    this.#hostAddress(L.WRITE_TLB, at, entry);
    f.get(value);
    f.memory(STORES[size], 0);
    f.else();
    this.#slowWrite(at, size, value);
    f.end();
    f.release(I32, entry);
  }

  /** Leaves an i32: does the TLB have the page? The last byte's page is compared, the first one's looked up. */
  #lookUp(tlb: number, at: Local, size: Size, entry: Local): void {
    const { f } = this;
    f.get(at);
    f.i64(12 - 4);
    f.op("i64_shr_u", "i32_wrap_i64");
    f.i32((L.TLB_ENTRIES - 1) << 4);
    f.op("i32_and");
    f.tee(entry);
    f.memory("i64_load", tlb);
    f.get(at);
    if (size > 1) {
      f.i64(size - 1);
      f.op("i64_add");
    }
    f.i64(PAGE_MASK);
    f.op("i64_and", "i64_eq");
    if (size === 1 || !this.mode.aligned) return;
    // What is misaligned goes the slow way, and faults there.
    f.get(at);
    f.i64(size - 1);
    f.op("i64_and", "i64_eqz", "i32_and");
  }

  #hostAddress(tlb: number, at: Local, entry: Local): void {
    const { f } = this;
    f.get(at);
    f.op("i32_wrap_i64");
    f.get(entry);
    f.memory("i32_load", tlb + 8);
    f.op("i32_add");
  }

  #slowRead(at: Local, size: Size, intent: 0 | 1): void {
    this.f.get(at);
    this.f.i32(this.#sizeCode(size));
    this.f.i32(intent);
    this.call("read");
    this.bailIfAsked();
  }

  #slowWrite(at: Local, size: Size, value: Local): void {
    this.f.get(at);
    this.f.get(value);
    this.f.i32(this.#sizeCode(size));
    this.call("write");
    this.bailIfAsked();
  }

  /** Where an address that is not canonical is #SS instead of #GP, the slow paths are told so. */
  #sizeCode(size: Size): number {
    return this.mode.bits === 64 && this.#throughStack ? size | THROUGH_STACK : size;
  }
}

/** Index in encoding order of the register that contains this one. */
export function gprIndex(register: Register): number {
  return RegisterExt.number(RegisterExt.fullRegister(register));
}

function isHighByte(register: Register): boolean {
  return register >= Register.AH && register <= Register.BH;
}
