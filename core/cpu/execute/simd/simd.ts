// SIMD instructions that WebAssembly has no counterpart for, or whose MXCSR exceptions have to be found exactly. Translated
// code puts their operands to SIMD_A and SIMD_B and takes the result from SIMD_A, flags from SIMD_FLAGS.
import { Mnemonic as N } from "iced-x86";
import { GENERAL_REGISTERS, RFLAGS } from "../../../base/registers.ts";
import * as L from "../../layout.ts";
import type { CpuState } from "../../state.ts";
import * as A from "./arithmetic.ts";
import { asInteger, fromInteger, reciprocal, reformat, roundToIntegral } from "./convert.ts";
import { DOUBLE, type Format, SINGLE } from "./float.ts";
import { element, elements, setElement, setWhole, whole } from "./lanes.ts";
import { Environment, ROUND, type Rounding } from "./mxcsr.ts";
import { compareStrings, elementsOf, implicitLength, indexOf, maskOf } from "./strings.ts";

/** Set in the immediate where an integer operand has 64 bits. */
export const WIDE = 0x100;

/** Does its work on the vectors; exceptions go to the environment, which is settled afterwards. */
type Work = (state: CpuState, immediate: number, environment: Environment) => void;

const A_AT = L.SIMD_A, B_AT = L.SIMD_B;

/** Writes elements once all have been computed. */
function store(state: CpuState, format: Format, values: readonly bigint[]): void {
  for (const [i, value] of values.entries()) setElement(state, format, i, value);
}

const packed = (format: Format, compute: A.Binary): Work => (state, _, environment) => {
  const b = elements(state, B_AT, format);
  const result = elements(state, A_AT, format)
    .map((value, i) => compute(format, value, b[i] ?? 0n, environment));
  store(state, format, result);
};
const scalar = (format: Format, compute: A.Binary): Work => (state, _, environment) => {
  const [a, b] = [element(state, A_AT, format, 0), element(state, B_AT, format, 0)];
  setElement(state, format, 0, compute(format, a, b, environment));
};

type Row = readonly [N, Work];
const all = (
  compute: A.Binary,
  [ps, ss, pd, sd]: readonly [N, N, N, N],
): Row[] => [
  [ps, packed(SINGLE, compute)],
  [ss, scalar(SINGLE, compute)],
  [pd, packed(DOUBLE, compute)],
  [sd, scalar(DOUBLE, compute)],
];
const ofSource = (compute: A.Unary): A.Binary => (format, _, b, environment) =>
  compute(format, b, environment);

/** CMPxx: the predicate is in the immediate. */
const compareAll =
  (of: (format: Format, compute: A.Binary) => Work, format: Format): Work =>
  (state, immediate, environment) => {
    of(format, A.compareBy(immediate & 7))(state, immediate, environment);
  };

/** COMISx and UCOMISx. */
const orderFlags = (format: Format, quiet: boolean): Work => (state, _, environment) => {
  const [a, b] = [element(state, A_AT, format, 0), element(state, B_AT, format, 0)];
  const order = A.ordered(format, a, b, quiet, environment);
  const { ZF, PF, CF } = RFLAGS;
  const flags = order === undefined ? ZF | PF | CF : order === 0 ? ZF : order < 0 ? CF : 0;
  state.view.setBigUint64(L.SIMD_FLAGS, BigInt(flags), true);
};

const alternating = (format: Format): Work => (state, _, environment) => {
  const b = elements(state, B_AT, format);
  const result = elements(state, A_AT, format).map((value, i) =>
    (i & 1 ? A.add : A.subtract)(format, value, b[i] ?? 0n, environment)
  );
  store(state, format, result);
};

const horizontal = (format: Format, compute: A.Binary): Work => (state, _, environment) => {
  const from = [...elements(state, A_AT, format), ...elements(state, B_AT, format)];
  const result = [];
  for (let i = 0; i < from.length; i += 2) {
    result.push(compute(format, from[i] ?? 0n, from[i + 1] ?? 0n, environment));
  }
  store(state, format, result);
};

