// A planned region to the bytes of a WebAssembly module with one function: `region`.
import { Code, type ConditionCode, Mnemonic, OpKind, Register, RflagsBits } from "iced-x86";
import { VECTOR } from "../../base/registers.ts";
import { ripBits } from "../linear.ts";
import { emitterIn } from "./instructions.ts";
import {
  type Block,
  type Decoded,
  isCounterBranch,
  type RegionPlan,
  type Target,
} from "./region.ts";
import { IMPORTS, LEAVE, REGION_SIGNATURE } from "./runtime.ts";
import { isDirect, isTarget } from "./segments.ts";
import { shapeOf } from "./structure.ts";
import { simdEmitter } from "./simd/table.ts";
import { type Mode, type Site, Translation } from "./translation.ts";
import { type Label, Module } from "./wasm.ts";
import { x87Emitter } from "./x87.ts";

/** A region as WebAssembly. */
export interface TranslatedRegion {
  /** The module. Equal regions give equal bytes. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Segments whose kinds it depends on, by their number. */
  readonly segments: readonly number[];
}

export function translateRegion(plan: RegionPlan, mode: Mode): TranslatedRegion {
  const module = new Module(["memory"]);
  const { body, imports, segments } = new RegionEmitter(plan, mode).emit();
  for (const name of imports) module.import(name, IMPORTS[name]);
  module.function("region", REGION_SIGNATURE, body);
  return { bytes: module.finish(), segments: [...segments] };
}

const ALL_STATUS = RflagsBits.OF | RflagsBits.SF | RflagsBits.ZF | RflagsBits.AF | RflagsBits.CF |
  RflagsBits.PF;

class RegionEmitter {
  readonly #t: Translation;
  readonly #shape;
  readonly #loops = new Map<number, Label>();
  readonly #followers = new Map<number, Label>();
  /** The flag operation known at the end of a block. */
  readonly #opAtEnd = new Map<number, number | undefined>();

