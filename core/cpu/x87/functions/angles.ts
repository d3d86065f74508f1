// Sine, cosine, tangent, and the angle of a point.
import {
  bitLength,
  inverseSeries,
  ONE,
  P,
  pi,
  type Real,
  type Scaled,
  scaled,
  scaledQuotient,
  shifted,
  squareOf,
} from "./fixed.ts";

/** Bits after the point while multiples of pi / 2 are taken off. */
const REDUCED = 384;

interface Reduced {
  /** Quarter turns taken off. */
  readonly quadrant: number;
  readonly negative: number;
  /** What is left, at most pi / 4; undefined: too little to matter but for its sign. */
  readonly angle: Scaled;
}

/** Angles below 2^-TINY are their own sine. */
const TINY = 100;

/** The angle is less than 2^63. */
function reduce({ negative, magnitude, exponent }: Real): Reduced {
  if (exponent + bitLength(magnitude) < -TINY) {
    return { quadrant: 0, negative, angle: scaled(magnitude, -exponent) };
  }
  const quarter = pi(REDUCED - 1);
  const angle = shifted(magnitude, exponent + REDUCED);
  const turns = (angle + (quarter >> 1n)) / quarter;
  // Turns have up to 63 bits: so many bits of the constant's error come in, of more than are used.
  const rest = angle - (turns * pi(REDUCED + 63) >> 64n);
  const quadrant = Number(turns & 3n);
  return {
    quadrant: negative ? -quadrant & 3 : quadrant,
    negative: rest < 0n ? negative ^ 1 : negative,
    angle: scaled(rest < 0n ? -rest : rest, REDUCED),
  };
}

/** 1 - x/(n (n+1)) + x^2/(n (n+1) (n+2) (n+3)) ... */
function series(square: bigint, first: bigint): bigint {
  let sum = 0n, term = ONE;
  for (let i = first; term !== 0n; i += 2n) {
    sum += (i - first) & 2n ? -term : term;
    term = term * square / (i * (i + 1n)) >> BigInt(P);
  }
  return sum;
}

/** Sine of a reduced angle, without its sign. */
function sineOf(angle: Scaled): Real {
  // A trifle less than the angle, also where its square is lost.
  const sum = series(squareOf(angle), 2n) - 1n;
  return { negative: 0, magnitude: angle.magnitude * sum, exponent: -angle.scale - P };
}
function cosineOf(angle: Scaled): Real {
  return { negative: 0, magnitude: series(squareOf(angle), 1n) - 1n, exponent: -P };
}

export function sine(x: Real): Real {
  const { quadrant, negative, angle } = reduce(x);
  const value = quadrant & 1 ? cosineOf(angle) : sineOf(angle);
  const sign = quadrant & 1 ? 0 : negative;
  return { ...value, negative: quadrant & 2 ? sign ^ 1 : sign };
}

export function cosine(x: Real): Real {
  const { quadrant, negative, angle } = reduce(x);
  const value = quadrant & 1 ? sineOf(angle) : cosineOf(angle);
  const sign = quadrant & 1 ? negative ^ 1 : 0;
  return { ...value, negative: quadrant & 2 ? sign ^ 1 : sign };
}

export function tangent(x: Real): Real {
  const [s, c] = [sine(x), cosine(x)];
  const more = 2 * P;
  // A trifle more than the angle.
  return {
    negative: s.negative ^ c.negative,
    magnitude: (s.magnitude << BigInt(more + P)) / (c.magnitude - 4n),
    exponent: s.exponent - c.exponent - more - P,
  };
}

/** Ratios are compared with multiples of 1 / STEPS, whose inverse tangents are kept. */
const STEPS = 16n;
const known = new Map<bigint, bigint>();

/** arctan(step / STEPS), by Euler's series, which converges up to one. */
function stepAngle(step: bigint): bigint {
  let angle = known.get(step);
  if (angle === undefined) {
    const below = STEPS * STEPS + step * step;
    let term = (step * STEPS << BigInt(P + 16)) / below;
    angle = 0n;
    for (let i = 1n; term !== 0n; i++) {
      angle += term;
      term = term * 2n * i * step * step / ((2n * i + 1n) * below);
    }
    known.set(step, angle >>= 16n);
  }
  return angle;
}

/** Ratios below 2^-FAR are their own angle. */
const FAR = 200;

/** The angle, 0 to pi, of a point: both its coordinates are positive, and `left` tells that x is not. */
export function angleOf(y: Real, x: Real, left: boolean): Real {
  const difference = y.exponent + bitLength(y.magnitude) - x.exponent - bitLength(x.magnitude);
  const steep = difference > 0 || difference === 0 && isGreater(y, x);
  const [low, high] = steep ? [x, y] : [y, x];
  const small = Math.abs(difference) > FAR ? quotient(low, high) : smallAngle(low, high);
  if (!steep && !left) return small;
  const whole = steep ? pi(2 * P - 1) : pi(2 * P);
  const part = shifted(small.magnitude, small.exponent + 2 * P);
  // Above pi / 2 where the point is steep and to the left; else below.
  const value = steep && left ? whole + part : whole - part - 1n;
  return { negative: 0, magnitude: value, exponent: -2 * P };
}

function isGreater(y: Real, x: Real): boolean {
  const low = Math.min(y.exponent, x.exponent);
  return shifted(y.magnitude, y.exponent - low) > shifted(x.magnitude, x.exponent - low);
}

function quotient(a: Real, b: Real): Real {
  const { magnitude, scale } = scaledQuotient(a.magnitude, b.magnitude);
  // A trifle less than the ratio.
  return {
    negative: 0,
    magnitude: (magnitude << 64n) - 1n,
    exponent: a.exponent - b.exponent - scale - 64,
  };
}

function smallAngle(low: Real, high: Real): Real {
  const exponent = Math.min(low.exponent, high.exponent);
  const [a, b] = [low, high].map((v) => shifted(v.magnitude, v.exponent - exponent));
  const [dividend, divisor] = [a ?? 0n, b ?? 1n];
  const step = (2n * STEPS * dividend + divisor) / (2n * divisor);
  const rest = STEPS * dividend - step * divisor;
  const base = stepAngle(step);
  if (rest === 0n) return { negative: 0, magnitude: base, exponent: -P };
  const z = scaledQuotient(rest < 0n ? -rest : rest, STEPS * divisor + step * dividend);
  const angle = z.magnitude * inverseSeries(squareOf(z), true);
  const scale = z.scale + P;
  if (step === 0n) return { negative: 0, magnitude: angle, exponent: -scale };
  const sum = (base << BigInt(scale - P)) + (rest < 0n ? -angle : angle);
  return { negative: 0, magnitude: sum, exponent: -scale };
}