/** DPPS, DPPD: every sum and product is rounded. Exceptions count as those of steps, one after the other. */
const dotProduct = (format: Format): Work => (state, immediate, environment) => {
  const b = elements(state, B_AT, format);
  const a = elements(state, A_AT, format);
  const products = a.map((value, i) =>
    immediate >> (4 + i) & 1 ? A.multiply(format, value, b[i] ?? 0n, environment) : 0n
  );
  environment.check(state);
  let sums = products;
  while (sums.length > 1) {
    const pairs = [];
    for (let i = 0; i < sums.length; i += 2) {
      pairs.push(A.add(format, sums[i] ?? 0n, sums[i + 1] ?? 0n, environment));
    }
    environment.check(state);
    sums = pairs;
  }
  store(state, format, a.map((_, i) => immediate >> i & 1 ? sums[0] ?? 0n : 0n));
};

/** Immediate of ROUNDxx (SDM vol. 2, figure 4-24): rounding, MXCSR's instead, precision exception off. */
const FROM_MXCSR = 4, NO_PRECISION = 8;
const roundAll =
  (of: (format: Format, compute: A.Binary) => Work, format: Format): Work =>
  (state, immediate, environment) => {
    const rounding = immediate & FROM_MXCSR ? environment.rounding : (immediate & 3) as Rounding;
    const quiet = (immediate & NO_PRECISION) !== 0;
    const round: A.Unary = (format, a, e) => roundToIntegral(format, a, rounding, quiet, e);
    of(format, ofSource(round))(state, immediate, environment);
  };

const approximation = (root: boolean): A.Binary => (format, _, b) => reciprocal(format, b, root);

/** `count` integers of 32 bits to a format. The rest of the vector stays if it is not written. */
const fromIntegers = (format: Format, count: number): Work => (state, _, environment) => {
  const integers = elements(state, B_AT, SINGLE);
  const result = integers.slice(0, count).map((v) => fromInteger(format, v, 32, environment));
  store(state, format, result);
};
const fromGeneral = (format: Format): Work => (state, immediate, environment) => {
  const bits = immediate & WIDE ? 64 : 32;
  const value = state.view.getBigUint64(B_AT, true);
  setElement(state, format, 0, fromInteger(format, value, bits, environment));
};

/** A format to integers of 32 bits; what is left of the vector is cleared. */
const toIntegers =
  (format: Format, count: number, truncate: boolean): Work => (state, _, environment) => {
    const rounding = truncate ? ROUND.zero : environment.rounding;
    const result = elements(state, B_AT, format).slice(0, count)
      .map((v) => asInteger(format, v, 32, rounding, environment));
    setWhole(state, 0n);
    store(state, SINGLE, result);
  };
const toGeneral = (format: Format, truncate: boolean): Work => (state, immediate, environment) => {
  const rounding = truncate ? ROUND.zero : environment.rounding;
  const value = element(state, B_AT, format, 0);
  const bits = immediate & WIDE ? 64 : 32;
  setWhole(state, asInteger(format, value, bits, rounding, environment));
};

/** CVTPS2PD, CVTPD2PS: two elements; the upper half is cleared where the result is shorter. */
const reformatPair = (from: Format, to: Format): Work => (state, _, environment) => {
  const result = elements(state, B_AT, from).slice(0, 2)
    .map((v) => reformat(from, to, v, environment));
  setWhole(state, 0n);
  store(state, to, result);
};
const reformatOne = (from: Format, to: Format): Work => (state, _, environment) => {
  setElement(state, to, 0, reformat(from, to, element(state, B_AT, from, 0), environment));
};