  constructor(readonly plan: RegionPlan, readonly mode: Mode) {
    this.#shape = shapeOf(plan.blocks.map(({ terminator }) => {
      const targets = terminator.kind === "branch"
        ? [terminator.taken, terminator.fallthrough]
        : terminator.kind === "goto"
        ? [terminator.target]
        : [];
      return targets.flatMap((target) => "block" in target ? [target.block] : []);
    }));
    this.#t = new Translation(mode);
  }

  emit() {
    this.#t.begin();
    this.#tree(0);
    return { body: this.#t.finish(), imports: this.#t.imports, segments: this.#t.segmentsUsed };
  }

  #block(index: number): Block {
    const block = this.plan.blocks[index];
    if (!block) throw new RangeError(`No block ${index}`);
    return block;
  }

  /** The block and all that it dominates. */
  #tree(index: number): void {
    const { f } = this.#t;
    const merges = this.#shape.merges[index] ?? [];
    if (this.#shape.isLoop[index]) {
      this.#loops.set(index, f.open("loop"));
      this.#within(index, merges);
      f.end();
    } else this.#within(index, merges);
  }

  #within(index: number, merges: readonly number[]): void {
    const [follower, ...rest] = merges;
    if (follower === undefined) return this.#body(index);
    const { f } = this.#t;
    this.#followers.set(follower, f.open("block"));
    this.#within(index, rest);
    f.end();
    this.#tree(follower);
  }

  #body(index: number): void {
    const t = this.#t;
    const { rip, instructions, terminator } = this.#block(index);
    const predecessor = this.#shape.onlyPredecessor[index];
    t.knownOp = predecessor === undefined ? undefined : this.#opAtEnd.get(predecessor);
    const total = instructions.length;
    if (total > 0) t.charge(total, rip);
    instructions.forEach((d, i) => {
      t.site = this.#site(d, total - i, instructions.slice(i + 1));
      // A jump or call that may not go where it says does nothing else; a conditional one may go on.
      if (terminator.kind === "goto" && this.#isForbidden(d)) return t.raise(VECTOR.GP);
      const emit = emitterIn(t.mode, d.insn);
      if (!emit) throw new Error(`Not translated: code ${d.insn.code}`);
      emit(t);
    });
    this.#opAtEnd.set(index, t.knownOp);
    switch (terminator.kind) {
      case "dynamic":
        return;
      case "slow":
        return t.leave(LEAVE.slow, terminator.rip);
      case "goto":
        return this.#go(index, terminator.target);
      case "branch": {
        const last = instructions.at(-1);
        if (!last) throw new Error("A branch without an instruction");
        this.#condition(last);
        t.f.open("if");
        if (this.#isForbidden(last)) this.#refuse(last);
        this.#go(index, terminator.taken);
        t.f.end();
        t.knownOp = this.#opAtEnd.get(index);
        return this.#go(index, terminator.fallthrough);
      }
      default:
        return terminator satisfies never;
    }
  }

  #isForbidden({ insn }: Decoded): boolean {
    return isDirect(insn) && !isTarget(this.#t, insn.nearBranchTarget);
  }

  /** #GP(0) at a conditional branch that is taken; what it has counted down is as before. */
  #refuse({ insn }: Decoded): void {
    const t = this.#t;
    if (counts(insn.mnemonic)) {
      const bits = counterBits(insn.code);
      t.getPart(RCX, bits);
      t.f.i64(1);
      t.f.op("i64_add");
      t.setPart(RCX, bits);
    }
    t.raise(VECTOR.GP);
  }

  /** Transfers control to another block of the region, or out of it. */
  #go(from: number, target: Target): void {
    const t = this.#t;
    if (!("block" in target)) return t.leave(LEAVE.dispatch, target.exit);
    const to = target.block;
    const { order, isMerge, cut } = this.#shape;
    if (cut.has(from * this.plan.blocks.length + to)) {
      return t.leave(LEAVE.dispatch, this.#block(to).rip);
    }
    const back = (order[to] ?? 0) <= (order[from] ?? 0);
    const label = back ? this.#loops.get(to) : isMerge[to] ? this.#followers.get(to) : undefined;
    // A loop's header and a merge have more than one way in: the flag operation goes to its local.
    if (label !== undefined) {
      t.settleFlags();
      return t.f.branch("br", label);
    }
    if (this.#shape.isLoop[to]) t.settleFlags();
    this.#tree(to);
  }

  #site(d: Decoded, unexecuted: number, following: readonly Decoded[]): Site {
    const rip = this.plan.start + BigInt(d.at);
    const bits = ripBits(this.mode.bits);
    return {
      insn: d.insn,
      at: d.at,
      rip: BigInt.asUintN(bits, rip),
      next: BigInt.asUintN(bits, rip + BigInt(d.length)),
      unexecuted,
      flagsDead: areFlagsDead(following),
    };
  }

  /** Leaves the condition of a block's last instruction as an i32. */
  #condition({ insn }: Decoded): void {
    const t = this.#t;
    if (!isCounterBranch(insn.mnemonic)) return t.condition(insn.conditionCode);
    const bits = counterBits(insn.code);
    const loops = counts(insn.mnemonic);
    t.getPart(RCX, bits);
    if (loops) {
      t.f.i64(1);
      t.f.op("i64_sub");
      t.setPart(RCX, bits);
      t.getPart(RCX, bits);
    }
    t.f.op("i64_eqz");
    if (!loops) return;
    t.f.op("i32_eqz");
    if (insn.mnemonic === Mnemonic.Loop) return;
    t.condition(insn.mnemonic === Mnemonic.Loope ? EQUAL : NOT_EQUAL);
    t.f.op("i32_eqz", "i32_eqz", "i32_and");
  }
}

/** Size of the counter: iced's codes end in its name, as in `Loop_rel8_64_ECX` and `Jrcxz_rel8_64`. */
function counterBits(code: Code): 16 | 32 | 64 {
  const name = Code[code] ?? "";
  if (/_RCX$|^Jrcxz/.test(name)) return 64;
  return /_ECX$|^Jecxz/.test(name) ? 32 : 16;
}

/** LOOP, LOOPE, LOOPNE. */
function counts(mnemonic: Mnemonic): boolean {
  return mnemonic === Mnemonic.Loop || mnemonic === Mnemonic.Loope || mnemonic === Mnemonic.Loopne;
}

const RCX = 1;
const EQUAL: ConditionCode = 5;
const NOT_EQUAL: ConditionCode = 6;

/** Are the status flags written again before they can be read, or the region left? Only what follows in the block counts. */
function areFlagsDead(following: readonly Decoded[]): boolean {
  for (const { insn } of following) {
    if (insn.rflagsRead & ALL_STATUS || simdEmitter(insn) || x87Emitter(insn)) return false;
    for (let operand = 0; operand < insn.opCount; operand++) {
      if (insn.opKind(operand) !== OpKind.Register && !isImmediate(insn.opKind(operand))) {
        return false;
      }
    }
    if (
      insn.stackPointerIncrement !== 0 || insn.mnemonic === Mnemonic.Div ||
      insn.mnemonic === Mnemonic.Idiv
    ) {
      return false;
    }
    // A shift by CL may leave them all.
    if (
      (insn.rflagsModified & ALL_STATUS) === ALL_STATUS &&
      !(insn.opCount > 1 && insn.op1Register === Register.CL)
    ) {
      return true;
    }
  }
  return false;
}

function isImmediate(kind: OpKind): boolean {
  return kind >= OpKind.Immediate8 && kind <= OpKind.Immediate32to64;
}
