// Hardware task switches, outside long mode (SDM vol. 3, 8.3). Until the commit point a fault is the old task's and nothing
// has changed; from there on it is raised in the new task, before its first instruction.
import { CR0, RFLAGS, type Segment, type SegmentName, VECTOR } from "../base/registers.ts";
import { writeControl } from "./control_registers.ts";
import type { Cpu } from "./cpu.ts";
import {
  type Descriptor,
  dplOf,
  gateSelector,
  isCode,
  isConforming,
  isOrdinary,
  isPresent,
  markAccessed,
  nullSegment,
  readDescriptor,
  RPL_MASK,
  selectorCode,
  SYSTEM,
  SYSTEM_ACCESS,
  TABLE_INDICATOR,
  typeOf,
  virtual8086Segment,
} from "./descriptors.ts";
import { debugException, DR6 } from "./debug.ts";
import { GuestFault } from "./fault.ts";
import { loadFlags } from "./flags.ts";
import { isVirtual8086 } from "./linear.ts";
import { resolveDataSegment, resolveStackSegment } from "./segments.ts";
import { Stack, stackWidth } from "./stack.ts";
import {
  probe,
  readLink,
  readTask,
  savedRange,
  saveTask,
  type TaskImage,
  tssForm,
  writeLink,
} from "./task_state.ts";

/** What brings a task switch about. Calls and interrupts nest: the new task can return to the old one. */
type Cause = "jump" | "call" | "interrupt" | "return";

/** How the old task is left. */
interface Leave {
  readonly cause: Cause;
  /** Where it goes on when it is switched to again. */
  readonly rip: bigint;
  /** Its flags, as its TSS gets them. */
  readonly flags: bigint;
  /** Pushed on the new task's stack. */
  readonly errorCode?: number | undefined;
  /** Bit 0 of error codes: an event is delivered that the program did not ask for. */
  readonly ext?: number;
}

/** Bit of a TSS's type. */
const BUSY = 2;
/** Offset of the byte with the type in a descriptor. */
const TYPE_BYTE = 5n;
/** DR7: the breakpoints of one task, L0 to L3 and LE (SDM vol. 3, 18.2.4). */
const DR7_LOCAL = 0x155n;
const NT = BigInt(RFLAGS.NT), VM = BigInt(RFLAGS.VM);
/** All flags that there are. */
const FLAGS = 0x3f_7fd7n;

const AVAILABLE: readonly number[] = [SYSTEM.TSS16, SYSTEM.TSS];
const RUNNING: readonly number[] = [SYSTEM.TSS16_BUSY, SYSTEM.TSS_BUSY];

/** Is it a TSS or a task gate, to which a far JMP or CALL switches tasks? */
export function leadsToTask(descriptor: Descriptor): boolean {
  return !isOrdinary(descriptor) &&
    [...AVAILABLE, ...RUNNING, SYSTEM.TASK_GATE].includes(typeOf(descriptor));
}

/** Far JMP and CALL to a TSS or a task gate; `rip` is that of the next instruction. */
export function transferToTask(
  cpu: Cpu,
  descriptor: Descriptor,
  cause: "jump" | "call",
  rip: bigint,
): void {
  const { selector } = descriptor;
  const refuse = (vector: number) => new GuestFault(vector, selectorCode(selector));
  const dpl = dplOf(descriptor);
  if (dpl < cpu.state.cpl || dpl < (selector & RPL_MASK)) throw refuse(VECTOR.GP);
  const leave = { cause, rip, flags: cpu.state.rflags };
  if (typeOf(descriptor) !== SYSTEM.TASK_GATE) {
    return switchTask(cpu, checkAvailable(descriptor, 0), leave);
  }
  if (!isPresent(descriptor)) throw refuse(VECTOR.NP);
  throughTaskGate(cpu, gateSelector(descriptor.raw), leave);
}

