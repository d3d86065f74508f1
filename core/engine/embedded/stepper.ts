// One instruction by itself, whether it is translated or done in TypeScript; and the budget that instructions are taken off.
import { OpKind } from "iced-x86";
import { VECTOR } from "../../base/registers.ts";
import { isNmiDue, isTracing, noteTraps } from "../../cpu/boundary.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { execute, isSlow } from "../../cpu/execute/execute.ts";
import { GuestFault } from "../../cpu/fault.ts";
import * as L from "../../cpu/layout.ts";
import { ripBits } from "../../cpu/linear.ts";
import { isRepeated, stringAddressBits } from "../../cpu/ports.ts";
import { LEAVE, siteOf } from "../../cpu/translate/runtime.ts";
import { FOUR_LEVEL_BITS, isCanonical } from "../../cpu/walk.ts";
import { ALONE } from "./code_cache.ts";
import type { Translation } from "./core.ts";
import { isMovable, movedTranslation } from "./moved.ts";
import { DeviceAccess } from "./physical.ts";
import { Processor } from "./processor.ts";
import { guarded } from "./region_memory.ts";
import type { SlowInstruction } from "./slow_instructions.ts";

/** Of the first operand, where string instructions store. */
const STRING_DESTINATIONS: ReadonlySet<OpKind> = new Set<OpKind>([
  OpKind.MemoryESDI,
  OpKind.MemoryESEDI,
  OpKind.MemoryESRDI,
]);

const NO_STOPS: ReadonlySet<bigint> = new Set();

/** What became of one instruction. */
export type Step = "done" | "idle" | "wait" | GuestFault | DeviceAccess;

/** A processor that can be stepped. */
export class Stepper extends Processor {
  /** Instructions retired before this slice, and granted for it. */
  protected retiredBefore = 0;
  protected granted = 0;
  /** The instruction at RIP is to be started again, with the answers that it got. */
  protected restart = false;

  get retired(): number {
    return this.retiredBefore + this.granted - this.budget;
  }
  /** Instructions that may still be executed in this slice. */
  protected get budget(): number {
    // By halves: the clock asks several times an exit, and a BigInt would be made for each.
    const { view } = this.state;
    return view.getInt32(L.BUDGET + 4, true) * 2 ** 32 + view.getUint32(L.BUDGET, true);
  }
  protected set budget(value: number) {
    const { view } = this.state;
    view.setInt32(L.BUDGET + 4, Math.floor(value / 2 ** 32), true);
    view.setUint32(L.BUDGET, value >>> 0, true);
  }

  /** Executes one instruction; retires it if it gets done. */
  protected step(decoded: SlowInstruction, cpu: Cpu): Step {
    const { state } = this;
    const { breakpoints, interruptShadow, resuming } = state;
    const traced = isTracing(state);
    // RF is for breakpoints of this instruction, and those have been looked at.
    if (resuming) state.resuming = false;
    breakpoints.met = 0;
    // Repeated string instructions are trapped after every iteration; and what a device has answered is of one iteration. One
    // that stores over code may change itself: it is looked at anew, or where a grant ends would make a difference.
    const single = traced || breakpoints.watching || this.physical.answered ||
      this.#storesOverCode(decoded);
    const held = single ? Math.max(0, this.budget - 1) : 0;
    this.#grant(-held);
    this.physical.begin();
    this.physical.stepping = true;
    this.paths.stepping = true;
    try {
      const result = decoded.translated ? this.#stepTranslated(decoded) : guarded(() => {
        // What neither part of the CPU knows, CPUID does not announce either.
        if (!isSlow(decoded.insn)) throw new GuestFault(VECTOR.UD);
        const effect = execute(cpu, decoded.insn);
        this.budget--;
        return effect;
      });
      if (result instanceof DeviceAccess || result instanceof GuestFault) {
        if (resuming) state.resuming = true;
        state.interruptShadow = interruptShadow;
        return result;
      }
      this.forget();
      // The slow path knows of shadows of its own.
      if (decoded.translated) state.interruptShadow = false;
      noteTraps(state, decoded.operation, traced);
      if (result === "next" || this.eventPending) return "done";
      return result === "halt" ? "idle" : result;
    } finally {
      this.#grant(held);
      this.physical.stepping = false;
      this.paths.stepping = false;
    }
  }

  /** Does a repeated string instruction store to a page with code? */
  #storesOverCode({ insn }: SlowInstruction): boolean {
    if (!isRepeated(insn) || !STRING_DESTINATIONS.has(insn.op0Kind)) return false;
    const { state } = this;
    const base = state.bitness === 64 ? 0n : state.segment("es").base;
    const linear = base + BigInt.asUintN(stringAddressBits(insn), state.get("rdi"));
    const gpa = this.translate(state.bitness === 64 ? linear : BigInt.asUintN(32, linear));
    return gpa !== undefined && this.pages.isCode(gpa);
  }

  /** Changes what may still be executed in this slice. */
  #grant(more: number): void {
    if (more === 0) return;
    this.granted += more;
    this.budget += more;
  }

  /** An event of the CPU's own is due before the next instruction: HLT ends at once. */
  get eventPending(): boolean {
    return this.state.pendingDebug !== 0 || isNmiDue(this.state);
  }

  protected region(limit: number | undefined) {
    const context = this.context();
    const stops = limit === ALONE ? NO_STOPS : this.contexts.stops;
    return guarded(() =>
      this.code.region(context, this.state.rip, stops, () => this.reader.place(), limit)
    );
  }

  #stepTranslated({ insn, bytes }: SlowInstruction): "next" | GuestFault | DeviceAccess {
    const moves = isMovable(insn);
    const region = moves
      ? movedTranslation(this.core, bytes, this.context().mode)
      : this.region(ALONE);
    if (region instanceof GuestFault || region instanceof DeviceAccess) return region;
    if (!region) throw new Error("An instruction is translated and is not");
    const left = moves ? this.#runMoved(region) : region.run();
    if (left !== LEAVE.bail) return this.astray(left, region) ?? "next";
    const cause = this.paths.takeBail();
    if (cause === "step") throw new Error("A single step asks for a single step");
    return cause;
  }

  /**
   * #GP(0) of a dynamic branch by which a region left for an RIP that is not canonical: what it did is undone. What a CALL has
   * stored below the stack stays; the manual has it look at its target first.
   */
  protected astray(left: number, region: Translation | undefined): GuestFault | undefined {
    const { state } = this;
    // Most often all bits above the lower half's are alike.
    const upper = state.view.getInt32(L.RIP + 4, true) >> (FOUR_LEVEL_BITS - 1 - 32);
    const at = siteOf(left);
    if (upper === 0 || upper === -1 || at === undefined) return undefined;
    if (isCanonical(state.rip, state.linearBits) || !region) return undefined;
    state.rip = region.start + BigInt(at);
    this.budget++;
    const branch = guarded(() => this.reader.decode());
    if (branch instanceof GuestFault || branch instanceof DeviceAccess) return undefined;
    state.set("rsp", state.get("rsp") - BigInt(branch.insn.stackPointerIncrement));
    return new GuestFault(VECTOR.GP, 0);
  }

  /** Runs what was translated for RIP 0. */
  #runMoved(region: Translation): number {
    const { rip } = this.state;
    this.state.rip = 0n;
    const why = region.run();
    this.state.rip = BigInt.asUintN(ripBits(this.state.bitness), rip + this.state.rip);
    return why;
  }

  /** The instruction under way is given up: it starts anew, if ever. */
  protected forget(): void {
    this.physical.done();
    this.restart = false;
  }
}
