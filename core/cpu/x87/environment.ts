// The environment in memory, for FNSTENV, FLDENV, FNSAVE and FRSTOR, in four layouts: of 16 and 32 bits, of protected mode and of
// modes whose addresses are segments times 16 (SDM vol. 1, figures 8-9 to 8-12). An image is one integer, from its first byte.
import { Float80, isNormal, KIND, kindOf } from "./float80.ts";
import { AT, EXCEPTIONS, placeOf, setControl, setStatus, STRIDE } from "./registers.ts";

export interface Layout {
  /** Of a field: 2 or 4. */
  readonly bytes: 2 | 4;
  /** Real and virtual-8086 mode: pointers are linear addresses. */
  readonly linear: boolean;
}

/** Fields: control, status, tags, two of the instruction pointer, two of the operand's. */
const FIELDS = 7;
const REGISTER_BYTES = 10;

export const environmentBytes = ({ bytes }: Layout): number => FIELDS * bytes;
export const imageBytes = (layout: Layout): number => environmentBytes(layout) + 8 * REGISTER_BYTES;

/** Tags of two bits, by physical register: valid, zero, special, empty. */
function fullTags(view: DataView): number {
  const abridged = view.getUint8(AT.tags);
  const value = new Float80();
  let tags = 0;
  for (let i = 0; i < 8; i++) {
    const at = AT.registers + STRIDE * i;
    const upper = view.getUint16(at + 8, true);
    value.set(upper >> 15, upper & 0x7fff, view.getInt32(at + 4, true), view.getInt32(at, true));
    const tag = !(abridged >> i & 1)
      ? 3
      : isNormal(value)
      ? 0
      : kindOf(value) === KIND.zero
      ? 1
      : 2;
    tags |= tag << (2 * i);
  }
  return tags;
}

/** The environment as it stands. Of fields of 32 bits, unused upper halves are all ones. */
export function environmentImage(view: DataView, { bytes, linear }: Layout): bigint {
  const word = (at: number) => view.getUint16(at, true);
  const pointer = (at: number, selector: number) =>
    Number(BigInt.asUintN(32, view.getBigUint64(at, true))) + (linear ? 16 * word(selector) : 0);
  const [instruction, operand] = [
    pointer(AT.instruction, AT.codeSelector),
    pointer(AT.operand, AT.dataSelector),
  ];
  const upper = (value: number) => bytes === 2 ? value >>> 4 & 0xf000 : (value >>> 16) * 0x1000;
  const opcode = word(AT.opcode);
  const ones = bytes === 4 ? 0xffff_0000 : 0;
  const low = (value: number) => linear ? (value & 0xffff) + ones : value;
  const fields = [
    word(AT.control) + ones,
    word(AT.status) + ones,
    fullTags(view) + ones,
    low(instruction),
    linear
      ? upper(instruction) + opcode
      : word(AT.codeSelector) + (bytes === 4 ? opcode * 0x1_0000 : 0),
    low(operand),
    linear ? upper(operand) : word(AT.dataSelector) + ones,
  ];
  const bits = 8 * bytes;
  return fields.reduceRight(
    (image, field) => image << BigInt(bits) | BigInt.asUintN(bits, BigInt(field)),
    0n,
  );
}

/** FNSTENV masks all exceptions once it has stored them. */
export function maskAll(view: DataView): void {
  setControl(view, view.getUint16(AT.control, true) | EXCEPTIONS);
}

export function loadEnvironment(view: DataView, image: bigint, { bytes, linear }: Layout): void {
  const bits = 8 * bytes;
  const field = (i: number) => Number(BigInt.asUintN(bits, image >> BigInt(bits * i)));
  setControl(view, field(0) & 0xffff);
  setStatus(view, field(1) & 0xffff);
  const tags = field(2);
  let abridged = 0;
  for (let i = 0; i < 8; i++) if ((tags >> (2 * i) & 3) !== 3) abridged |= 1 << i;
  view.setUint8(AT.tags, abridged);
  const pointer = (i: number, at: number, selector: number) => {
    const [offset, upper] = [field(i), field(i + 1)];
    const whole = !linear ? offset : (offset & 0xffff) + (upper >>> 12) * 0x1_0000;
    view.setBigUint64(at, BigInt.asUintN(32, BigInt(whole)), true);
    view.setUint16(selector, linear ? 0 : upper & 0xffff, true);
  };
  pointer(3, AT.instruction, AT.codeSelector);
  pointer(5, AT.operand, AT.dataSelector);
  const opcode = linear ? field(4) : bytes === 4 ? field(4) >>> 16 : 0;
  view.setUint16(AT.opcode, opcode & 0x7ff, true);
}

/** FNSAVE's image. */
export function saveImage(view: DataView, layout: Layout): bigint {
  let image = environmentImage(view, layout);
  for (let i = 0; i < 8; i++) {
    const at = placeOf(view, i);
    const value = view.getBigUint64(at, true) | BigInt(view.getUint16(at + 8, true)) << 64n;
    image |= value << BigInt(8 * (environmentBytes(layout) + REGISTER_BYTES * i));
  }
  return image;
}

export function restoreImage(view: DataView, image: bigint, layout: Layout): void {
  loadEnvironment(view, image, layout);
  for (let i = 0; i < 8; i++) {
    const value = image >> BigInt(8 * (environmentBytes(layout) + REGISTER_BYTES * i));
    const at = placeOf(view, i);
    view.setBigUint64(at, BigInt.asUintN(64, value), true);
    view.setUint16(at + 8, Number(BigInt.asUintN(16, value >> 64n)), true);
  }
}