/** Switches to the task that a task gate names; the gate itself has been checked. */
export function throughTaskGate(cpu: Cpu, selector: number, leave: Leave): void {
  const ext = leave.ext ?? 0;
  if (selector & TABLE_INDICATOR) throw new GuestFault(VECTOR.GP, selectorCode(selector) | ext);
  switchTask(cpu, checkAvailable(readDescriptor(cpu, selector, VECTOR.GP, ext), ext), leave);
}

function checkAvailable(tss: Descriptor, ext: number): Descriptor {
  const refuse = (vector: number) => new GuestFault(vector, selectorCode(tss.selector) | ext);
  if (tss.selector & TABLE_INDICATOR) throw refuse(VECTOR.GP);
  if (isOrdinary(tss) || !AVAILABLE.includes(typeOf(tss))) throw refuse(VECTOR.GP);
  if (!isPresent(tss)) throw refuse(VECTOR.NP);
  return tss;
}

/** IRET with NT set: back to the task that the TSS links to. */
export function returnToTask(cpu: Cpu, rip: bigint): void {
  const { state } = cpu;
  const selector = readLink(cpu, state.segment("tr").base);
  const refuse = (vector: number) => new GuestFault(vector, selectorCode(selector));
  if (selector & TABLE_INDICATOR) throw refuse(VECTOR.TS);
  const tss = readDescriptor(cpu, selector, VECTOR.TS);
  if (isOrdinary(tss) || !RUNNING.includes(typeOf(tss))) throw refuse(VECTOR.TS);
  if (!isPresent(tss)) throw refuse(VECTOR.NP);
  switchTask(cpu, tss, { cause: "return", rip, flags: state.rflags & ~NT });
}

function switchTask(cpu: Cpu, tss: Descriptor, leave: Leave): void {
  const { state } = cpu;
  const { cause, ext = 0 } = leave;
  const form = tssForm(tss);
  if (tss.limit < form.limit) throw new GuestFault(VECTOR.TS, selectorCode(tss.selector) | ext);
  cpu.surroundings.taskSwitch?.(tss.selector);

  const old = state.segment("tr");
  const oldForm = tssForm(old);
  const oldEntry = state.gdtr.base + BigInt(old.selector & ~7) + TYPE_BYTE;
  const nests = cause === "call" || cause === "interrupt";
  const [from, to] = savedRange(oldForm);
  if (old.limit < to) throw new GuestFault(VECTOR.TS, selectorCode(old.selector) | ext);
  probe(cpu, tss.base, 0, form.limit, false);
  probe(cpu, old.base, from, to, true);
  if (nests) probe(cpu, tss.base, 0, 1, true);
  else probe(cpu, oldEntry, 0, 0, true);
  if (cause !== "return") probe(cpu, tss.linear + TYPE_BYTE, 0, 0, true);

  if (!nests) {
    const access = cpu.memory.read(oldEntry, 1, SYSTEM_ACCESS);
    cpu.memory.write(oldEntry, 1, access & ~BigInt(BUSY), SYSTEM_ACCESS);
  }
  saveTask(cpu, old.base, oldForm, leave.rip, leave.flags);
  if (nests) writeLink(cpu, tss.base, old.selector);
  const task = readTask(cpu, tss.base, form);
  const attributes = tss.attributes | BUSY;
  if (cause !== "return") {
    cpu.memory.write(tss.linear + TYPE_BYTE, 1, BigInt(attributes & 0xff), SYSTEM_ACCESS);
  }
  const { selector, base, limit } = tss;
  state.setSegment("tr", { selector, base, limit, attributes });
  commit(cpu, nests ? { ...task, flags: task.flags | NT } : task);
  enterTask(cpu, task, form.size, leave);
}

