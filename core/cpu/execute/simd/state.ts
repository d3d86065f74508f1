// Instructions that load and store SIMD state: LDMXCSR, STMXCSR, FXSAVE, FXRSTOR, and the masked stores.
import { type Instruction, Mnemonic, OpKind, Register, RegisterExt } from "iced-x86";
import { CR0, CR4, VECTOR } from "../../../base/registers.ts";
import type { Cpu } from "../../cpu.ts";
import { GuestFault } from "../../fault.ts";
import { linearAddress } from "../../linear.ts";
import {
  effectiveAddress,
  readPlace,
  readRegister,
  segmentName,
  writePlace,
} from "../../operands.ts";
import { simdFaults } from "../../simd_state.ts";
import { IMAGE_WORDS, loadX87Image, x87Image } from "../../x87/image.ts";
import { AT, isPending, STRIDE, TOP_MASK } from "../../x87/registers.ts";
import { probe } from "./area.ts";
import { MXCSR_BITS } from "./mxcsr.ts";

const refuse = () => new GuestFault(VECTOR.GP, 0);

/** Raises a fault that stands before an instruction. */
function require(fault: number | undefined): void {
  if (fault !== undefined) throw new GuestFault(fault);
}

/** LDMXCSR: a bit that does not exist is #GP. */
export function loadControl(cpu: Cpu, instruction: Instruction): void {
  require(simdFaults(cpu.state).sseFault);
  const value = Number(readPlace(cpu, effectiveAddress(cpu, instruction), 4));
  if (value & ~MXCSR_BITS) throw refuse();
  cpu.state.mxcsr = value;
}

/** STMXCSR. */
export function storeControl(cpu: Cpu, instruction: Instruction): void {
  require(simdFaults(cpu.state).sseFault);
  writePlace(cpu, effectiveAddress(cpu, instruction), 4, BigInt(cpu.state.mxcsr));
}

/** MASKMOVQ, MASKMOVDQU: bytes whose mask has its top bit set, to [RDI]. Unselected bytes are not touched. */
export function maskedMove(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const wide = RegisterExt.isXMM(instruction.op1Register);
  const { sseFault, mmxFault, pendingFault } = simdFaults(state);
  require(wide ? sseFault : mmxFault);
  if (!wide && isPending(state.view)) require(pendingFault);
  const vectorOf = (operand: number) => {
    const number = RegisterExt.number(instruction.opRegister(operand));
    return wide ? state.xmm(number) : state.view.getBigUint64(mmxAt(number), true);
  };
  const [data, mask] = [vectorOf(1), vectorOf(2)];
  const kind = instruction.op0Kind;
  const base = kind === OpKind.MemorySegRDI
    ? Register.RDI
    : kind === OpKind.MemorySegEDI
    ? Register.EDI
    : Register.DI;
  const start = readRegister(state, base);
  const segment = segmentName(instruction.memorySegment);
  const bits = 8 * RegisterExt.size(base);
  const places = [];
  for (let i = 0n; i < (wide ? 16n : 8n); i++) {
    if (!(mask >> (8n * i + 7n) & 1n)) continue;
    const offset = BigInt.asUintN(bits, start + i);
    const linear = linearAddress(state, segment, offset, 1, true);
    cpu.memory.translate(linear, { write: true, execute: false, user: state.cpl === 3 });
    places.push({ offset, value: data >> (8n * i) & 0xffn });
  }
  for (const { offset, value } of places) writePlace(cpu, { segment, offset }, 1, value);
  if (!wide) enterMmx(cpu);
}

const mmxAt = (number: number) => AT.registers + STRIDE * number;

/** As MMX instructions leave x87 state: the top of the stack is 0, no register is empty. */
function enterMmx({ state: { view } }: Cpu): void {
  view.setUint16(AT.status, view.getUint16(AT.status, true) & ~TOP_MASK, true);
  view.setUint8(AT.tags, 0xff);
}

const IMAGE_BYTES = 512;
/** Parts of FXSAVE's image (SDM vol. 1, 10.5.1). */
export const IMAGE = { mxcsr: 24, xmm: 160 } as const;

/** With REX.W, the FPU's pointers have 64 bits. */
const isWide = ({ mnemonic }: Instruction) =>
  mnemonic === Mnemonic.Fxsave64 || mnemonic === Mnemonic.Fxrstor64;

/** Linear address of an image; #NM with CR0.TS or CR0.EM, #GP if it is not aligned to 16 bytes, then #PF. */
function imageAt(cpu: Cpu, instruction: Instruction, write: boolean): bigint {
  const { state } = cpu;
  if (state.control("cr0") & BigInt(CR0.TS | CR0.EM)) throw new GuestFault(VECTOR.NM);
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const at = linearAddress(state, segment, offset, IMAGE_BYTES, write);
  if (at & 15n) throw refuse();
  probe(cpu, at, IMAGE_BYTES, write);
  return at;
}

/** How many XMM registers FXSAVE and FXRSTOR move. */
function xmmCount(cpu: Cpu): number {
  if (!(cpu.state.control("cr4") & BigInt(CR4.OSFXSR))) return 0;
  return cpu.state.bitness === 64 ? 16 : 8;
}

/** FXSAVE, FXSAVE64. Bytes 464 on are the software's. */
export function saveState(cpu: Cpu, instruction: Instruction): void {
  const { state, memory } = cpu;
  const at = imageAt(cpu, instruction, true);
  const put = (offset: number, value: bigint) => memory.write(at + BigInt(offset), 8, value);
  x87Image(state.view, isWide(instruction)).forEach((word, i) => put(8 * i, word));
  put(IMAGE.mxcsr, BigInt(state.mxcsr) | BigInt(MXCSR_BITS) << 32n);
  for (let i = 0; i < xmmCount(cpu); i++) {
    const value = state.xmm(i);
    put(IMAGE.xmm + 16 * i, BigInt.asUintN(64, value));
    put(IMAGE.xmm + 16 * i + 8, value >> 64n);
  }
}

/** FXRSTOR, FXRSTOR64: a bit of MXCSR that does not exist is #GP. */
export function restoreState(cpu: Cpu, instruction: Instruction): void {
  const { state, memory } = cpu;
  const at = imageAt(cpu, instruction, false);
  const count = xmmCount(cpu);
  const bytes = IMAGE.xmm + 16 * count;
  const words: bigint[] = [];
  for (let i = 0; i < bytes; i += 8) words.push(memory.read(at + BigInt(i), 8));
  const word = (offset: number) => words[offset / 8] ?? 0n;
  const mxcsr = Number(BigInt.asUintN(32, word(IMAGE.mxcsr)));
  if (count > 0 && mxcsr & ~MXCSR_BITS) throw refuse();
  loadX87Image(state.view, words.slice(0, IMAGE_WORDS), isWide(instruction));
  if (count > 0) state.mxcsr = mxcsr;
  for (let i = 0; i < count; i++) {
    const offset = IMAGE.xmm + 16 * i;
    state.setXmm(i, word(offset) | word(offset + 8) << 64n);
  }
}
