// One region's function: guest registers and lazy flags in locals, the budget of instructions, and the ways out.
import type { ConditionCode, Instruction } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { CC } from "../lazy_flags.ts";
import * as L from "../layout.ts";
import type { Segmentation } from "../segment_kinds.ts";
import { allFlags, carry, condition, knownFlags, type LazyState } from "./flags.ts";
import { dynamicSite, type ImportName, LEAVE } from "./runtime.ts";
import { FunctionBody, I32, I64, type Label, type Local, VOID } from "./wasm.ts";

export type Size = 1 | 2 | 4 | 8;

/** What a translation depends on besides the code: a change of any of these is another set of regions. */
export interface Mode extends Segmentation {
  readonly bits: 16 | 32 | 64;
  /** Size of the stack pointer: SS.B, or 64. */
  readonly stackBits: 16 | 32 | 64;
  /** Are indirect branches counted, as a binary translator looks them up? */
  readonly countLookups: boolean;
  /** Does translated code do PAUSE, and count it? Not where somebody else may have the processor meanwhile. */
  readonly pauses: "slow" | "free" | "counted";
  /** Are data accesses of user mode checked for alignment? */
  readonly aligned: boolean;
  /** Vector of the exception that SSE instructions raise, and MMX ones; undefined where they are executed. */
  readonly sseFault: number | undefined;
  readonly mmxFault: number | undefined;
  /** Those of x87 instructions and of WAIT. */
  readonly x87Fault: number | undefined;
  readonly waitFault: number | undefined;
  /** That of an exception which an x87 instruction has left. */
  readonly pendingFault: number | undefined;
}

/** Tells modes apart: equal where all of two modes is. */
export function modeKey(mode: Mode): string {
  return `${commonKey(mode)}/${mode.segments}`;
}

/** The same but for the kinds of segments, of which a region depends on those that it uses. */
export function commonKey(mode: Mode): string {
  const { bits, stackBits, countLookups, pauses, aligned, codeLimit, linearBits } = mode;
  const { sseFault, mmxFault, x87Fault, waitFault, pendingFault } = mode;
  const faults = [sseFault, mmxFault, x87Fault, waitFault, pendingFault]
    .map((vector) => vector ?? "");
  return `${bits}/${stackBits}/${+countLookups}/${pauses}/${+aligned}/${
    faults.join("/")
  }/${codeLimit}/${linearBits}`;
}

/** The instruction being translated. */
export interface Site {
  readonly insn: Instruction;
  readonly rip: bigint;
  readonly next: bigint;
  /** Where it stands in the region: bytes from the first. */
  readonly at: number;
  /** Instructions of the block from this one on: given back to the budget when the region leaves before it. */
  readonly unexecuted: number;
  /** Are the flags that this instruction sets set again before anything can see them? */
  readonly flagsDead: boolean;
}

/** log2 of a size: the low part of a flag operation's code. */
export const logOf = (size: Size): number => size === 1 ? 0 : size === 2 ? 1 : size === 4 ? 2 : 3;

export class Frame {
  readonly f = new FunctionBody([]);
  /** What the region calls, in the order of the function index space. */
  readonly imports: ImportName[] = [];
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
    // What comes between two iterations is told so by RF, and no breakpoint is met again (SDM vol. 3, 18.3.1.1).
    f.i32(0);
    f.i32(0);
    f.memory("i64_load", L.FLAGS_REST);
    f.i64(RFLAGS.RF);
    f.op("i64_or");
    f.memory("i64_store", L.FLAGS_REST);
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
    // In 64-bit code, whether RIP is canonical is looked at where no region is found for it: never, but once.
    const sixtyFour = this.mode.bits === 64;
    this.#leaveAt(sixtyFour ? dynamicSite(this.site.at) : LEAVE.dispatch, 0);
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
    const known = this.imports.indexOf(name);
    this.f.call(known >= 0 ? known : this.imports.push(name) - 1);
  }

  // ---- Registers, whole ---------------------------------------------------------------------------------------------------

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

  /** One more of what is counted at this place of the state. */
  count(at: number): void {
    const { f } = this;
    f.i32(0);
    f.i32(0);
    f.memory("i64_load", at);
    f.i64(1);
    f.op("i64_add");
    f.memory("i64_store", at);
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
