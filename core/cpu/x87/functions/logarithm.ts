// Logarithms to base 2.
import {
  bitLength,
  inverseSeries,
  ln2,
  P,
  type Real,
  scaledQuotient,
  shifted,
  squareOf,
} from "./fixed.ts";

/** log2 of magnitude x 2^exponent. */
export function log2(magnitude: bigint, exponent: number): Real {
  const length = bitLength(magnitude);
  // m between the roots of 1/2 and 2, times a power of two.
  const above = magnitude * magnitude >> BigInt(2 * length - 1) ? 1 : 0;
  const whole = exponent + length - 1 + above;
  const unit = 1n << BigInt(length - 1 + above);
  if (magnitude === unit) {
    return {
      negative: whole < 0 ? 1 : 0,
      magnitude: BigInt(Math.abs(whole)),
      exponent: 0,
      exact: true,
    };
  }
  const difference = magnitude - unit;
  const fraction = logOfRatio(difference < 0n ? -difference : difference, magnitude + unit);
  const value = shifted(BigInt(whole), -fraction.exponent) +
    (difference < 0n ? -fraction.magnitude : fraction.magnitude);
  return {
    negative: value < 0n ? 1 : 0,
    magnitude: value < 0n ? -value : value,
    exponent: fraction.exponent,
  };
}

/** log2((1 + z) / (1 - z)) for z = dividend / divisor. */
function logOfRatio(dividend: bigint, divisor: bigint): Real {
  const z = scaledQuotient(dividend, divisor);
  const sum = z.magnitude * inverseSeries(squareOf(z), false);
  return {
    negative: 0,
    magnitude: (sum << BigInt(P + 1)) / ln2(P),
    exponent: -z.scale - P,
  };
}

/** Below 2^-SMALL, log2(1 + x) is x / ln 2 to all bits that count; above 2^SMALL it is log2(x). */
const SMALL = 200;

/** log2(1 + x), for x above -1. */
export function log2OfOnePlus({ negative, magnitude, exponent }: Real): Real {
  const size = exponent + bitLength(magnitude);
  if (size < -SMALL) {
    return { negative, magnitude: (magnitude << BigInt(2 * P)) / ln2(P), exponent: exponent - P };
  }
  if (size > SMALL) return { ...log2(magnitude, exponent), exact: false };
  const low = Math.min(0, exponent);
  const [one, x] = [1n << BigInt(-low), shifted(magnitude, exponent - low)];
  return log2(negative ? one - x : one + x, low);
}

/** 2^x - 1, for x between -1 and 1. */
export function power2Minus1({ negative, magnitude, exponent }: Real): Real {
  // t = x ln 2; (e^t - 1) / t as a series.
  const product = magnitude * ln2(2 * P);
  const t = shifted(product, exponent - P);
  let sum = 0n, term = 1n << BigInt(P);
  for (let i = 2n; term !== 0n; i++) {
    sum += negative && i & 1n ? -term : term;
    term = term * t / i >> BigInt(P);
  }
  return { negative, magnitude: product * sum, exponent: exponent - 3 * P };
}
