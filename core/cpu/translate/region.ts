// From an entry point to a region: the instructions reachable from it by direct branches inside its page, as basic blocks.
import { Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic } from "iced-x86";
import { ripBits } from "../linear.ts";
import { emitterIn } from "./instructions.ts";
import { isDirect } from "./segments.ts";
import type { Mode } from "./translation.ts";

/** Bounds: what is left over is another region. */
const MAX_INSTRUCTIONS = 256;
/** Instructions in a block at most: with a budget of as many, a region's first block is always executed. */
export const MAX_BLOCK = 48;

/** Code as the region's builder may read it. */
export interface CodeWindow {
  /** Offset (as RIP has it) of the first byte. */
  readonly start: bigint;
  /** From there to the end of the page; longer only where the first instruction straddles it. */
  readonly bytes: Uint8Array;
}

/** One decoded instruction. `insn` is freed with the region. */
export interface Decoded {
  readonly insn: Instruction;
  /** Offset from the window's start. */
  readonly at: number;
  readonly length: number;
}

/** How a block ends. Targets are block indices; `exit` leaves the region for the RIP given as window offset or value. */
export type Target = { readonly block: number } | { readonly exit: bigint };
export type Terminator =
  | { readonly kind: "goto"; readonly target: Target }
  /** The block's last instruction is conditional: Jcc, LOOPcc, JrCXZ. */
  | { readonly kind: "branch"; readonly taken: Target; readonly fallthrough: Target }
  /** The last instruction sets RIP itself: indirect branches, returns. */
  | { readonly kind: "dynamic" }
  /** Not for translated code: the run loop does the instruction at this RIP. */
  | { readonly kind: "slow"; readonly rip: bigint };

export interface Block {
  /** RIP of the first instruction. */
  readonly rip: bigint;
  readonly instructions: readonly Decoded[];
  readonly terminator: Terminator;
}

export interface RegionPlan {
  readonly start: bigint;
  readonly blocks: readonly Block[];
  /** Bytes from the window's start that the region was made from. */
  readonly extent: readonly { readonly from: number; readonly to: number }[];
  readonly instructions: number;
  /** Every decoded instruction once: streams of code may overlap, so that one stands in two blocks. */
  readonly decoded: readonly Instruction[];
}

export interface PlanOptions {
  readonly mode: Mode;
  /** Instructions at most: 1 for just the first, absent for as many as belong together. */
  readonly limit?: number | undefined;
  /** RIPs that must not be translated: the run loop calls out there. */
  readonly stops: ReadonlySet<bigint>;
}

/** Which instruction ends a block, and where it leads. */
function successors({ insn }: Decoded): "next" | "end" | "branch" | "jump" | "dynamic" {
  switch (insn.flowControl) {
    case FlowControl.Next:
      return "next";
    case FlowControl.ConditionalBranch:
      return "branch";
    case FlowControl.UnconditionalBranch:
    case FlowControl.Call:
      return isDirect(insn) ? "jump" : "end";
    case FlowControl.IndirectBranch:
    case FlowControl.IndirectCall:
    case FlowControl.Return:
      return "dynamic";
    default:
      return "end";
  }
}

/** Does the run loop do this instruction? */
function isSlow(insn: Instruction, mode: Mode): boolean {
  return insn.code === Code.INVALID || emitterIn(mode, insn) === undefined;
}

