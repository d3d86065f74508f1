// Fixed-point arithmetic for the transcendental instructions: far more bits than are kept, so that results are those nearest to
// the true values but for one case in 2^60 or so.
import type { Float80 } from "../float80.ts";

/** Bits after the point. Terms of a series lose a few. */
export const P = 160;
export const ONE = 1n << BigInt(P);
/** Bits of the constants: the largest angle has 63 bits before the point, and may come within 2^-70 of a multiple of pi. */
const CONSTANT_BITS = 448n;

/** (-1)^negative x magnitude x 2^exponent. Not exact, unless it says so. */
export interface Real {
  readonly negative: number;
  readonly magnitude: bigint;
  readonly exponent: number;
  readonly exact?: boolean;
}

/** Significand and exponent of a finite number. */
export function realOf(v: Float80): Real & { readonly exact: true } {
  return {
    negative: v.negative,
    magnitude: v.significand,
    exponent: Math.max(1, v.exponent) - 16383 - 63,
    exact: true,
  };
}

export function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits[0] ?? "0", 16)) + 28;
}

/** Shifts left, or right where the count is negative. */
export function shifted(value: bigint, count: number): bigint {
  return count >= 0 ? value << BigInt(count) : value >> BigInt(-count);
}

/** A value with P significant bits, as magnitude x 2^-scale. */
export interface Scaled {
  readonly magnitude: bigint;
  readonly scale: number;
}

export function scaledQuotient(dividend: bigint, divisor: bigint): Scaled {
  const scale = P + bitLength(divisor) - bitLength(dividend);
  return { magnitude: shifted(dividend, scale) / divisor, scale };
}

export function scaled(magnitude: bigint, scale: number): Scaled {
  const by = P - bitLength(magnitude);
  return { magnitude: shifted(magnitude, by), scale: scale + by };
}

/** The square, with P bits after the point. */
export function squareOf({ magnitude, scale }: Scaled): bigint {
  return shifted(magnitude * magnitude, P - 2 * scale);
}

/** 1 + s x/3 + x^2/5 + s x^3/7 ...: of the inverse tangent and of its hyperbolic kin, over their argument. */
export function inverseSeries(square: bigint, alternating: boolean): bigint {
  let sum = ONE, power = ONE;
  for (let i = 3n; power !== 0n; i += 2n) {
    power = power * square >> BigInt(P);
    sum += alternating && i & 2n ? -power / i : power / i;
  }
  // Less than one where signs take turns, also where the square is lost.
  return alternating ? sum - 1n : sum;
}

/** Sum of 1 / ((2i+1) n^(2i+1)), with or without signs in turn. */
function inverseOf(n: bigint, alternating: boolean): bigint {
  let power = (1n << CONSTANT_BITS + 16n) / n;
  let sum = 0n;
  for (let i = 1n; power !== 0n; i += 2n) {
    sum += alternating && i & 2n ? -power / i : power / i;
    power /= n * n;
  }
  return sum;
}

function constant(compute: () => bigint): (bits: number) => bigint {
  let value: bigint | undefined;
  return (bits) => (value ??= compute()) >> CONSTANT_BITS + 16n - BigInt(bits);
}

/** Machin's formula. */
export const pi = constant(() => 16n * inverseOf(5n, true) - 4n * inverseOf(239n, true));
export const ln2 = constant(() =>
  18n * inverseOf(26n, false) - 2n * inverseOf(4801n, false) + 8n * inverseOf(8749n, false)
);
