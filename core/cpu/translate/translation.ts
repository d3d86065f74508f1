// One region on its way to WebAssembly: guest registers in locals, lazy flags, memory through the TLBs, and the ways out.
// What each instruction means is in the files beside it; this is what they are written with.
import { type ConditionCode, type Instruction, OpKind, Register, RegisterExt } from "iced-x86";
import { CC } from "../lazy_flags.ts";
import * as L from "../layout.ts";
import { allFlags, carry, condition, knownFlags, type LazyState } from "./flags.ts";
import { IMPORT_NAMES, type ImportName, LEAVE } from "./runtime.ts";
import { FunctionBody, I32, I64, type Label, type Local, VOID } from "./wasm.ts";

export type Size = 1 | 2 | 4 | 8;

/** What a translation depends on besides the code: a change of any of these is another set of regions. */
export interface Mode {
  readonly bits: 16 | 32 | 64;
  /** Size of the stack pointer: SS.B, or 64. */
  readonly stackBits: 16 | 32 | 64;
  /** Are indirect branches counted, as a binary translator looks them up? */
  readonly countLookups: boolean;
}

/** The instruction being translated. */
export interface Site {
  readonly insn: Instruction;
  readonly rip: bigint;
  readonly next: bigint;
  /** Instructions of the block from this one on: given back to the budget when the region leaves before it. */
  readonly unexecuted: number;
  /** Are the flags that this instruction sets set again before anything can see them? */
  readonly flagsDead: boolean;
}

const LOADS = { 1: "i64_load8_u", 2: "i64_load16_u", 4: "i64_load32_u", 8: "i64_load" } as const;
const STORES = { 1: "i64_store8", 2: "i64_store16", 4: "i64_store32", 8: "i64_store" } as const;
const PAGE_MASK = -4096n;

/** All ones in `size` bytes. */
export const maskOf = (size: Size): bigint => (1n << BigInt(8 * size)) - 1n;
/** log2 of a size: the low part of a flag operation's code. */
export const logOf = (size: Size): number => size === 1 ? 0 : size === 2 ? 1 : size === 4 ? 2 : 3;

export class Translation {
  readonly f = new FunctionBody([]);
  readonly #gprs: readonly Local[];
  readonly #used = new Set<number>();
  readonly #written = new Set<number>();
  readonly #cc: { op: Local; dst: Local; src: Local; aux: Local };
  readonly #budget: Local;
  readonly #rip: Local;
  readonly #leave: Local;
  readonly #giveBack: Local;
  #exit: Label = 0 as Label;
  /** The flag operation, where it is known here; undefined: it is in the local. */
  knownOp: number | undefined;
  #site: Site | undefined;

  constructor(readonly mode: Mode) {
    const { f } = this;
    this.#gprs = Array.from({ length: 16 }, () => f.local(I64));
    this.#cc = { op: f.local(I32), dst: f.local(I64), src: f.local(I64), aux: f.local(I32) };
    this.#budget = f.local(I64);
    this.#rip = f.local(I64);
    this.#leave = f.local(I32);
    this.#giveBack = f.local(I64);
  }