/** Decodes from the window's start; see {@linkcode RegionPlan}. Instructions must be freed with `freePlan`. */
export function planRegion(window: CodeWindow, options: PlanOptions): RegionPlan {
  const { start, bytes } = window;
  const { bits } = options.mode;
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  const decoded = new Map<number, Decoded>();
  const leaders = new Set<number>([0]);
  const worklist = [0];
  const ripAt = (at: number) => BigInt.asUintN(ripBits(bits), start + BigInt(at));
  const offsetOf = (rip: bigint) => {
    const offset = BigInt.asIntN(64, rip - start);
    return offset >= 0n && offset < BigInt(bytes.length) ? Number(offset) : undefined;
  };
  const limit = Math.min(options.limit ?? MAX_INSTRUCTIONS, MAX_INSTRUCTIONS);
  const slow = new Set<number>();

  try {
    for (let next = worklist.pop(); next !== undefined; next = worklist.pop()) {
      let at = next;
      while (at < bytes.length && !decoded.has(at) && !slow.has(at) && decoded.size < limit) {
        if (options.stops.has(ripAt(at))) {
          slow.add(at);
          break;
        }
        decoder.position = at;
        decoder.ip = ripAt(at);
        const insn = new Instruction();
        decoder.decodeOut(insn);
        // An instruction that runs over the window's end belongs to the region that starts with it.
        if (isSlow(insn, options.mode) || at + insn.length > bytes.length) {
          if (at + insn.length <= bytes.length || at === 0) slow.add(at);
          insn.free();
          break;
        }
        const entry = { insn, at, length: insn.length };
        decoded.set(at, entry);
        const flow = successors(entry);
        at += insn.length;
        if (flow === "next") continue;
        if (flow === "branch" || flow === "jump") {
          const target = offsetOf(insn.nearBranchTarget);
          if (target !== undefined) {
            leaders.add(target);
            worklist.push(target);
          }
        }
        if (flow === "branch") {
          leaders.add(at);
          worklist.push(at);
        }
        break;
      }
    }
    return buildBlocks(window, decoded, leaders, slow, ripAt, offsetOf);
  } finally {
    decoder.free();
  }
}

function buildBlocks(
  window: CodeWindow,
  decoded: ReadonlyMap<number, Decoded>,
  leaders: ReadonlySet<number>,
  slow: ReadonlySet<number>,
  ripAt: (at: number) => bigint,
  offsetOf: (rip: bigint) => number | undefined,
): RegionPlan {
  // A slow or undecoded leader is no block; the entry always is one.
  const starts: number[] = [...leaders].filter((at) => decoded.has(at) || at === 0).sort((a, b) =>
    a - b
  );
  const indexOf = new Map<number, number>();
  const drafts: { at: number; instructions: Decoded[]; end: number }[] = [];
  const queue = [...starts];
  for (let at = queue.shift(); at !== undefined; at = queue.shift()) {
    if (indexOf.has(at)) continue;
    indexOf.set(at, drafts.length);
    const instructions: Decoded[] = [];
    let end = at;
    for (let d = decoded.get(end); d; d = decoded.get(end)) {
      if (end !== at && leaders.has(end)) break;
      if (instructions.length >= MAX_BLOCK) {
        queue.unshift(end);
        break;
      }
      instructions.push(d);
      end += d.length;
      if (successors(d) !== "next") break;
    }
    drafts.push({ at, instructions, end });
  }
  const targetOf = (rip: bigint): Target => {
    const at = offsetOf(rip);
    const block = at === undefined ? undefined : indexOf.get(at);
    return block === undefined ? { exit: rip } : { block };
  };
  const blocks = drafts.map(({ at, instructions, end }): Block => {
    const last = instructions.at(-1);
    const flow = last ? successors(last) : "next";
    let terminator: Terminator;
    if (last && flow === "branch") {
      terminator = {
        kind: "branch",
        taken: targetOf(last.insn.nearBranchTarget),
        fallthrough: targetOf(ripAt(end)),
      };
    } else if (last && flow === "jump") {
      terminator = { kind: "goto", target: targetOf(last.insn.nearBranchTarget) };
    } else if (flow === "dynamic") terminator = { kind: "dynamic" };
    else if (slow.has(end)) terminator = { kind: "slow", rip: ripAt(end) };
    else terminator = { kind: "goto", target: targetOf(ripAt(end)) };
    return { rip: ripAt(at), instructions, terminator };
  });
  const extent = drafts.filter((d) => d.end > d.at).map((d) => ({ from: d.at, to: d.end }));
  return {
    start: window.start,
    blocks,
    extent,
    instructions: decoded.size,
    decoded: [...decoded.values()].map((d) => d.insn),
  };
}

/** Gives the decoded instructions back to iced's memory. */
export function freePlan(plan: RegionPlan): void {
  for (const insn of plan.decoded) insn.free();
}

/** Conditional instructions that are not plain Jcc: they count or test RCX. */
export function isCounterBranch(mnemonic: Mnemonic): boolean {
  switch (mnemonic) {
    case Mnemonic.Loop:
    case Mnemonic.Loope:
    case Mnemonic.Loopne:
    case Mnemonic.Jcxz:
    case Mnemonic.Jecxz:
    case Mnemonic.Jrcxz:
      return true;
    default:
      return false;
  }
}
