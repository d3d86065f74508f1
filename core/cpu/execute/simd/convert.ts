// Conversions between formats and integers, and rounding to integers that stay floating-point numbers.
import {
  type Format,
  indefinite,
  infinity,
  type Parts,
  parts,
  quieted,
  rounded,
  toInteger,
  zero,
} from "./float.ts";
import { type Environment, FLAG, type Rounding } from "./mxcsr.ts";

/** A two's complement integer of `bits` to a format. */
export function fromInteger(
  format: Format,
  value: bigint,
  bits: number,
  environment: Environment,
): bigint {
  const signed = BigInt.asIntN(bits, value);
  if (signed === 0n) return 0n;
  return rounded(format, signed < 0n, signed < 0n ? -signed : signed, 0, environment);
}

/** To an integer of `bits`; what does not fit is the integer indefinite, the most negative one. */
export function asInteger(
  format: Format,
  bits: bigint,
  size: number,
  rounding: Rounding,
  environment: Environment,
): bigint {
  const x = parts(format, bits, environment);
  const bound = 1n << BigInt(size - 1);
  if (x.kind === "finite" && x.exponent < 64) {
    const { value, exact } = toIntegerOrZero(x, rounding);
    if (value >= -bound && value < bound) {
      if (!exact) environment.raise(FLAG.PE);
      return BigInt.asUintN(size, value);
    }
  }
  environment.raise(FLAG.IE);
  return bound;
}

function toIntegerOrZero(x: Parts, rounding: Rounding): { value: bigint; exact: boolean } {
  return x.significand === 0n ? { value: 0n, exact: true } : toInteger(x, rounding);
}

/** From one format to the other. A NaN keeps the upper bits of its payload. */
export function reformat(from: Format, to: Format, bits: bigint, environment: Environment): bigint {
  const x = parts(from, bits, environment);
  switch (x.kind) {
    case "nan": {
      if (x.signalling) environment.raise(FLAG.IE);
      const shift = to.fraction - from.fraction;
      const payload = shift > 0n ? x.significand << shift : x.significand >> -shift;
      return quieted(to, infinity(to, x.negative) | payload);
    }
    case "infinite":
      return infinity(to, x.negative);
    case "finite":
      if (x.denormal) environment.raise(FLAG.DE);
      if (x.significand === 0n) return zero(to, x.negative);
      return rounded(to, x.negative, x.significand, x.exponent, environment);
    default:
      return x.kind satisfies never;
  }
}

/** ROUNDxx. `quiet`: is the precision exception suppressed? */
export function roundToIntegral(
  format: Format,
  bits: bigint,
  rounding: Rounding,
  quiet: boolean,
  environment: Environment,
): bigint {
  const x = parts(format, bits, environment);
  if (x.kind === "nan") {
    if (x.signalling) environment.raise(FLAG.IE);
    return quieted(format, bits);
  }
  if (x.kind === "infinite") return bits;
  if (x.significand === 0n) return zero(format, x.negative);
  if (x.exponent >= 0) return bits;
  const { value, exact } = toInteger(x, rounding);
  if (!exact && !quiet) environment.raise(FLAG.PE);
  if (value === 0n) return zero(format, x.negative);
  return rounded(format, x.negative, x.negative ? -value : value, 0, environment);
}

/** RCPxx and RSQRTxx: an approximation with a relative error of at most 1.5 x 2^-12. Raises nothing. */
export function reciprocal(format: Format, bits: bigint, root: boolean): bigint {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, Number(bits));
  const magnitude = Number(bits) & 0x7fff_ffff;
  const negative = Number(bits) > 0x7fff_ffff;
  const stored = magnitude >>> 23;
  if (magnitude > 0x7f80_0000) return quieted(format, bits);
  // Denormals count as zeros.
  if (stored === 0) return infinity(format, negative);
  if (root && negative) return indefinite(format);
  if (stored === format.special) return zero(format, negative);
  const x = view.getFloat32(0);
  view.setFloat32(0, root ? 1 / Math.sqrt(x) : 1 / x);
  const result = BigInt(view.getUint32(0));
  // So are tiny results.
  return (result >> format.fraction & 0xffn) === 0n ? zero(format, negative) : result;
}