/** The new task's registers, with selectors whose descriptors are not looked at yet. */
function commit(cpu: Cpu, task: TaskImage): void {
  const { state } = cpu;
  state.setControl("cr0", state.control("cr0") | BigInt(CR0.TS));
  state.setDebug(7, state.debug(7) & ~DR7_LOCAL);
  state.rip = task.rip;
  task.general.forEach((value, i) => state.setGpr(i, value));
  loadFlags(cpu, task.flags, FLAGS);
  state.interruptShadow = false;
  const virtual = isVirtual8086(state);
  for (const [name, selector] of task.segments) {
    state.setSegment(
      name,
      virtual
        ? virtual8086Segment(selector)
        : nullSegment(selector, name === "ss" ? cplOf(task) : 0),
    );
  }
  state.setSegment("ldtr", nullSegment(task.ldt));
  const paging = (state.control("cr0") & BigInt(CR0.PG)) !== 0n;
  if (paging && task.cr3 !== undefined) writeControl(cpu, 3, task.cr3);
}

/** The level of a task outside virtual-8086 mode: RPL of its CS. */
function cplOf(task: TaskImage): number {
  return (task.segments.find(([name]) => name === "cs")?.[1] ?? 0) & RPL_MASK;
}

/** What may fault in the new task. */
function enterTask(
  cpu: Cpu,
  task: TaskImage,
  size: 2 | 4,
  { errorCode, ext = 0 }: Leave,
): void {
  const { state } = cpu;
  state.setSegment("ldtr", resolveLocalTable(cpu, task.ldt, ext));
  if (!(BigInt(state.systemFlags) & VM)) {
    for (const [name, selector] of task.segments) {
      state.setSegment(name, resolveSegment(cpu, name, selector, cplOf(task), ext));
    }
  }
  if (errorCode !== undefined) {
    const ss = state.segment("ss");
    const width = stackWidth(ss, false);
    const user = state.cpl === 3;
    const stack = new Stack(cpu, { ss, sp: state.get("rsp"), width, user, errorCode: ext });
    stack.push(size, BigInt(errorCode));
    stack.commit();
  }
  if (state.rip > BigInt(state.segment("cs").limit)) throw new GuestFault(VECTOR.GP, ext);
  if (task.trap) {
    throw debugException(state, DR6.BT);
  }
}

function resolveLocalTable(cpu: Cpu, selector: number, ext: number): Segment {
  if (selectorCode(selector) === 0) return nullSegment(selector);
  const refuse = () => new GuestFault(VECTOR.TS, selectorCode(selector) | ext);
  if (selector & TABLE_INDICATOR) throw refuse();
  const descriptor = readDescriptor(cpu, selector, VECTOR.TS, ext);
  const { base, limit, attributes } = descriptor;
  const table = !isOrdinary(descriptor) && typeOf(descriptor) === SYSTEM.LDT;
  if (!table || !isPresent(descriptor)) throw refuse();
  return { selector, base, limit, attributes };
}

function resolveSegment(
  cpu: Cpu,
  name: SegmentName,
  selector: number,
  cpl: number,
  ext: number,
): Segment {
  switch (name) {
    case "cs":
      return resolveTaskCode(cpu, selector, ext);
    case "ss":
      return markAccessed(cpu, resolveStackSegment(cpu, selector, cpl, VECTOR.TS, ext, false));
    default:
      return resolveDataSegment(cpu, name, selector, VECTOR.TS, ext);
  }
}

/** CS, whose RPL is the level of the task. */
function resolveTaskCode(cpu: Cpu, selector: number, ext: number): Segment {
  const refuse = (vector: number) => new GuestFault(vector, selectorCode(selector) | ext);
  if (selectorCode(selector) === 0) throw refuse(VECTOR.TS);
  const descriptor = readDescriptor(cpu, selector, VECTOR.TS, ext);
  const [dpl, rpl] = [dplOf(descriptor), selector & RPL_MASK];
  const fits = isConforming(descriptor) ? dpl <= rpl : dpl === rpl;
  if (!isCode(descriptor) || !fits) throw refuse(VECTOR.TS);
  if (!isPresent(descriptor)) throw refuse(VECTOR.NP);
  return markAccessed(cpu, descriptor);
}