/** PCMPxSTRx. `explicit` lengths are in RAX and RDX, which translated code has put into the state. */
const strings = (explicit: boolean, mask: boolean, wide = false): Work => (state, immediate) => {
  const a = elementsOf(whole(state, A_AT), immediate);
  const b = elementsOf(whole(state, B_AT), immediate);
  const length = (register: "rax" | "rdx") => {
    const value = BigInt.asIntN(
      wide ? 64 : 32,
      state.gpr(GENERAL_REGISTERS.indexOf(register)),
    );
    const magnitude = value < 0n ? -value : value;
    return magnitude > BigInt(a.length) ? a.length : Number(magnitude);
  };
  const lengthA = explicit ? length("rax") : implicitLength(a);
  const lengthB = explicit ? length("rdx") : implicitLength(b);
  const { second } = compareStrings({ a, b, lengthA, lengthB, immediate });
  const { CF, ZF, SF, OF } = RFLAGS;
  const flags = (second ? CF : 0) | (lengthB < b.length ? ZF : 0) | (lengthA < a.length ? SF : 0) |
    (second & 1 ? OF : 0);
  state.view.setBigUint64(L.SIMD_FLAGS, BigInt(flags), true);
  setWhole(state, mask ? maskOf(second, immediate) : BigInt(indexOf(second, immediate)));
};

/** CRC32: the polynomial 0x11edc6f41, bits reversed (SDM vol. 2, CRC32). The immediate is the size in bytes. */
const CRC_POLYNOMIAL = 0x82f63b78;
const crc32: Work = (state, size) => {
  let crc = state.view.getUint32(A_AT, true);
  for (let i = 0; i < size; i++) {
    crc ^= state.view.getUint8(B_AT + i);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ CRC_POLYNOMIAL : crc >>> 1;
  }
  setWhole(state, BigInt(crc >>> 0));
};

/** PHMINPOSUW: the least word and its number. */
const leastWord: Work = (state) => {
  const words = Array.from({ length: 8 }, (_, i) => state.view.getUint16(B_AT + 2 * i, true));
  const least = Math.min(...words);
  setWhole(state, BigInt(least) | BigInt(words.indexOf(least)) << 16n);
};

/** MPSADBW: sums of absolute differences of four bytes of B with eleven of A, at offsets that the immediate names. */
const slidingDifferences: Work = (state, immediate) => {
  const byte = (at: number, i: number) => state.view.getUint8(at + i);
  const [from, block] = [immediate & 4, 4 * (immediate & 3)];
  let result = 0n;
  for (let i = 7; i >= 0; i--) {
    let sum = 0;
    for (let k = 0; k < 4; k++) {
      sum += Math.abs(byte(A_AT, from + i + k) - byte(B_AT, block + k));
    }
    result = result << 16n | BigInt(sum);
  }
  setWhole(state, result);
};

