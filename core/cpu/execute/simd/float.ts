// Binary floating-point numbers of 32 and 64 bits, exactly: taken apart, rounded and put together as IEEE 754 and MXCSR say.
import { type Environment, FLAG, ROUND, type Rounding } from "./mxcsr.ts";

/** A format of IEEE 754. */
export interface Format {
  readonly bits: 32 | 64;
  /** Bits of the fraction. */
  readonly fraction: bigint;
  /** Exponent of 1.0 as it is stored. */
  readonly bias: number;
  /** Exponent of infinities and NaNs as it is stored. */
  readonly special: number;
}
export const SINGLE: Format = { bits: 32, fraction: 23n, bias: 127, special: 0xff };
export const DOUBLE: Format = { bits: 64, fraction: 52n, bias: 1023, special: 0x7ff };

/** (-1)^negative x significand x 2^exponent, or something that is no such number. */
export interface Parts {
  readonly kind: "finite" | "infinite" | "nan";
  readonly negative: boolean;
  readonly significand: bigint;
  readonly exponent: number;
  readonly denormal: boolean;
  /** Of a NaN: signalling? */
  readonly signalling: boolean;
}

const signBit = (format: Format) => 1n << BigInt(format.bits - 1);
const quietBit = (format: Format) => 1n << (format.fraction - 1n);

export function infinity(format: Format, negative: boolean): bigint {
  return BigInt(format.special) << format.fraction | (negative ? signBit(format) : 0n);
}
export function zero(format: Format, negative: boolean): bigint {
  return negative ? signBit(format) : 0n;
}
/** What an invalid operation gives: the QNaN floating-point indefinite (SDM vol. 1, 4.8.3.7). */
export function indefinite(format: Format): bigint {
  return infinity(format, true) | quietBit(format);
}
export function quieted(format: Format, bits: bigint): bigint {
  return bits | quietBit(format);
}

/** Takes a number apart. Denormals are zeros if the environment says so; it is not told of them here. */
export function parts(format: Format, bits: bigint, environment: Environment): Parts {
  const negative = (bits & signBit(format)) !== 0n;
  const stored = Number(bits >> format.fraction) & format.special;
  const fraction = bits & ((1n << format.fraction) - 1n);
  const lowest = 1 - format.bias - Number(format.fraction);
  const common = { negative, denormal: false, signalling: false };
  if (stored === format.special) {
    if (fraction === 0n) return { ...common, kind: "infinite", significand: 0n, exponent: 0 };
    const signalling = (fraction & quietBit(format)) === 0n;
    return { ...common, kind: "nan", significand: fraction, exponent: 0, signalling };
  }
  if (stored === 0) {
    const significand = environment.denormalsAreZeros ? 0n : fraction;
    return {
      ...common,
      kind: "finite",
      significand,
      exponent: lowest,
      denormal: significand !== 0n,
    };
  }
  const significand = fraction | 1n << format.fraction;
  return { ...common, kind: "finite", significand, exponent: lowest + stored - 1 };
}

/** Bits of a positive integer. */
export function bitLength(value: bigint): number {
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits[0] ?? "0", 16)) + 28;
}

/** Drops the low `count` bits. */
export function shiftRounded(
  value: bigint,
  count: number,
  rounding: Rounding,
  negative: boolean,
): { value: bigint; exact: boolean } {
  if (count <= 0) return { value: value << BigInt(-count), exact: true };
  const shift = BigInt(count);
  const kept = value >> shift;
  const rest = value - (kept << shift);
  if (rest === 0n) return { value: kept, exact: true };
  const half = 1n << (shift - 1n);
  const up = rounding === ROUND.nearest
    ? rest > half || (rest === half && (kept & 1n) === 1n)
    : rounding === ROUND.up
    ? !negative
    : rounding === ROUND.down
    ? negative
    : false;
  return { value: up ? kept + 1n : kept, exact: false };
}

/**
 * Rounds significand x 2^exponent, not zero, to a format. A significand that is itself cut off must have two bits more than
 * the format, with the lowest one set for what is missing.
 */
export function rounded(
  format: Format,
  negative: boolean,
  significand: bigint,
  exponent: number,
  environment: Environment,
): bigint {
  const { rounding } = environment;
  const precision = Number(format.fraction) + 1;
  const length = bitLength(significand);
  const lowestNormal = 1 - format.bias;
  const lowest = lowestNormal - Number(format.fraction);
  const sign = negative ? signBit(format) : 0n;

  // Tiny is judged after rounding as if the exponent had no bounds (SDM vol. 1, 4.9.1.5).
  const free = shiftRounded(significand, length - precision, rounding, negative);
  const top = exponent + length - 1 + (free.value >> BigInt(precision) ? 1 : 0);
  const tiny = top < lowestNormal;
  if (tiny && environment.flushesToZero) {
    environment.raise(FLAG.UE | FLAG.PE);
    return sign;
  }
  const unit = Math.max(exponent + length - precision, lowest);
  const { value, exact } = shiftRounded(significand, unit - exponent, rounding, negative);
  if (tiny && (!exact || !environment.underflowIsMasked)) environment.raise(FLAG.UE);
  if (!exact) environment.raise(FLAG.PE);
  if (value < 1n << format.fraction) return sign | value;
  // A carry out of the fraction goes to the exponent by itself.
  const stored = BigInt(unit - lowest + 1) << format.fraction;
  const magnitude = stored + value - (1n << format.fraction);
  if (magnitude < BigInt(format.special) << format.fraction) return sign | magnitude;
  environment.raise(FLAG.OE | FLAG.PE);
  const away = rounding === ROUND.nearest || rounding === (negative ? ROUND.down : ROUND.up);
  return away ? infinity(format, negative) : infinity(format, negative) - 1n;
}

/** Rounds to an integer, with its sign. */
export function toInteger(
  { significand, exponent, negative }: Parts,
  rounding: Rounding,
): { value: bigint; exact: boolean } {
  // Below a quarter, how far below does not matter.
  const count = Math.min(-exponent, bitLength(significand) + 2);
  const { value, exact } = shiftRounded(significand, count, rounding, negative);
  return { value: negative ? -value : value, exact };
}
