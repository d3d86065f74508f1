// Delivery of interrupts and exceptions through the guest's own tables: the IVT in real mode, gates in protected and long
// mode; and what becomes of faults on the way (SDM vol. 3, 6.12 to 6.15 and 20.1.4).
import { CR0, RFLAGS, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import {
  dplOf,
  isConforming,
  isLongMode,
  type Loading,
  RPL_MASK,
  selectorCode,
} from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { enterLongMode, enterProtectedMode, type Frame } from "./frames.ts";
import { type Gate, readGate } from "./gates.ts";
import { isVirtual8086 } from "./linear.ts";
import { checkCodePresent, checkTarget, isSixtyFourBit, readCodeDescriptor } from "./segments.ts";
import { Stack } from "./stack.ts";
import { throughTaskGate } from "./task_switch.ts";
import { isCanonical } from "./walk.ts";

/** Something that interrupts the program. */
export interface DeliverableEvent {
  readonly type: "external-interrupt" | "exception" | "nmi" | "software-interrupt";
  readonly vector: number;
  readonly errorCode?: number;
  /** CR2, for a page fault. */
  readonly address?: bigint;
}

/** What bare hardware pays for it, as cost profiles name it. */
const COUNTED = {
  "external-interrupt": "interrupt",
  "nmi": "interrupt",
  "exception": "exception",
  "software-interrupt": "software-interrupt",
} as const;

/** Vectors that are traps: what they interrupt is done, so a debugger must not see it as about to run (no RF). */
const TRAPS: ReadonlySet<number> = new Set([VECTOR.DB, VECTOR.BP, VECTOR.OF]);

/**
 * Delivers one event; `returnTo` is the RIP that the handler will return to. Throws the `GuestFault` of a failed delivery,
 * with registers unchanged except for CR2, or in the new task where a task gate has led to one.
 */
export function deliver(cpu: Cpu, event: DeliverableEvent, returnTo = cpu.state.rip): void {
  const { state } = cpu;
  if (event.address !== undefined) state.setControl("cr2", event.address);
  if (!(state.control("cr0") & BigInt(CR0.PE))) deliverRealMode(cpu, event.vector, returnTo);
  else deliverThroughGate(cpu, event, returnTo);
  state.interruptShadow = false;
  cpu.surroundings.count(COUNTED[event.type]);
}

function deliverRealMode(cpu: Cpu, vector: number, returnTo: bigint): void {
  const { state, memory } = cpu;
  const { base, limit } = state.idtr;
  if (vector * 4 + 3 > limit) throw new GuestFault(VECTOR.GP, 0);
  const entry = Number(memory.read(base + BigInt(vector * 4), 4, { user: false }));
  const flags = state.rflags;
  const cs = state.segment("cs");
  const stack = new Stack(cpu);
  stack.push(2, flags);
  stack.push(2, BigInt(cs.selector));
  stack.push(2, returnTo);
  stack.commit();
  const selector = entry >>> 16;
  state.setSegment("cs", { ...cs, selector, base: BigInt(selector << 4) });
  state.rip = BigInt(entry & 0xffff);
  state.rflags = flags & ~BigInt(RFLAGS.IF | RFLAGS.TF | RFLAGS.AC | RFLAGS.RF);
}

function deliverThroughGate(cpu: Cpu, event: DeliverableEvent, returnTo: bigint): void {
  const { state } = cpu;
  const software = event.type === "software-interrupt";
  const ext = software ? 0 : 1;
  const gate = readGate(cpu, event.vector, software, ext);
  const flags = state.rflags;
  const fault = event.type === "exception" && !TRAPS.has(event.vector);
  const image = fault ? flags | BigInt(RFLAGS.RF) : flags;
  if ("task" in gate) {
    const { errorCode } = event;
    const leave = { cause: "interrupt", rip: returnTo, flags: image, errorCode, ext } as const;
    return throughTaskGate(cpu, gate.task, leave);
  }
  const { cs, level } = resolveHandler(cpu, gate, ext);
  checkTarget(state, cs, gate.offset, isCanonical(gate.offset, state.linearBits));

  const frame: Frame = { cs, image, returnTo, errorCode: event.errorCode };
  if (gate.size === 8) enterLongMode(cpu, gate, level, frame, ext);
  else enterProtectedMode(cpu, gate, level, frame, ext);

  state.rip = gate.offset;
  const cleared = RFLAGS.TF | RFLAGS.NT | RFLAGS.RF | RFLAGS.VM | (gate.masks ? RFLAGS.IF : 0);
  state.rflags = flags & ~BigInt(cleared);
}

/** Code segment of a gate's handler, and the privilege level that it runs at. */
function resolveHandler(cpu: Cpu, gate: Gate, ext: number): { cs: Loading; level: number } {
  const { state } = cpu;
  const { cpl } = state;
  const descriptor = readCodeDescriptor(cpu, gate.selector, ext);
  const refuse = () => new GuestFault(VECTOR.GP, selectorCode(gate.selector) | ext);
  const dpl = dplOf(descriptor);
  if (dpl > cpl) throw refuse();
  checkCodePresent(cpu, descriptor, ext);
  if (isLongMode(state) && !isSixtyFourBit(state, descriptor)) throw refuse();
  const level = isConforming(descriptor) ? cpl : dpl;
  if (isVirtual8086(state) && level !== 0) throw refuse();
  const selector = (gate.selector & ~RPL_MASK) | level;
  return { cs: { ...descriptor, selector }, level };
}

/** Faults of which a second one makes a double fault (SDM vol. 3, table 6-5). */
const CONTRIBUTORY: ReadonlySet<number> = new Set([
  VECTOR.DE,
  VECTOR.TS,
  VECTOR.NP,
  VECTOR.SS,
  VECTOR.GP,
]);

/** The fault to deliver when `second` comes up while `first` is delivered; undefined is a triple fault. */
export function escalate(first: number, second: GuestFault): GuestFault | undefined {
  const bad = CONTRIBUTORY.has(second.vector) || second.vector === VECTOR.PF;
  if (first === VECTOR.DF) return bad ? undefined : second;
  const doubles = first === VECTOR.PF ? bad : CONTRIBUTORY.has(first) &&
    CONTRIBUTORY.has(second.vector);
  return doubles ? new GuestFault(VECTOR.DF, 0) : second;
}
