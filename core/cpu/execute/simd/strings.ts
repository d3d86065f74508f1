// PCMPESTRx and PCMPISTRx: aggregations of comparisons of two strings (SDM vol. 2, 4.1).

/** What the immediate byte and the operands say. */
export interface StringCompare {
  /** Elements as numbers, signed if the comparison is. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  /** Valid elements of each. */
  readonly lengthA: number;
  readonly lengthB: number;
  readonly immediate: number;
}

/** Immediate byte: size and signedness, aggregation, polarity, which index or which mask (SDM vol. 2, table 4-1 to 4-4). */
const WORDS = 1, SIGNED = 2, MOST_SIGNIFICANT = 1 << 6;
const AGGREGATION = { equalAny: 0, ranges: 1, equalEach: 2, equalOrdered: 3 } as const;
const POLARITY = { positive: 0, negative: 1, maskedPositive: 2, maskedNegative: 3 } as const;

/** Elements in a vector. */
export function elementCount(immediate: number): 8 | 16 {
  return immediate & WORDS ? 8 : 16;
}

/** Elements of a vector. */
export function elementsOf(vector: bigint, immediate: number): number[] {
  const count = elementCount(immediate);
  const bits = 128 / count;
  return Array.from({ length: count }, (_, i) => {
    const raw = vector >> BigInt(bits * i);
    return Number(immediate & SIGNED ? BigInt.asIntN(bits, raw) : BigInt.asUintN(bits, raw));
  });
}

/** Elements before the first zero. */
export function implicitLength(elements: readonly number[]): number {
  const end = elements.indexOf(0);
  return end < 0 ? elements.length : end;
}

/** The two results: one bit an element of `b`. */
export function compareStrings(c: StringCompare): { first: number; second: number } {
  const count = elementCount(c.immediate);
  const positions = Array.from({ length: count }, (_, j) => j);
  const first = positions.reduce((bits, j) => bits | (matches(c, j, count) ? 1 << j : 0), 0);
  const valid = (1 << c.lengthB) - 1;
  const all = (1 << count) - 1;
  switch ((c.immediate >> 4) & 3) {
    case POLARITY.negative:
      return { first, second: first ^ all };
    case POLARITY.maskedNegative:
      return { first, second: first ^ valid };
    default:
      return { first, second: first };
  }
}

/** Does element `j` of `b` match? */
function matches({ a, b, lengthA, lengthB, immediate }: StringCompare, j: number, count: number) {
  const element = b[j] ?? 0;
  switch ((immediate >> 2) & 3) {
    case AGGREGATION.equalAny:
      return j < lengthB && a.slice(0, lengthA).includes(element);
    case AGGREGATION.ranges:
      if (j >= lengthB) return false;
      for (let i = 0; i + 1 < lengthA; i += 2) {
        if (element >= (a[i] ?? 0) && element <= (a[i + 1] ?? 0)) return true;
      }
      return false;
    case AGGREGATION.equalEach:
      if (j < lengthA && j < lengthB) return a[j] === element;
      return j >= lengthA && j >= lengthB;
    default:
      for (let i = 0; i < lengthA && i + j < count; i++) {
        if (i + j >= lengthB || a[i] !== b[i + j]) return false;
      }
      return true;
  }
}

/** ECX: number of the lowest or highest bit that is set, or of elements where none is. */
export function indexOf(second: number, immediate: number): number {
  if (second === 0) return elementCount(immediate);
  return 31 - Math.clz32(immediate & MOST_SIGNIFICANT ? second : second & -second);
}

/** XMM0: the bits themselves, or spread to elements. */
export function maskOf(second: number, immediate: number): bigint {
  if (!(immediate & MOST_SIGNIFICANT)) return BigInt(second);
  const count = elementCount(immediate);
  const bits = BigInt(128 / count);
  let mask = 0n;
  for (let j = 0; j < count; j++) {
    if (second >> j & 1) mask |= ((1n << bits) - 1n) << (bits * BigInt(j));
  }
  return mask;
}
