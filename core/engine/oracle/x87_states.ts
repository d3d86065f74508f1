// Random states of the x87 FPU, as FRSTOR loads them, and random operands in memory: mostly what is near some border. Test code.
import { Code } from "iced-x86";
import type { Random } from "./random.ts";

/** A number of 80 bits, as an integer of sign, exponent and significand. */
function extended(random: Random): bigint {
  const sign = BigInt(random.below(2)) << 79n;
  if (random.oneIn(12)) return sign;
  return sign | BigInt(exponent(random)) << 64n | significand(random);
}

const BIAS = 16383;

function exponent(random: Random): number {
  switch (random.below(9)) {
    case 0:
      return random.pick([0, 0, 0, 1, 1, 2]);
    case 1:
      return random.pick([0x7fff, 0x7fff, 0x7ffe, 0x7ffd]);
    case 2:
      // The borders of narrower formats.
      return BIAS + random.pick([127, -126, 1023, -1022]) + random.below(60) - 50;
    case 3:
      // Those of integers.
      return BIAS + random.pick([14, 15, 16, 30, 31, 32, 59, 60, 62, 63, 64]);
    case 4:
      return random.below(0x8000);
    case 5:
      return BIAS + random.below(140) - 70;
    default:
      return BIAS + random.below(7) - 3;
  }
}

const INTEGER_BIT = 1n << 63n;

function significand(random: Random): bigint {
  const bits = random.pick([
    0n,
    0n,
    1n,
    1n << 62n,
    INTEGER_BIT - 1n,
    random.u64(),
    random.u64(),
    random.u64() & ~0x7ffn,
    random.u64() & ~0x7ffn | 0x400n,
    random.u64() & ~0xff_ffff_ffffn,
    random.u64() & ~0xff_ffff_ffffn | 0x80_0000_0000n,
    BigInt(random.below(16)) << 59n,
    random.u64() | 0xffff_ffff_ffff_f800n >> BigInt(random.below(3)),
  ]);
  return random.oneIn(9) ? bits & (INTEGER_BIT - 1n) : bits | INTEGER_BIT;
}

/** Operands whose exponents are so that results are near the borders of their range. */
function twins(random: Random): [bigint, bigint] {
  const [a, b] = [extended(random), extended(random)];
  const mask = ~(0x7fffn << 64n);
  const e = exponent(random);
  const partner = random.pick([
    e + random.below(5) - 2,
    e + random.below(140) - 70,
    BIAS - e + BIAS + random.below(5) - 2,
    BIAS - e + random.below(70) - 66,
    e + BIAS + random.below(70) - 66,
    3 * BIAS - e + random.below(5) - 2,
  ]);
  const [x, y] = [e, partner].map((v) => BigInt(v & 0x7fff) << 64n);
  return [a & mask | (x ?? 0n), b & mask | (y ?? 0n)];
}

/** What an operand in memory holds: by the instruction's name. */
export function operandBytes(random: Random, code: Code): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < 128; at += 8) view.setBigUint64(at, random.u64(), true);
  const name = Code[code] ?? "";
  if (/m32fp/.test(name)) view.setUint32(0, Number(narrow(random, 8, 23)), true);
  else if (/m64fp/.test(name)) view.setBigUint64(0, narrow(random, 11, 52), true);
  else if (/m80fp/.test(name)) put(view, 0, extended(random));
  else if (/m80bcd/.test(name)) put(view, 0, decimal(random));
  else if (/int/.test(name) && random.oneIn(2)) {
    const value = random.pick([0n, 1n, -1n, 1n << 63n, -(1n << 31n), 0x8000n, 100n]);
    view.setBigInt64(0, BigInt.asIntN(64, value), true);
  } else if (/rstor/.test(name)) return image(random).bytes;
  return bytes;
}

function narrow(random: Random, exponentBits: number, fractionBits: number): bigint {
  const special = (1 << exponentBits) - 1;
  const e = random.pick([
    0,
    special,
    random.below(special),
    (special >> 1) + random.below(5),
    (special >> 1) + random.below(40) - 20,
  ]);
  const fraction = random.pick([
    0n,
    1n,
    random.u64(),
    random.u64(),
    1n << BigInt(fractionBits - 1),
    random.u64() << BigInt(fractionBits - 4),
  ]);
  const sign = BigInt(random.below(2)) << BigInt(exponentBits + fractionBits);
  return sign | BigInt(e) << BigInt(fractionBits) | BigInt.asUintN(fractionBits, fraction);
}

function decimal(random: Random): bigint {
  let value = BigInt(random.below(256)) << 72n;
  const digits = random.below(19);
  for (let i = 0; i < digits; i++) value |= BigInt(random.below(10)) << BigInt(4 * i);
  return value;
}

function put(view: DataView, at: number, value: bigint): void {
  view.setBigUint64(at, BigInt.asUintN(64, value), true);
  view.setUint16(at + 8, Number(value >> 64n & 0xffffn), true);
}

export const IMAGE_BYTES = 108;
/** Offset of ST(0). */
export const REGISTERS = 28;
const EXCEPTIONS = 0x3f;
/** C0 to C3. */
const CONDITIONS = 0x4700;

/** An image of FRSTOR, of 32 bits. No exception is pending: what follows would raise it. */
export function image(random: Random): { bytes: Uint8Array<ArrayBuffer>; control: number } {
  const bytes = new Uint8Array(IMAGE_BYTES);
  const view = new DataView(bytes.buffer);
  const masks = random.pick([EXCEPTIONS, EXCEPTIONS, EXCEPTIONS, random.below(64), 0]);
  const rounding = random.below(4) << 10;
  const precision = random.pick([3, 3, 3, 2, 0, 1]) << 8;
  const control = 0x40 | masks | rounding | precision;
  const sticky = random.oneIn(2) ? random.below(128) & (masks | 0x40) : 0;
  const top = random.below(8);
  view.setUint32(0, control, true);
  view.setUint32(4, top << 11 | sticky | random.below(0x10000) & CONDITIONS, true);
  // Most registers are full, one way or another.
  let tags = 0;
  const fullness = random.pick([1, 20, 20, 20, 4, 1e9]);
  for (let i = 0; i < 8; i++) if (random.oneIn(fullness)) tags |= 3 << (2 * i);
  if (fullness > 1 && random.below(4)) tags |= 3 << (2 * ((top + 7) & 7));
  view.setUint32(8, tags, true);
  view.setBigUint64(12, random.u64(), true);
  view.setUint16(18, random.below(0x800), true);
  view.setBigUint64(20, random.u64(), true);
  const [a, b] = twins(random);
  for (let i = 0; i < 8; i++) {
    const value = random.pick([a, b, extended(random)]);
    put(view, REGISTERS + 10 * i, value);
  }
  if (random.below(3)) {
    put(view, REGISTERS, a);
    put(view, REGISTERS + 10, b);
  }
  return { bytes, control };
}