  /** The instruction being translated: set by the driver before each. */
  get site(): Site {
    if (!this.#site) throw new Error("No instruction is being translated");
    return this.#site;
  }
  set site(site: Site) {
    this.#site = site;
  }

  // ---- Frame -------------------------------------------------------------------------------------------------------

  begin(): void {
    this.#exit = this.f.open("block");
  }

  /** Closes the body: what was used is loaded in front of it, what was written is stored behind it. */
  finish(): FunctionBody {
    const body = this.f;
    body.end();
    for (const index of this.#written) {
      body.i32(0);
      body.get(this.#gpr(index));
      body.memory("i64_store", L.GPR + 8 * index);
    }
    const stores: [Local, "i32_store" | "i64_store", number][] = [
      [this.#cc.op, "i32_store", L.CC_OP],
      [this.#cc.aux, "i32_store", L.CC_AUX],
      [this.#cc.dst, "i64_store", L.CC_DST],
      [this.#cc.src, "i64_store", L.CC_SRC],
      [this.#rip, "i64_store", L.RIP],
    ];
    for (const [local, name, offset] of stores) {
      body.i32(0);
      body.get(local);
      body.memory(name, offset);
    }
    body.i32(0);
    body.get(this.#budget);
    body.get(this.#giveBack);
    body.op("i64_add");
    body.memory("i64_store", L.BUDGET);
    body.get(this.#leave);

    const loads: [Local, "i32_load" | "i64_load", number][] = [
      [this.#cc.op, "i32_load", L.CC_OP],
      [this.#cc.aux, "i32_load", L.CC_AUX],
      [this.#cc.dst, "i64_load", L.CC_DST],
      [this.#cc.src, "i64_load", L.CC_SRC],
      [this.#budget, "i64_load", L.BUDGET],
    ];
    for (const index of this.#used) loads.push([this.#gpr(index), "i64_load", L.GPR + 8 * index]);
    body.prologue((front) => {
      for (const [local, name, offset] of loads) {
        front.i32(0);
        front.memory(name, offset);
        front.set(local);
      }
    });
    return body;
  }

  /** Takes a block's instructions off the budget, or leaves before it. */
  charge(instructions: number, rip: bigint): void {
    const { f } = this;
    f.get(this.#budget);
    f.i64(instructions);
    f.op("i64_sub");
    f.tee(this.#budget);
    f.i64(0);
    f.op("i64_lt_s");
    f.open("if");
    this.leave(LEAVE.budget, rip, instructions);
    f.end();
  }

  /** Takes one more iteration of this instruction off the budget; leaves at this instruction when none is left. */
  chargeIteration(): void {
    const { f } = this;
    f.get(this.#budget);
    f.i64(0);
    f.op("i64_le_s");
    f.open("if");
    this.leave(LEAVE.budget, this.site.rip, this.site.unexecuted - 1);
    f.end();
    f.get(this.#budget);
    f.i64(1);
    f.op("i64_sub");
    f.set(this.#budget);
  }

  // ---- Ways out ----------------------------------------------------------------------------------------------------

  /** Leaves the region with RIP `rip`. */
  leave(why: number, rip: bigint, giveBack = 0): void {
    this.f.i64(rip);
    this.f.set(this.#rip);
    this.#leaveAt(why, giveBack);
  }

  /** Leaves for the RIP in a local. */
  leaveFor(rip: Local): void {
    this.f.get(rip);
    this.f.set(this.#rip);
    this.#leaveAt(LEAVE.dispatch, 0);
  }

  #leaveAt(why: number, giveBack: number): void {
    const { f } = this;
    this.settleFlags();
    f.i64(giveBack);
    f.set(this.#giveBack);
    f.i32(why);
    f.set(this.#leave);
    f.branch("br", this.#exit);
  }

  /** Leaves at the start of this instruction if a slow path has set BAIL. */
  bailIfAsked(): void {
    const { f } = this;
    f.i32(0);
    f.memory("i32_load", L.BAIL);
    f.open("if");
    this.leave(LEAVE.bail, this.site.rip, this.site.unexecuted);
    f.end();
  }

  /** Raises an exception at this instruction. */
  raise(vector: number): void {
    this.f.i32(vector);
    this.call("raise");
    this.leave(LEAVE.bail, this.site.rip, this.site.unexecuted);
  }

  call(name: ImportName): void {
    this.f.call(IMPORT_NAMES.indexOf(name));
  }

  // ---- Registers ---------------------------------------------------------------------------------------------------

  #gpr(index: number): Local {
    const local = this.#gprs[index];
    if (local === undefined) throw new RangeError(`No general register ${index}`);
    return local;
  }

  /** Leaves a whole register. */
  getGpr(index: number): void {
    this.#used.add(index);
    this.f.get(this.#gpr(index));
  }
  setGpr(index: number): void {
    this.#used.add(index);
    this.#written.add(index);
    this.f.set(this.#gpr(index));
  }

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

  /** A temporary with the operand's linear address. `stackBump` is added when the base is the stack pointer (POP). */
  address(stackBump = 0): Local {
    const { f } = this;
    this.effectiveAddress(stackBump);
    this.addSegmentBase(this.site.insn.memorySegment);
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

  /** Adds a segment's base to the offset on the stack. In 64-bit code only FS and GS have one. */
  addSegmentBase(segment: Register): void {
    const { f, mode } = this;
    const index = segment - Register.ES;
    if (mode.bits === 64 && segment !== Register.FS && segment !== Register.GS) return;
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
        const at = this.address();
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
      const at = this.address();
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
    const at = this.address();
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
    this.f.i32(size);
    this.f.i32(intent);
    this.call("read");
    this.bailIfAsked();
  }

  #slowWrite(at: Local, size: Size, value: Local): void {
    this.f.get(at);
    this.f.get(value);
    this.f.i32(size);
    this.call("write");
    this.bailIfAsked();
  }

  // ---- Flags -------------------------------------------------------------------------------------------------------

  /** Records the operation that sets all six flags. `dst` and `src` are zero-extended. */
  setFlags(kind: number, size: Size, dst: Local, src?: Local, aux?: Local): void {
    const { f } = this;
    f.get(dst);
    f.set(this.#cc.dst);
    if (src !== undefined) {
      f.get(src);
      f.set(this.#cc.src);
    }
    if (aux !== undefined) {
      f.get(aux);
      f.set(this.#cc.aux);
    }
    this.knownOp = kind * 4 + logOf(size);
  }

  /** Takes the six flags, as in RFLAGS, from the stack. */
  setFlagBits(): void {
    this.f.set(this.#cc.src);
    this.knownOp = CC.FLAGS * 4 + 3;
  }

  /** Puts the known operation into the local, where control flow merges or leaves. */
  settleFlags(): void {
    if (this.knownOp === undefined) return;
    this.f.i32(this.knownOp);
    this.f.set(this.#cc.op);
  }

  /** Runs `emit`, which may or may not be executed and may set flags: afterwards the operation is in the local. */
  maybe(emit: () => void): void {
    this.settleFlags();
    this.knownOp = undefined;
    this.f.open("if", VOID);
    emit();
    this.settleFlags();
    this.knownOp = undefined;
    this.f.end();
  }

  #lazy(use: (state: LazyState) => void): void {
    const { f } = this;
    if (this.knownOp !== undefined) {
      return use({ f, op: this.knownOp, dst: this.#cc.dst, src: this.#cc.src, aux: this.#cc.aux });
    }
    const flags = f.temporary(I64);
    f.get(this.#cc.op);
    f.get(this.#cc.dst);
    f.get(this.#cc.src);
    f.get(this.#cc.aux);
    this.call("flags");
    f.set(flags);
    use(knownFlags(f, flags));
    f.release(I64, flags);
  }

  /** Leaves an i32. */
  condition(code: ConditionCode): void {
    this.#lazy((state) => condition(state, code));
  }
  /** Leaves CF as an i32, 0 or 1. */
  carry(): void {
    this.#lazy(carry);
    this.f.op("i32_eqz", "i32_eqz");
  }
  /** Leaves the six flags as an i64. */
  flagBits(): void {
    this.#lazy(allFlags);
  }
}

/** Index in encoding order of the register that contains this one. */
export function gprIndex(register: Register): number {
  return RegisterExt.number(RegisterExt.fullRegister(register));
}

function isHighByte(register: Register): boolean {
  return register >= Register.AH && register <= Register.BH;
}
