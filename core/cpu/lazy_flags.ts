// The status flags, kept as the operation that set them and worked out where they are read. The translator emits the same
// formulas as WebAssembly; this is the reference, and what TypeScript code uses.

/** Operation classes; a code is `class * 4 + log2(bytes)`. DST is the result, both zero-extended to 64 bits. */
export const CC = {
  /** SRC holds the six flags as in RFLAGS. */
  FLAGS: 0,
  /** SRC: the second operand. */
  ADD: 1,
  /** SRC: the subtrahend. CMP and NEG too. */
  SUB: 2,
  /** CF = OF = AF = 0. SRC unused. */
  LOGIC: 3,
  /** SRC: CF from before (0 or 1). */
  INC: 4,
  DEC: 5,
  /** SRC: the operand shifted by one less than the count; its last bit to leave is CF. */
  SHL: 6,
  SHR: 7,
  SAR: 8,
  /** SRC: 1 when the upper half is significant, for CF and OF. */
  MUL: 9,
  /** As ADD and SUB, with a carry or borrow in AUX (0 or 1). */
  ADC: 10,
  SBB: 11,
  /** IMUL of two operands: DST and SRC are the operands, sign-extended; the result is their product. */
  IMUL: 12,
} as const;

export const CF = 1n, PF = 4n, AF = 0x10n, ZF = 0x40n, SF = 0x80n, OF = 0x800n;
/** All six. */
export const STATUS_FLAGS = CF | PF | AF | ZF | SF | OF;

const parityEven = (value: bigint): boolean => {
  let byte = Number(value & 0xffn);
  byte ^= byte >> 4;
  byte ^= byte >> 2;
  byte ^= byte >> 1;
  return (byte & 1) === 0;
};

/** The six status flags, from the lazy state. */
export function statusFlags(op: number, dst: bigint, src: bigint, aux: number): bigint {
  const kind = op >> 2;
  if (kind === CC.FLAGS) return src & STATUS_FLAGS;
  const bits = 8 << (op & 3);
  const sign = 1n << BigInt(bits - 1);
  const mask = (sign << 1n) - 1n;
  let flags = 0n;
  if (kind === CC.IMUL) {
    const product = BigInt.asIntN(64, dst) * BigInt.asIntN(64, src);
    if (product !== BigInt.asIntN(bits, product)) flags |= CF | OF;
    dst = product & mask;
  }
  if ((dst & mask) === 0n) flags |= ZF;
  if (dst & sign) flags |= SF;
  if (parityEven(dst)) flags |= PF;
  switch (kind) {
    case CC.ADD: {
      const first = (dst - src) & mask;
      if (dst < src) flags |= CF;
      if ((dst ^ first ^ src) & AF) flags |= AF;
      if ((first ^ dst) & (src ^ dst) & sign) flags |= OF;
      break;
    }
    case CC.SUB: {
      const first = (dst + src) & mask;
      if (first < src) flags |= CF;
      if ((dst ^ first ^ src) & AF) flags |= AF;
      if ((first ^ src) & (first ^ dst) & sign) flags |= OF;
      break;
    }
    case CC.ADC: {
      const carry = BigInt(aux);
      const first = (dst - src - carry) & mask;
      if (aux ? dst <= src : dst < src) flags |= CF;
      if ((dst ^ first ^ src) & AF) flags |= AF;
      if ((first ^ dst) & (src ^ dst) & sign) flags |= OF;
      break;
    }
    case CC.SBB: {
      const borrow = BigInt(aux);
      const first = (dst + src + borrow) & mask;
      if (aux ? first <= src : first < src) flags |= CF;
      if ((dst ^ first ^ src) & AF) flags |= AF;
      if ((first ^ src) & (first ^ dst) & sign) flags |= OF;
      break;
    }
    case CC.LOGIC:
    case CC.IMUL:
      break;
    case CC.INC:
      if (src) flags |= CF;
      if ((dst & 0xfn) === 0n) flags |= AF;
      if (dst === sign) flags |= OF;
      break;
    case CC.DEC:
      if (src) flags |= CF;
      if ((dst & 0xfn) === 0xfn) flags |= AF;
      if (dst === sign - 1n) flags |= OF;
      break;
    case CC.SHL:
      if (src & sign) flags |= CF;
      if ((src ^ dst) & sign) flags |= OF;
      break;
    case CC.SHR:
      if (src & 1n) flags |= CF;
      // OF of a shift by one: the sign before it. By more, undefined.
      if ((src ^ dst) & sign) flags |= OF;
      break;
    case CC.SAR:
      if (src & 1n) flags |= CF;
      break;
    case CC.MUL:
      if (src) flags |= CF | OF;
      break;
    default:
      throw new Error(`Unknown flag operation ${op}`);
  }
  return flags;
}
