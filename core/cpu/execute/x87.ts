// x87 instructions by themselves: operands in memory, the exceptions that stand before, pointers to the last instruction. What is
// translated goes the same way, but for moving operands.
import { Code, type Instruction, Mnemonic } from "iced-x86";
import type { Cpu } from "../cpu.ts";
import { GuestFault } from "../fault.ts";
import { STATUS_FLAGS } from "../lazy_flags.ts";
import { SIMD_FLAGS, X87_OPERAND } from "../layout.ts";
import { isRealLike, linearAddress } from "../linear.ts";
import { effectiveAddress, type Place, readPlace, writePlace, writeRegister } from "../operands.ts";
import { simdFaults } from "../simd_state.ts";
import type { CpuState } from "../state.ts";
import {
  environmentBytes,
  environmentImage,
  imageBytes,
  type Layout,
  loadEnvironment,
  maskAll,
  restoreImage,
  saveImage,
} from "../x87/environment.ts";
import { compute, SETTLE, stackIndex, X87_CODES, x87Operation } from "../x87/instructions.ts";
import { lastOpcode } from "../x87/opcode.ts";
import { AT, initialize, isPending } from "../x87/registers.ts";
import { Unit } from "../x87/unit.ts";
import { type Handler, straight } from "./handler.ts";

const units = new WeakMap<CpuState, Unit>();

/** The unit of a CPU. It keeps nothing from one instruction to the next. */
export function unitOf(state: CpuState): Unit {
  let unit = units.get(state);
  if (!unit) units.set(state, unit = new Unit(state.view));
  return unit;
}

/** Raises what stands before an instruction: #NM, then the exception that one before it has left. */
function check(state: CpuState, waits: boolean): void {
  const { x87Fault, pendingFault } = simdFaults(state);
  if (x87Fault !== undefined) throw new GuestFault(x87Fault);
  if (waits) checkPending(state, pendingFault);
}

/** Raises the exception that an instruction before has left. */
function checkPending({ view }: CpuState, fault: number | undefined): void {
  if (fault !== undefined && isPending(view)) throw new GuestFault(fault);
}

/** WAIT. */
function wait({ state }: Cpu): void {
  const { waitFault, pendingFault } = simdFaults(state);
  if (waitFault !== undefined) throw new GuestFault(waitFault);
  checkPending(state, pendingFault);
}

/** FNSTSW AX. */
function statusToAx({ state }: Cpu, instruction: Instruction): void {
  check(state, false);
  writeRegister(state, instruction.op0Register, BigInt(state.view.getUint16(AT.status, true)));
}

function operate(cpu: Cpu, instruction: Instruction): void {
  const operation = x87Operation(instruction.code);
  if (!operation) throw new Error("Not an x87 instruction");
  const { state } = cpu;
  const { view } = state;
  check(state, operation.waits);
  const place = operation.memory && effectiveAddress(cpu, instruction);
  if (place && operation.memory === "load") fetchOperand(cpu, place, operation.bytes);
  if (operation.flags) view.setBigUint64(SIMD_FLAGS, state.rflags & STATUS_FLAGS, true);
  const unit = unitOf(state);
  const i = stackIndex(instruction);
  if (compute(unit, instruction.code, i) && place) {
    const value = view.getBigUint64(X87_OPERAND, true) |
      BigInt(view.getUint16(X87_OPERAND + 8, true)) << 64n;
    writePlace(cpu, place, operation.bytes, value);
    compute(unit, SETTLE, 0);
  }
  if (operation.flags === "writes") {
    const rest = state.rflags & ~BigInt(STATUS_FLAGS);
    state.rflags = rest | view.getBigUint64(SIMD_FLAGS, true);
  }
  if (operation.counts) point(state, instruction, i, place);
}

function fetchOperand(cpu: Cpu, place: Place, bytes: number): void {
  const value = readPlace(cpu, place, bytes);
  const { view } = cpu.state;
  view.setBigUint64(X87_OPERAND, BigInt.asUintN(64, value), true);
  view.setUint16(X87_OPERAND + 8, Number(value >> 64n), true);
}

/** Keeps where the instruction and its operand in memory are. */
function point(
  state: CpuState,
  instruction: Instruction,
  i: number,
  place: Place | undefined,
): void {
  const { view } = state;
  view.setUint16(AT.opcode, lastOpcode(instruction, i), true);
  view.setBigUint64(AT.instruction, state.rip, true);
  view.setUint16(AT.codeSelector, state.segment("cs").selector, true);
  if (!place) return;
  view.setBigUint64(AT.operand, place.offset, true);
  view.setUint16(AT.dataSelector, state.segment(place.segment).selector, true);
}

// ---- Environment -----------------------------------------------------------------------------------------------------

/** Names of codes tell the size of an image: m14byte and m94byte have fields of 16 bits. */
const isShort = ({ code }: Instruction) => /_m(14|94)byte$/.test(Code[code] ?? "");

function layoutOf({ state }: Cpu, instruction: Instruction): Layout {
  return { bytes: isShort(instruction) ? 2 : 4, linear: isRealLike(state) };
}

function imageAt(cpu: Cpu, instruction: Instruction, bytes: number, write: boolean): bigint {
  const { segment, offset } = effectiveAddress(cpu, instruction);
  return linearAddress(cpu.state, segment, offset, bytes, write);
}

/** FNSTENV, FNSAVE. */
function storeEnvironment(cpu: Cpu, instruction: Instruction): void {
  const { state: { view } } = cpu;
  check(cpu.state, false);
  const layout = layoutOf(cpu, instruction);
  const whole = instruction.mnemonic === Mnemonic.Fnsave;
  const bytes = whole ? imageBytes(layout) : environmentBytes(layout);
  const at = imageAt(cpu, instruction, bytes, true);
  cpu.memory.write(at, bytes, whole ? saveImage(view, layout) : environmentImage(view, layout));
  if (whole) initialize(view);
  else maskAll(view);
}

/** FLDENV, FRSTOR. */
function takeEnvironment(cpu: Cpu, instruction: Instruction): void {
  const { state: { view } } = cpu;
  check(cpu.state, true);
  const layout = layoutOf(cpu, instruction);
  const whole = instruction.mnemonic === Mnemonic.Frstor;
  const bytes = whole ? imageBytes(layout) : environmentBytes(layout);
  const image = cpu.memory.read(imageAt(cpu, instruction, bytes, false), bytes);
  if (whole) restoreImage(view, image, layout);
  else loadEnvironment(view, image, layout);
}

/** All that is the FPU's. */
export const X87_HANDLERS: readonly (readonly [Code, Handler])[] = [
  ...X87_CODES.map((code) => [code, straight(operate)] as const),
  [Code.Wait, straight(wait)],
  [Code.Fnstsw_AX, straight(statusToAx)],
  ...[
    Code.Fnstenv_m14byte,
    Code.Fnstenv_m28byte,
    Code.Fnsave_m94byte,
    Code.Fnsave_m108byte,
  ].map((code) => [code, straight(storeEnvironment)] as const),
  ...[
    Code.Fldenv_m14byte,
    Code.Fldenv_m28byte,
    Code.Frstor_m94byte,
    Code.Frstor_m108byte,
  ].map((code) => [code, straight(takeEnvironment)] as const),
];

/** Is it an instruction of the FPU, or WAIT? */
export function isX87({ code }: Instruction): boolean {
  return X87_HANDLERS.some(([known]) => known === code);
}
