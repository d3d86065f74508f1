// One operation on one pair of elements: bits in, bits out, exceptions to the environment.
import {
  bitLength,
  type Format,
  indefinite,
  infinity,
  type Parts,
  parts,
  quieted,
  rounded,
  zero,
} from "./float.ts";
import { type Environment, FLAG, ROUND } from "./mxcsr.ts";

/** Two elements to one. */
export type Binary = (format: Format, a: bigint, b: bigint, environment: Environment) => bigint;
/** One element to one. */
export type Unary = (format: Format, a: bigint, environment: Environment) => bigint;

/** A NaN among the operands is the result, the first one's before the second's (SDM vol. 1, table 4-7). */
function nanOf(
  format: Format,
  operands: readonly (readonly [bits: bigint, parts: Parts])[],
  environment: Environment,
): bigint | undefined {
  if (operands.some(([, { signalling }]) => signalling)) environment.raise(FLAG.IE);
  const nan = operands.find(([, { kind }]) => kind === "nan");
  return nan && quieted(format, nan[0]);
}

function invalid(format: Format, environment: Environment): bigint {
  environment.raise(FLAG.IE);
  return indefinite(format);
}

/** The denormal-operand exception ranks below the invalid-operation and divide-by-zero ones. */
function noteDenormals(environment: Environment, ...operands: readonly Parts[]): void {
  if (operands.some(({ denormal }) => denormal)) environment.raise(FLAG.DE);
}

const isZero = ({ kind, significand }: Parts) => kind === "finite" && significand === 0n;

const sum = (subtract: boolean): Binary => (format, a, b, environment) => {
  const x = parts(format, a, environment);
  const second = parts(format, b, environment);
  const nan = nanOf(format, [[a, x], [b, second]], environment);
  if (nan !== undefined) return nan;
  const y = subtract ? { ...second, negative: !second.negative } : second;
  if (x.kind === "infinite" && y.kind === "infinite" && x.negative !== y.negative) {
    return invalid(format, environment);
  }
  noteDenormals(environment, x, y);
  if (x.kind === "infinite") return infinity(format, x.negative);
  if (y.kind === "infinite") return infinity(format, y.negative);
  const exponent = Math.min(x.exponent, y.exponent);
  const signed = ({ negative, significand, exponent: e }: Parts) =>
    (negative ? -significand : significand) << BigInt(e - exponent);
  const total = signed(x) + signed(y);
  if (total === 0n) {
    const both = isZero(x) && isZero(y) && x.negative === y.negative;
    return zero(format, both ? x.negative : environment.rounding === ROUND.down);
  }
  return rounded(format, total < 0n, total < 0n ? -total : total, exponent, environment);
};
export const add = sum(false);
export const subtract = sum(true);

export const multiply: Binary = (format, a, b, environment) => {
  const [x, y] = [parts(format, a, environment), parts(format, b, environment)];
  const nan = nanOf(format, [[a, x], [b, y]], environment);
  if (nan !== undefined) return nan;
  const negative = x.negative !== y.negative;
  const infinite = x.kind === "infinite" || y.kind === "infinite";
  if (infinite && (isZero(x) || isZero(y))) return invalid(format, environment);
  noteDenormals(environment, x, y);
  if (infinite) return infinity(format, negative);
  const product = x.significand * y.significand;
  if (product === 0n) return zero(format, negative);
  return rounded(format, negative, product, x.exponent + y.exponent, environment);
};

export const divide: Binary = (format, a, b, environment) => {
  const [x, y] = [parts(format, a, environment), parts(format, b, environment)];
  const nan = nanOf(format, [[a, x], [b, y]], environment);
  if (nan !== undefined) return nan;
  const negative = x.negative !== y.negative;
  const [top, bottom] = [x.kind === "infinite", y.kind === "infinite"];
  if ((top && bottom) || (isZero(x) && isZero(y))) return invalid(format, environment);
  if (isZero(y) && !top) {
    environment.raise(FLAG.ZE);
    return infinity(format, negative);
  }
  noteDenormals(environment, x, y);
  if (top) return infinity(format, negative);
  if (bottom || isZero(x)) return zero(format, negative);
  // Enough bits that the quotient has two more than the format; the lowest one stands for the remainder.
  const more = Math.max(
    0,
    Number(format.fraction) + 4 + bitLength(y.significand) - bitLength(x.significand),
  );
  const dividend = x.significand << BigInt(more);
  const quotient = dividend / y.significand;
  const sticky = quotient * y.significand === dividend ? 0n : 1n;
  return rounded(
    format,
    negative,
    quotient << 1n | sticky,
    x.exponent - y.exponent - more - 1,
    environment,
  );
};

