// Which checks a segment's accesses need: translated code is made for the kinds of its segments, so that flat ones cost
// nothing (SDM vol. 3, 5.3 to 5.5). 64-bit code has no limits and no types.
import * as L from "./layout.ts";
import { isRealLike, MAX_LIMIT, TYPE } from "./linear.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";

/** Letters, so that the kinds of all segments are one string. */
export const KIND = {
  /** Any offset may be read and written. */
  flat: "f",
  /** Any offset may be read. */
  readOnly: "r",
  /** Offsets up to 0xffff may be read and written, as in real mode. */
  sixtyFourKilobytes: "k",
  /** Offsets up to the limit may be read and written. */
  limited: "l",
  /** Checked in TypeScript: null, expand-down, or not writable with a limit. */
  other: "o",
} as const;

export const REAL_LIMIT = 0xffff;

/** ES, CS, SS, DS, FS, GS. */
const SEGMENTS = 6;
const SIXTY_FOUR_BIT = KIND.flat.repeat(SEGMENTS);
const CODE_LIMIT = L.SEGMENTS + L.SEGMENT_STRIDE + L.SEGMENT_LIMIT;

/** What translated code depends on besides instructions and the sizes of code and stack. */
export interface Segmentation {
  /** The kind of each segment, in encoding order. */
  readonly segments: string;
  /** The last offset that code may stand at, and branches lead to; not for 64-bit code. */
  readonly codeLimit: number;
  /** Bits of a canonical address, where 64-bit code may branch to. */
  readonly linearBits: number;
}

export function segmentation(state: CpuState): Segmentation {
  const { linearBits, view } = state;
  if (state.bitness === 64) {
    return { segments: SIXTY_FOUR_BIT, codeLimit: MAX_LIMIT, linearBits };
  }
  const real = isRealLike(state);
  let segments = "";
  for (let index = 0; index < SEGMENTS; index++) {
    const at = L.SEGMENTS + L.SEGMENT_STRIDE * index;
    const attributes = view.getUint32(at + L.SEGMENT_ATTRIBUTES, true);
    segments += kindOf(attributes, view.getUint32(at + L.SEGMENT_LIMIT, true), real);
  }
  return { segments, codeLimit: view.getUint32(CODE_LIMIT, true), linearBits };
}

/** Real and virtual-8086 mode know no types. */
function kindOf(attributes: number, limit: number, real: boolean): string {
  const code = (attributes & TYPE.CODE) !== 0;
  if (!code && attributes & TYPE.DOWN) return KIND.other;
  if (!real) {
    if (!(attributes & ATTRIBUTE.P)) return KIND.other;
    if (code || !(attributes & TYPE.WRITABLE)) {
      const readable = !code || attributes & TYPE.READABLE;
      return readable && limit === MAX_LIMIT ? KIND.readOnly : KIND.other;
    }
  }
  if (limit === MAX_LIMIT) return KIND.flat;
  return limit === REAL_LIMIT ? KIND.sixtyFourKilobytes : KIND.limited;
}