const WORK: ReadonlyMap<number, Work> = new Map<number, Work>([
  ...all(A.add, [N.Addps, N.Addss, N.Addpd, N.Addsd]),
  ...all(A.subtract, [N.Subps, N.Subss, N.Subpd, N.Subsd]),
  ...all(A.multiply, [N.Mulps, N.Mulss, N.Mulpd, N.Mulsd]),
  ...all(A.divide, [N.Divps, N.Divss, N.Divpd, N.Divsd]),
  ...all(A.minimum, [N.Minps, N.Minss, N.Minpd, N.Minsd]),
  ...all(A.maximum, [N.Maxps, N.Maxss, N.Maxpd, N.Maxsd]),
  ...all(ofSource(A.squareRoot), [N.Sqrtps, N.Sqrtss, N.Sqrtpd, N.Sqrtsd]),
  [N.Rcpps, packed(SINGLE, approximation(false))],
  [N.Rcpss, scalar(SINGLE, approximation(false))],
  [N.Rsqrtps, packed(SINGLE, approximation(true))],
  [N.Rsqrtss, scalar(SINGLE, approximation(true))],
  [N.Cmpps, compareAll(packed, SINGLE)],
  [N.Cmpss, compareAll(scalar, SINGLE)],
  [N.Cmppd, compareAll(packed, DOUBLE)],
  [N.Cmpsd, compareAll(scalar, DOUBLE)],
  [N.Comiss, orderFlags(SINGLE, false)],
  [N.Comisd, orderFlags(DOUBLE, false)],
  [N.Ucomiss, orderFlags(SINGLE, true)],
  [N.Ucomisd, orderFlags(DOUBLE, true)],
  [N.Addsubps, alternating(SINGLE)],
  [N.Addsubpd, alternating(DOUBLE)],
  [N.Haddps, horizontal(SINGLE, A.add)],
  [N.Haddpd, horizontal(DOUBLE, A.add)],
  [N.Hsubps, horizontal(SINGLE, A.subtract)],
  [N.Hsubpd, horizontal(DOUBLE, A.subtract)],
  [N.Dpps, dotProduct(SINGLE)],
  [N.Dppd, dotProduct(DOUBLE)],
  [N.Roundps, roundAll(packed, SINGLE)],
  [N.Roundss, roundAll(scalar, SINGLE)],
  [N.Roundpd, roundAll(packed, DOUBLE)],
  [N.Roundsd, roundAll(scalar, DOUBLE)],
  [N.Cvtdq2ps, fromIntegers(SINGLE, 4)],
  [N.Cvtdq2pd, fromIntegers(DOUBLE, 2)],
  [N.Cvtpi2ps, fromIntegers(SINGLE, 2)],
  [N.Cvtpi2pd, fromIntegers(DOUBLE, 2)],
  [N.Cvtsi2ss, fromGeneral(SINGLE)],
  [N.Cvtsi2sd, fromGeneral(DOUBLE)],
  [N.Cvtps2dq, toIntegers(SINGLE, 4, false)],
  [N.Cvttps2dq, toIntegers(SINGLE, 4, true)],
  [N.Cvtpd2dq, toIntegers(DOUBLE, 2, false)],
  [N.Cvttpd2dq, toIntegers(DOUBLE, 2, true)],
  [N.Cvtps2pi, toIntegers(SINGLE, 2, false)],
  [N.Cvttps2pi, toIntegers(SINGLE, 2, true)],
  [N.Cvtpd2pi, toIntegers(DOUBLE, 2, false)],
  [N.Cvttpd2pi, toIntegers(DOUBLE, 2, true)],
  [N.Cvtss2si, toGeneral(SINGLE, false)],
  [N.Cvttss2si, toGeneral(SINGLE, true)],
  [N.Cvtsd2si, toGeneral(DOUBLE, false)],
  [N.Cvttsd2si, toGeneral(DOUBLE, true)],
  [N.Cvtps2pd, reformatPair(SINGLE, DOUBLE)],
  [N.Cvtpd2ps, reformatPair(DOUBLE, SINGLE)],
  [N.Cvtss2sd, reformatOne(SINGLE, DOUBLE)],
  [N.Cvtsd2ss, reformatOne(DOUBLE, SINGLE)],
  [N.Pcmpestri, strings(true, false)],
  [N.Pcmpestrm, strings(true, true)],
  [N.Pcmpestri64, strings(true, false, true)],
  [N.Pcmpestrm64, strings(true, true, true)],
  [N.Pcmpistri, strings(false, false)],
  [N.Pcmpistrm, strings(false, true)],
  [N.Crc32, crc32],
  [N.Phminposuw, leastWord],
  [N.Mpsadbw, slidingDifferences],
]);

/** Is the instruction one of those that are done here? */
export function isComputed(mnemonic: N): boolean {
  return WORK.has(mnemonic);
}

/** Does one instruction. Throws `GuestFault` where it raises an unmasked exception; MXCSR has the flags then. */
export function computeSimd(state: CpuState, mnemonic: number, immediate: number): void {
  const work = WORK.get(mnemonic);
  if (!work) throw new Error(`No SIMD instruction of number ${mnemonic}`);
  const environment = new Environment(state.mxcsr);
  work(state, immediate, environment);
  environment.settle(state);
}