export const squareRoot: Unary = (format, a, environment) => {
  const x = parts(format, a, environment);
  const nan = nanOf(format, [[a, x]], environment);
  if (nan !== undefined) return nan;
  if (isZero(x)) return zero(format, x.negative);
  if (x.negative) return invalid(format, environment);
  noteDenormals(environment, x);
  if (x.kind === "infinite") return a;
  // An even exponent, and twice the bits that the root is to have.
  let more = Math.max(0, 2 * (Number(format.fraction) + 4) - bitLength(x.significand));
  if ((x.exponent - more) & 1) more++;
  const radicand = x.significand << BigInt(more);
  const root = integerRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return rounded(format, false, root << 1n | sticky, (x.exponent - more) / 2 - 1, environment);
};

/** The largest integer whose square is not larger; Newton's method from above. */
function integerRoot(value: bigint): bigint {
  let root = 1n << BigInt((bitLength(value) >> 1) + 1);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

/** MINxx and MAXxx: the second operand where one is a NaN or both are zeros, unchanged. */
const extreme = (least: boolean): Binary => (format, a, b, environment) => {
  const [x, y] = [parts(format, a, environment), parts(format, b, environment)];
  const [first, second] = [asRead(format, a, x), asRead(format, b, y)];
  if (x.kind === "nan" || y.kind === "nan") {
    environment.raise(FLAG.IE);
    return second;
  }
  noteDenormals(environment, x, y);
  const order = compare(x, y);
  return order !== 0 && (order < 0) === least ? first : second;
};
export const minimum = extreme(true);
export const maximum = extreme(false);

/** With denormals as zeros, such operands are zeros also where they are only handed on. */
function asRead(format: Format, bits: bigint, { kind, significand, negative }: Parts): bigint {
  return kind === "finite" && significand === 0n ? zero(format, negative) : bits;
}

/** Order of two numbers that are no NaNs: negative, zero or positive. Zeros are equal. */
function compare(x: Parts, y: Parts): number {
  const rank = (p: Parts) => p.kind === "infinite" ? 2 : isZero(p) ? 0 : 1;
  const sign = (p: Parts) => rank(p) === 0 ? 0 : p.negative ? -1 : 1;
  if (sign(x) !== sign(y)) return sign(x) - sign(y);
  if (rank(x) !== rank(y) || rank(x) !== 1) return sign(x) * (rank(x) - rank(y));
  const exponent = Math.min(x.exponent, y.exponent);
  const magnitude = (p: Parts) => p.significand << BigInt(p.exponent - exponent);
  const [m, n] = [magnitude(x), magnitude(y)];
  return m === n ? 0 : (m < n) === (sign(x) > 0) ? -1 : 1;
}

/** Order of two elements; undefined where they have none. `quiet`: do QNaNs pass without an exception? */
export function ordered(
  format: Format,
  a: bigint,
  b: bigint,
  quiet: boolean,
  environment: Environment,
): number | undefined {
  const [x, y] = [parts(format, a, environment), parts(format, b, environment)];
  if (x.kind === "nan" || y.kind === "nan") {
    if (!quiet || x.signalling || y.signalling) environment.raise(FLAG.IE);
    return undefined;
  }
  noteDenormals(environment, x, y);
  return compare(x, y);
}

/** CMPxx: all ones where predicate 0 to 7 holds (SDM vol. 2, table 3-1). */
export const compareBy = (predicate: number): Binary => (format, a, b, environment) => {
  const kind = predicate & 3;
  const order = ordered(format, a, b, kind === 0 || kind === 3, environment);
  const holds = kind === 0
    ? order === 0
    : kind === 1
    ? order !== undefined && order < 0
    : kind === 2
    ? order !== undefined && order <= 0
    : order === undefined;
  return holds !== ((predicate & 4) !== 0) ? (1n << BigInt(format.bits)) - 1n : 0n;
};
