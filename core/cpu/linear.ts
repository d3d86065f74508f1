// Segmentation: from segment and offset to a linear address, with the checks of the segment's type and limit
// (SDM vol. 3, 5.3 to 5.5).
import { CR0, RFLAGS, type Segment, type SegmentName, VECTOR } from "../base/registers.ts";
import { GuestFault } from "./fault.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";
import { isCanonical } from "./walk.ts";

/** Type bits of code and data segments (SDM vol. 3, table 3-1). */
export const TYPE = {
  ACCESSED: 1,
  WRITABLE: 2,
  READABLE: 2,
  DOWN: 4,
  CONFORMING: 4,
  CODE: 8,
} as const;

/** Of a segment with all 4 GiB. */
export const MAX_LIMIT = 0xffff_ffff;

/** Bits of RIP that count. 16-bit code does not wrap at 64 KiB: it meets the segment's limit. */
export function ripBits(bits: 16 | 32 | 64): 32 | 64 {
  return bits === 64 ? 64 : 32;
}

/** Real mode or virtual-8086 mode: segments are addresses divided by 16. */
export function isRealLike(state: CpuState): boolean {
  return (state.control("cr0") & BigInt(CR0.PE)) === 0n || isVirtual8086(state);
}

/** Is EFLAGS.VM set? */
export function isVirtual8086(state: CpuState): boolean {
  return (state.systemFlags & RFLAGS.VM) !== 0;
}

/**
 * Linear address of `size` bytes at `offset` in a segment. Throws #GP(0), or #SS(0) for SS, where type, limit or canonical
 * form forbid the access.
 */
export function linearAddress(
  state: CpuState,
  name: SegmentName,
  offset: bigint,
  size: number,
  write: boolean,
): bigint {
  const vector = name === "ss" ? VECTOR.SS : VECTOR.GP;
  if (state.bitness === 64) {
    const base = name === "fs" || name === "gs" ? state.segment(name).base : 0n;
    const linear = BigInt.asUintN(64, base + offset);
    const bits = state.linearBits;
    if (!isCanonical(linear, bits) || !isCanonical(linear + BigInt(size - 1), bits)) {
      throw new GuestFault(vector, 0);
    }
    return linear;
  }
  const segment = state.segment(name);
  if (!isRealLike(state) && !permits(segment, write)) throw new GuestFault(vector, 0);
  if (!withinLimit(segment, Number(BigInt.asUintN(32, offset)), size)) {
    throw new GuestFault(vector, 0);
  }
  return BigInt.asUintN(32, segment.base + offset);
}

/** Loaded (not null), and of a type that may be read or written. */
function permits({ attributes }: Segment, write: boolean): boolean {
  if (!(attributes & ATTRIBUTE.P)) return false;
  if (attributes & TYPE.CODE) return !write && (attributes & TYPE.READABLE) !== 0;
  return !write || (attributes & TYPE.WRITABLE) !== 0;
}

/**
 * Do `size` bytes at `offset` lie in the segment? Expand-down segments hold what is above their limit. Where all 4 GiB are in
 * it, an access may go round their end: the manual leaves that to the processor (SDM vol. 3, 5.3), and Bochs lets it in flat segments.
 */
export function withinLimit({ limit, attributes }: Segment, offset: number, size: number): boolean {
  const last = offset + size - 1;
  if ((attributes & (TYPE.CODE | TYPE.DOWN | ATTRIBUTE.S)) === (TYPE.DOWN | ATTRIBUTE.S)) {
    return offset > limit && last <= (attributes & ATTRIBUTE.DB ? 0xffff_ffff : 0xffff);
  }
  return last <= limit || limit === MAX_LIMIT;
}
