// Far JMP and CALL through a call gate (SDM vol. 3, 5.8.3 to 5.8.5).
import { VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import {
  dplOf,
  gateSelector,
  isConforming,
  isLongMode,
  isPresent,
  type Loading,
  markAccessed,
  nullSegment,
  readSystemDescriptor,
  RPL_MASK,
  selectorCode,
  SYSTEM,
  typeOf,
} from "../descriptors.ts";
import { GuestFault } from "../fault.ts";
import { innerStack, longModeStack } from "../gates.ts";
import { checkCodePresent, checkTarget, isSixtyFourBit, readCodeDescriptor } from "../segments.ts";
import { Stack, type StackPlace } from "../stack.ts";
import { isCanonical } from "../walk.ts";

interface CallGate {
  readonly selector: number;
  readonly offset: bigint;
  /** Bytes of what it pushes. */
  readonly size: 2 | 4 | 8;
  /** Parameters that are copied to an inner stack. */
  readonly parameters: number;
}

/** Goes through the gate that `selector` names; a system descriptor of another kind is #GP(selector). */
export function throughGate(cpu: Cpu, selector: number, calls: boolean, returnTo: bigint): void {
  const { state } = cpu;
  const gate = readCallGate(cpu, selector);
  const code = readCodeDescriptor(cpu, gate.selector);
  const { cpl } = state;
  const dpl = dplOf(code);
  const inner = calls && !isConforming(code) && dpl < cpl;
  const allowed = isConforming(code) || calls ? dpl <= cpl : dpl === cpl;
  if (!allowed) throw new GuestFault(VECTOR.GP, selectorCode(gate.selector));
  checkCodePresent(cpu, code);
  if (isLongMode(state) && !isSixtyFourBit(state, code)) {
    throw new GuestFault(VECTOR.GP, selectorCode(gate.selector));
  }
  const level = inner ? dpl : cpl;
  const cs: Loading = { ...code, selector: (gate.selector & ~RPL_MASK) | level };
  checkTarget(state, cs, gate.offset, isCanonical(gate.offset, state.linearBits));
  if (calls) pushFrame(cpu, gate, cs, inner ? level : undefined, returnTo);
  else state.setSegment("cs", markAccessed(cpu, cs));
  state.rip = gate.offset;
}

function readCallGate(cpu: Cpu, selector: number): CallGate {
  const descriptor = readSystemDescriptor(cpu, selector);
  const refused = (vector: number) => new GuestFault(vector, selectorCode(selector));
  const long = isLongMode(cpu.state);
  const type = typeOf(descriptor);
  const narrow = type === SYSTEM.CALL_GATE16;
  if (type !== SYSTEM.CALL_GATE && (long || !narrow)) throw refused(VECTOR.GP);
  const dpl = dplOf(descriptor);
  if (dpl < cpu.state.cpl || dpl < (selector & RPL_MASK)) throw refused(VECTOR.GP);
  if (!isPresent(descriptor)) throw refused(VECTOR.NP);
  const { raw, high } = descriptor;
  const offset = (raw & 0xffffn) | ((raw >> 32n) & 0xffff_0000n) | ((high & 0xffff_ffffn) << 32n);
  return {
    selector: gateSelector(raw),
    offset: narrow ? offset & 0xffffn : offset,
    size: long ? 8 : narrow ? 2 : 4,
    parameters: long ? 0 : Number((raw >> 32n) & 0x1fn),
  };
}

/** Pushes the return address, on the stack of level `inner` if the level changes, and loads CS. */
function pushFrame(
  cpu: Cpu,
  gate: CallGate,
  code: Loading,
  inner: number | undefined,
  returnTo: bigint,
): void {
  const { state } = cpu;
  const { size } = gate;
  const place = inner === undefined ? undefined : stackOf(cpu, inner, size);
  const stack = new Stack(cpu, place);
  if (place) {
    const caller = new Stack(cpu);
    const parameters = Array.from({ length: gate.parameters }, () => caller.pop(size));
    stack.push(size, BigInt(state.segment("ss").selector));
    stack.push(size, state.get("rsp"));
    for (const parameter of parameters.reverse()) stack.push(size, parameter);
  }
  stack.push(size, BigInt(state.segment("cs").selector));
  stack.push(size, returnTo);
  const [ss, cs] = [place && markAccessed(cpu, place.ss), markAccessed(cpu, code)];
  stack.commit();
  if (ss) state.setSegment("ss", ss);
  state.setSegment("cs", cs);
}

function stackOf(cpu: Cpu, level: number, size: number): StackPlace {
  if (size !== 8 || !isLongMode(cpu.state)) return innerStack(cpu, level, 0);
  const sp = longModeStack(cpu, level, 0, 0);
  return { ss: nullSegment(level, level), sp, width: 8, user: false, errorCode: 0 };
}
