// The registers of the x87 FPU as they stand in the state: control, status and tags, the pointers to the last instruction,
// and the stack. ST(i) is physical register TOP + i; MMX register i is physical register i (SDM vol. 1, 8.1 and 9.2.1).
import { X87 } from "../layout.ts";

/** Offsets in the state's block. The first 24 bytes are as FXSAVE64 has them; registers are in physical order. */
export const AT = {
  control: X87,
  status: X87 + 2,
  /** Abridged: a set bit is a register that is not empty. */
  tags: X87 + 4,
  opcode: X87 + 6,
  instruction: X87 + 8,
  operand: X87 + 16,
  /** Selectors of CS and of the operand's segment: FXSAVE keeps MXCSR here. */
  codeSelector: X87 + 24,
  dataSelector: X87 + 26,
  registers: X87 + 32,
} as const;

/** Bytes from one register to the next. */
export const STRIDE = 16;

/** Status word (SDM vol. 1, figure 8-4). */
export const STATUS = {
  IE: 1,
  DE: 2,
  ZE: 4,
  OE: 8,
  UE: 16,
  PE: 32,
  SF: 64,
  ES: 128,
  C0: 256,
  C1: 512,
  C2: 1024,
  C3: 0x4000,
  B: 0x8000,
} as const;
export const TOP_SHIFT = 11;
export const TOP_MASK = 7 << TOP_SHIFT;
export const EXCEPTIONS = 0x3f;

/** Control word: bit 6 is always set, bits 7 and 13 to 15 never (bit 12, the infinity control, can be kept). */
export const CONTROL_FIXED = 0x40, CONTROL_BITS = 0x1f7f;
/** After FNINIT: all masked, 64 bits of precision, to nearest. */
export const INITIAL_CONTROL = 0x37f;

/** Status with ES and B as the exceptions and their masks make them. */
export function summarized(status: number, control: number): number {
  const { ES, B } = STATUS;
  return status & ~control & EXCEPTIONS ? status | ES | B : status & ~(ES | B);
}

/** Sets the control word, and what follows from it. */
export function setControl(view: DataView, value: number): void {
  const control = value & CONTROL_BITS | CONTROL_FIXED;
  view.setUint16(AT.control, control, true);
  setStatus(view, view.getUint16(AT.status, true));
}

/** Sets the status word; ES and B follow from the exceptions and their masks. */
export function setStatus(view: DataView, value: number): void {
  view.setUint16(AT.status, summarized(value, view.getUint16(AT.control, true)), true);
}

/** Is an unmasked exception pending? */
export function isPending(view: DataView): boolean {
  return (view.getUint8(AT.status) & STATUS.ES) !== 0;
}

/** Where ST(i) is. */
export function placeOf(view: DataView, i: number): number {
  const top = view.getUint16(AT.status, true) >> TOP_SHIFT;
  return AT.registers + STRIDE * ((top + i) & 7);
}

/** FNINIT, and what FNSAVE leaves: the registers themselves are kept. */
export function initialize(view: DataView): void {
  view.setUint16(AT.control, INITIAL_CONTROL, true);
  view.setUint16(AT.status, 0, true);
  view.setUint8(AT.tags, 0);
  clearPointers(view);
}

function clearPointers(view: DataView): void {
  for (const at of [AT.instruction, AT.operand]) view.setBigUint64(at, 0n, true);
  for (const at of [AT.opcode, AT.codeSelector, AT.dataSelector]) view.setUint16(at, 0, true);
}
