// Checks of segment limits, segment types and branch targets, as far as the kinds of the segments need them: see
// ../segment_kinds.ts.
import { type Instruction, OpKind, Register, RegisterExt } from "iced-x86";
import { VECTOR } from "../../base/registers.ts";
import * as L from "../layout.ts";
import { MAX_LIMIT } from "../linear.ts";
import { KIND, REAL_LIMIT } from "../segment_kinds.ts";
import { isCanonical } from "../walk.ts";
import type { Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

/** What is read and written again is a write. */
export type Access = "read" | "write";

const RSP = 4, RBP = 5;

/** The segment of the memory operand. 64-bit code ignores all overrides but those of FS and GS, and knows SS by the base. */
export function addressSegment({ mode, site }: Translation): Register {
  const { memorySegment, memoryBase } = site.insn;
  if (mode.bits !== 64 || memorySegment === Register.FS || memorySegment === Register.GS) {
    return memorySegment;
  }
  if (!RegisterExt.isGPR(memoryBase)) return Register.DS;
  const base = RegisterExt.number(RegisterExt.fullRegister(memoryBase));
  return base === RSP || base === RBP ? Register.SS : Register.DS;
}

/** Checks `size` bytes at the offset on the stack, which stays there. */
export function checkSegment(
  t: Translation,
  segment: Register,
  size: number,
  access: Access,
  bits: 16 | 32 | 64,
): void {
  const { f } = t;
  const index = segment - Register.ES;
  const kind = t.mode.segments[index];
  t.segmentsUsed.add(index);
  switch (kind) {
    case KIND.flat:
      return;
    case KIND.readOnly:
      if (access === "write") t.raise(VECTOR.GP);
      return;
    case KIND.sixtyFourKilobytes:
      if (bits === 16 && size === 1) return;
  }
  const offset = f.temporary(I64);
  f.tee(offset);
  if (kind === KIND.other) {
    f.set(offset);
    f.i32(index);
    f.get(offset);
    f.i32(size);
    f.i32(access === "write" ? 1 : 0);
    t.call("check");
    t.bailIfAsked();
    f.get(offset);
  } else {
    if (size > 1) {
      f.i64(size - 1);
      f.op("i64_add");
    }
    if (kind === KIND.sixtyFourKilobytes) f.i64(REAL_LIMIT);
    else {
      f.i32(0);
      f.memory("i64_load32_u", L.SEGMENTS + L.SEGMENT_STRIDE * index + L.SEGMENT_LIMIT);
    }
    f.op("i64_gt_u");
    f.open("if");
    t.raise(segment === Register.SS ? VECTOR.SS : VECTOR.GP);
    f.end();
    f.get(offset);
  }
  f.release(I64, offset);
}

/** May a branch lead there? */
export function isTarget({ mode }: Translation, rip: bigint): boolean {
  return mode.bits === 64 ? isCanonical(rip, mode.linearBits) : rip <= BigInt(mode.codeLimit);
}

/**
 * Raises #GP(0) at the branch unless it may lead to the RIP in a local, of `size` bytes. Targets of 64-bit code that are not
 * canonical are found out by the run loop, at no cost to the others.
 */
export function checkTarget(t: Translation, rip: Local, size: number): void {
  const { f, mode } = t;
  if (mode.bits === 64 || mode.codeLimit >= (size === 2 ? REAL_LIMIT : MAX_LIMIT)) return;
  f.get(rip);
  f.i64(mode.codeLimit);
  f.op("i64_gt_u");
  f.open("if");
  t.raise(VECTOR.GP);
  f.end();
}

/** Is it a near branch whose target stands in the instruction? */
export function isDirect(insn: Instruction): boolean {
  const kind = insn.op0Kind;
  return kind === OpKind.NearBranch16 || kind === OpKind.NearBranch32 ||
    kind === OpKind.NearBranch64;
}
