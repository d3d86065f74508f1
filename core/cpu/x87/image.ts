// x87 state as FXSAVE and XSAVE keep it: the first 160 bytes of their images, as 20 quadwords (SDM vol. 1, table 10-2).
import { AT, placeOf, setControl, setStatus } from "./registers.ts";

export const IMAGE_WORDS = 20;
const HEADER_WORDS = 4;

/**
 * The image. `wide`: with REX.W, pointers have 64 bits; else 32 and a selector. The fourth word, MXCSR and its mask, is the
 * caller's.
 */
export function x87Image(view: DataView, wide: boolean): bigint[] {
  const pointer = (at: number, selector: number) => {
    const offset = view.getBigUint64(at, true);
    if (wide) return offset;
    return BigInt.asUintN(32, offset) | BigInt(view.getUint16(selector, true)) << 32n;
  };
  const words = [
    view.getBigUint64(AT.control, true),
    pointer(AT.instruction, AT.codeSelector),
    pointer(AT.operand, AT.dataSelector),
    0n,
  ];
  for (let i = 0; i < 8; i++) {
    const place = placeOf(view, i);
    words.push(view.getBigUint64(place, true), BigInt(view.getUint16(place + 8, true)));
  }
  return words;
}

/** Loads an image. What does not exist of it is dropped. */
export function loadX87Image(view: DataView, words: readonly bigint[], wide: boolean): void {
  const word = (i: number) => words[i] ?? 0n;
  const header = word(0);
  const part = (at: number, bits: number) => Number(BigInt.asUintN(bits, header >> BigInt(at)));
  setControl(view, part(0, 16));
  setStatus(view, part(16, 16));
  view.setUint8(AT.tags, part(32, 8));
  view.setUint16(AT.opcode, part(48, 11), true);
  for (
    const [value, at, selector] of [
      [word(1), AT.instruction, AT.codeSelector],
      [word(2), AT.operand, AT.dataSelector],
    ] as const
  ) {
    view.setBigUint64(at, wide ? value : BigInt.asUintN(32, value), true);
    view.setUint16(selector, wide ? 0 : Number(value >> 32n & 0xffffn), true);
  }
  for (let i = 0; i < 8; i++) {
    const place = placeOf(view, i);
    view.setBigUint64(place, word(HEADER_WORDS + 2 * i), true);
    view.setUint16(place + 8, Number(word(HEADER_WORDS + 2 * i + 1) & 0xffffn), true);
  }
}
