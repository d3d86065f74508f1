// What two images of the FPU's state must have in common, and where CPUs may differ. Test code.
import { hexBytes } from "../../base/hex.ts";
import { STATUS } from "../../cpu/x87/registers.ts";
import type { X87Form } from "./x87_forms.ts";
import { REGISTERS } from "./x87_states.ts";

/** A register of an image, as an integer. */
function registerOf(image: Uint8Array, i: number): bigint {
  const at = REGISTERS + 10 * i;
  return BigInt(`0x${hexBytes(image.slice(at, at + 10).reverse())}`);
}

/**
 * Condition codes that are not compared:
 * - FCOMI and its kin clear C1 (SDM vol. 2, FCOMI); AMD's CPUs keep it.
 * - FPREM and FPREM1 tell in C0, C3 and C1 of a quotient that is zero, too (SDM vol. 2, FPREM); AMD's CPUs keep C0 and C3 where
 *   the dividend is the lesser.
 * - Of what is not exact, C1 goes with the last bit.
 */
function ignoredConditions(form: X87Form, before: Uint8Array): number {
  const { name } = form;
  if (/^Fu?comip?_/.test(name)) return STATUS.C1;
  if (/^Fprem/.test(name) && magnitude(before, 0) < magnitude(before, 1)) {
    return STATUS.C0 | STATUS.C3;
  }
  return isTranscendental(form) ? STATUS.C1 : 0;
}

/** Orders absolute values, but for unusual formats. */
const magnitude = (image: Uint8Array, i: number) => BigInt.asUintN(79, registerOf(image, i));

/** Results that are near the true value, but need not be the nearest (SDM vol. 1, 8.3.10). */
export const isTranscendental = ({ name }: X87Form) =>
  /^F(2xm1|yl2x|yl2xp1|ptan|patan|sin|cos|sincos)$/.test(name);

const FIELDS = ["control", "status", "tags"] as const;

/** Offsets of the pointers: instruction, CS and opcode, operand, its segment. */
const POINTERS = { instruction: 12, selector: 16, opcode: 18, operand: 20, segment: 24 } as const;

/** What differs of the pointers to the last instruction, where it is the one that is tried: selectors and RIP are others. */
function pointerDifferences(before: DataView, expected: DataView, actual: DataView): string[] {
  const { instruction, selector, opcode, operand, segment } = POINTERS;
  const moved = (view: DataView) =>
    view.getUint32(instruction, true) !== before.getUint32(instruction, true);
  const kept = !moved(expected);
  const same = (view: DataView, at: number) =>
    view.getUint16(at, true) === before.getUint16(at, true);
  const wrong: string[] = [];
  if (moved(actual) === kept) wrong.push("the last instruction is another one");
  if (kept && !same(actual, selector)) wrong.push("CS of the last instruction");
  if (same(expected, segment) && !same(actual, segment) && kept) {
    wrong.push("segment of the operand");
  }
  // Intel's CPUs keep opcode and operand for unmasked exceptions alone (SDM vol. 1, 8.1.8 and 8.1.9.1).
  const pending = expected.getUint8(4) & STATUS.ES;
  const tells = (value: number, old: number) => kept || pending || value !== old;
  const [theirs, ours, old] = [expected, actual, before].map((v) => v.getUint16(opcode, true));
  if (theirs !== ours && tells(theirs ?? 0, old ?? 0)) wrong.push(`opcode ${ours?.toString(16)}`);
  const [x, y, z] = [expected, actual, before].map((v) => v.getUint32(operand, true));
  if (x !== y && tells(x ?? 0, z ?? 0)) wrong.push(`operand at ${y?.toString(16)}`);
  return wrong;
}

/** Says where the images differ. */
export function differences(
  form: X87Form,
  before: Uint8Array,
  expected: Uint8Array,
  actual: Uint8Array,
): string[] {
  const [o, x, y] = [before, expected, actual].map((b) => new DataView(b.buffer, b.byteOffset));
  if (!o || !x || !y) throw new Error("Three images are compared");
  const wrong = pointerDifferences(o, x, y);
  FIELDS.forEach((field, i) => {
    const [m, n] = [x.getUint32(4 * i, true), y.getUint32(4 * i, true)];
    const ignored = field === "status" ? ignoredConditions(form, before) : 0;
    if ((m ^ n) & ~ignored) wrong.push(`${field} ${n.toString(16)}, not ${m.toString(16)}`);
  });
  const tolerance = isTranscendental(form) ? toleranceOf(form, before) : 0n;
  for (let i = 0; i < 8; i++) {
    const [m, n] = [registerOf(expected, i), registerOf(actual, i)];
    if (m === n || distance(m, n) <= tolerance) continue;
    wrong.push(`st${i} ${n.toString(16)}, not ${m.toString(16)}`);
  }
  return wrong;
}

const BIAS = 16383n;

/**
 * Units in the last place by which results may differ. Both are within one of the true value; but CPUs take multiples of a pi of
 * 66 bits off an angle, and we of the true one (SDM vol. 1, 8.3.8): large angles, and those near a multiple, go far apart.
 */
function toleranceOf({ name }: X87Form, before: Uint8Array): bigint {
  if (!/^F(sin|cos|sincos|ptan)$/.test(name)) return 1n;
  const exponent = (registerOf(before, 0) >> 64n & 0x7fffn) - BIAS;
  return exponent < -1n ? 1n : 1n << 80n;
}

/** Units in the last place between two numbers of the same sort. */
function distance(a: bigint, b: bigint): bigint {
  const order = (v: bigint) => {
    const magnitude = (v >> 64n & 0x7fffn) << 63n | v & ((1n << 63n) - 1n);
    return v >> 79n ? -magnitude : magnitude;
  };
  const apart = order(a) - order(b);
  return apart < 0n ? -apart : apart;
}
