// Random trials of task switching, for Bochs: another task-state segment, of 16 or 32 bits, with selectors and flags that are
// right but for one; reached by JMP, CALL, INT, an exception or IRET, directly or through a gate, from any level and from
// virtual-8086 mode. In most trials a third task takes the faults.
import { RFLAGS } from "../../base/registers.ts";
import { KERNEL, KERNEL_SELECTOR } from "./bochs_layout.ts";
import {
  anySelector,
  AREA,
  dwords,
  FREE_SLOT,
  LEVEL,
  type Level,
  LOCAL,
  SEGMENTS,
  SELECTOR,
  words,
} from "./bochs_segments.ts";
import { type BochsTrial, descriptorBytes, END, gateBytes } from "./bochs_trials.ts";
import type { Random } from "./random.ts";

const SLOT = {
  task: FREE_SLOT,
  gate: FREE_SLOT + 8,
  rescue: FREE_SLOT + 16,
  local: 0x1c,
} as const;
const TASK = KERNEL.free, RESCUE = KERNEL.free + 0x100;
const TASK_TYPE = 9, TASK16_TYPE = 1, BUSY = 2, TASK_GATE = 5;
/** Code of the trial, of the new task, and of the third. Stacks are below `TOP`. */
const CODE = AREA + 0x100, NEW_CODE = AREA + 0x200, RESCUE_CODE = AREA + 0x300;
const TOP = AREA + 0x2000, NEW_TOP = AREA + 0x2400, RESCUE_TOP = AREA + 0x2800;
/** An interrupt that any level may raise. */
const VECTOR = 0x31;

interface Task {
  readonly cr3: number;
  readonly eip: number;
  readonly eflags: number;
  /** AX to DI. */
  readonly general: readonly number[];
  readonly segments: Readonly<Record<"es" | "cs" | "ss" | "ds" | "fs" | "gs", number>>;
  readonly ldt: number;
  readonly trap: number;
}

/** The bytes of a TSS (SDM vol. 3, figures 8-2 and 8-10), without the stacks of inner levels but the innermost. */
function taskState(task: Task, wide: boolean): number[] {
  const { es, cs, ss, ds, fs, gs } = task.segments;
  const { eip, eflags, general, ldt } = task;
  const stack = [KERNEL.stack - 0x400, KERNEL_SELECTOR.data];
  if (!wide) {
    const rest = [eip, eflags, ...general, es, cs, ss, ds, ldt];
    return words(0, ...stack, 0, 0, 0, 0, ...rest);
  }
  const rest = [task.cr3, eip, eflags, ...general, es, cs, ss, ds, fs, gs, ldt];
  return dwords(0, ...stack, 0, 0, 0, 0, ...rest, 0x68 << 16 | task.trap);
}

function newTask(random: Random, wide: boolean): Task {
  // A 16-bit task needs a 16-bit stack: the upper half of its ESP is all ones.
  const level = random.pick<Level>(wide ? [0, 0, 1, 2, 3, 3] : [0, 3]);
  const virtual = wide && random.oneIn(6);
  const narrow = !virtual && level % 3 === 0 && random.oneIn(4);
  const of0 = level === 0;
  const flat = LEVEL[level];
  const cs = virtual
    ? AREA >> 4
    : narrow
    ? (of0 ? SELECTOR.code16of0 : SELECTOR.code16of3 | 3)
    : random.oneIn(6)
    ? SELECTOR.conforming0 | level
    : level === 3 && random.oneIn(5)
    ? LOCAL.code
    : flat.cs;
  const ss = virtual
    ? AREA >> 4
    : !wide || narrow && random.oneIn(2)
    ? (of0 ? SELECTOR.data16of0 : SELECTOR.data16of3 | 3)
    : flat.ss;
  const general = Array.from({ length: 8 }, () => random.below(2 ** 32));
  const sixteen = virtual || ss === SELECTOR.data16of0 || ss === (SELECTOR.data16of3 | 3);
  general[4] = sixteen ? NEW_TOP - AREA : NEW_TOP;
  const data = () =>
    virtual ? random.below(0x1000) : random.pick([
      random.below(4),
      KERNEL_SELECTOR.userData,
      LOCAL.data,
      SELECTOR.readOnly3 | 3,
    ]);
  return {
    cr3: 0,
    eip: virtual || narrow ? NEW_CODE - AREA : NEW_CODE,
    eflags: flags(random, virtual),
    general,
    segments: { es: data(), cs, ss, ds: data(), fs: data(), gs: data() },
    ldt: KERNEL_SELECTOR.ldt,
    trap: random.oneIn(8) ? 1 : 0,
  };
}

/** Without TF and IF; in virtual-8086 mode with an IOPL that lets INT n through, mostly. */
function flags(random: Random, virtual: boolean): number {
  const any = random.below(2 ** 16) & ~(RFLAGS.TF | RFLAGS.IF);
  const upper = random.oneIn(3) ? RFLAGS.ID : 0;
  return any | upper | 2 | (virtual ? RFLAGS.VM | (random.oneIn(4) ? 0 : RFLAGS.IOPL) : 0);
}

/** The same with one thing otherwise: most often for the worse. */
function spoiled(random: Random, task: Task): Task {
  const name = random.pick(["es", "cs", "ss", "ds", "fs", "gs", "ldt", "eip", "esp"] as const);
  if (name === "eip") {
    const sixteen = task.eip === NEW_CODE - AREA;
    if (sixteen) return { ...task, eip: task.eip + 0x10000 };
    return { ...task, segments: { ...task.segments, cs: SELECTOR.shortCode0 } };
  }
  if (name === "ss" && task.general[4] !== NEW_TOP) return task;
  if (name === "esp") {
    // No room for an error code.
    if (task.general[4] !== NEW_TOP) return { ...task, general: task.general.with(4, 1) };
    return { ...task, segments: { ...task.segments, ss: SELECTOR.shortData0 } };
  }
  // Virtual-8086 mode takes any selector, and would run any code.
  if (task.eflags & RFLAGS.VM) return task;
  const selector = anySelector(random);
  if (name === "ldt") {
    // Which of several bad selectors is told of is left open.
    const local = Object.values(task.segments).some((one) => one & 4);
    return local ? task : { ...task, ldt: selector };
  }
  return { ...task, segments: { ...task.segments, [name]: selector } };
}

/** A way to leave: code of 32 bits (of 16 in virtual-8086 mode), and the vector whose gate leads to the task. */
interface Way {
  readonly code: (selector: number, virtual: boolean) => number[];
  readonly vector?: number;
  readonly returns?: boolean;
}

const far = (opcode: number): Way => ({
  code: (selector) => [opcode, ...dwords(0x1234), ...words(selector)],
});
const WAYS: readonly Way[] = [
  far(0xea),
  far(0x9a),
  { code: () => [0xcd, VECTOR], vector: VECTOR },
  { code: () => [0x0f, 0x0b], vector: 6 },
  { code: () => [0xcc], vector: 3 },
  // pop ss with a selector beyond the table; in virtual-8086 mode: hlt
  { code: (_, virtual) => virtual ? [0xf4] : [0x68, ...dwords(0xfff0), 0x17], vector: 13 },
  { code: () => [0xcf], returns: true },
  { code: () => [0x66, 0xcf], returns: true },
];

function access(random: Random, type: number): number {
  if (random.oneIn(16)) return random.below(256) & ~0x10;
  return (random.oneIn(16) ? 0 : 0x80) | (random.oneIn(6) ? random.below(4) : 3) << 5 | type;
}

/** Selector of the new task in a gate or link: hardly ever another. */
const toTask = (random: Random) =>
  random.oneIn(16) ? anySelector(random) : SLOT.task + random.below(4);

/** A trial of one switch. */
export function taskTrial(random: Random, name: string): BochsTrial {
  const wide = !random.oneIn(3);
  const least = wide ? 0x67 : 0x2b;
  const limit = random.oneIn(12) ? random.pick([least - 1, least + 1, 0]) : least;
  const way = random.pick(WAYS);
  const virtual = way.vector !== undefined && random.oneIn(5);
  const type = (wide ? TASK_TYPE : TASK16_TYPE) |
    (Boolean(way.returns) !== random.oneIn(16) ? BUSY : 0);
  const task = newTask(random, wide);
  const given = random.oneIn(2) ? spoiled(random, task) : task;
  const level = virtual ? 3 : random.pick<Level>([0, 1, 2, 3]);
  const selector = random.pick([SLOT.task, SLOT.task, SLOT.gate, SLOT.local]) + random.below(4);
  const oldWide = !random.oneIn(4);
  const gate = () => gateBytes(toTask(random), 0, access(random, TASK_GATE));
  return {
    name,
    entry: virtual || level > 0 ? "outward" : "inner",
    registers: {
      ...(virtual ? { cs: AREA >> 4, ss: AREA >> 4 } : LEVEL[level]),
      eip: virtual ? CODE - AREA : CODE,
      esp: virtual ? TOP - AREA : TOP,
      ...dataRegisters(random, virtual),
      eflags: way.returns
        ? flags(random, false) | RFLAGS.NT
        : flags(random, virtual) & (virtual ? ~0 : ~RFLAGS.NT),
      ...Object.fromEntries(
        (["eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"] as const)
          .map((register) => [register, random.below(2 ** 32)]),
      ),
    },
    patches: [
      ...SEGMENTS,
      { address: CODE, bytes: [...way.code(selector, virtual), ...END] },
      { address: NEW_CODE, bytes: END },
      // With another base, code is there.
      ...[NEW_CODE - AREA, AREA + NEW_CODE].map((address) => ({ address, bytes: END })),
      { address: RESCUE_CODE, bytes: END },
      {
        address: KERNEL.gdt + SLOT.task,
        bytes: [...descriptorBytes(TASK, limit, access(random, type)), ...gate()],
      },
      { address: KERNEL.ldt + (SLOT.local & ~7), bytes: gate() },
      { address: TASK, bytes: taskState(given, wide) },
      // IRET takes the link of the task that it leaves.
      { address: KERNEL.tss, bytes: words(toTask(random)) },
      ...(way.vector === undefined
        ? []
        : [{ address: KERNEL.idt + 8 * way.vector, bytes: gate() }]),
      // A bad stack takes no fault.
      ...(given !== task || !random.oneIn(3) ? rescue(random, given !== task) : []),
      ...old(oldWide),
    ],
    ...(oldWide ? {} : { setup: SETUP }),
  };
}

/** The old task has a 16-bit TSS: TR is loaded with it. */
const SETUP = AREA + 0x400;
const OLD_SLOT = FREE_SLOT + 24, OLD = KERNEL.free + 0x200;

function old(wide: boolean): BochsTrial["patches"] {
  if (wide) return [];
  // mov ax, OLD_SLOT; ltr ax; ret
  const code = [0x66, 0xb8, ...words(OLD_SLOT), 0x0f, 0x00, 0xd8, 0xc3];
  const stack = words(SLOT.task, KERNEL.stack - 0x400, KERNEL_SELECTOR.data);
  return [
    { address: SETUP, bytes: code },
    { address: KERNEL.gdt + OLD_SLOT, bytes: descriptorBytes(OLD, 0x2b, 0x81) },
    { address: OLD, bytes: stack },
  ];
}

function dataRegisters(random: Random, virtual: boolean) {
  const data = () => virtual ? random.below(0x10000) : random.pick([0, KERNEL_SELECTOR.userData]);
  return { ds: data(), es: data(), fs: data(), gs: data() };
}

/** A third task for the faults of the second. */
function rescue(random: Random, all: boolean): BochsTrial["patches"] {
  const [cs, ss] = [KERNEL_SELECTOR.code, KERNEL_SELECTOR.data];
  const task: Task = {
    cr3: 0,
    eip: RESCUE_CODE,
    eflags: RFLAGS.IOPL | 2,
    general: [1, 2, 3, 4, RESCUE_TOP, 6, 7, 8],
    segments: { es: ss, cs, ss, ds: ss, fs: 0, gs: 0 },
    ldt: 0,
    trap: 0,
  };
  const vectors = [1, 8, 10, 11, 12, 13].filter(() => all || !random.oneIn(3));
  return [
    { address: KERNEL.gdt + SLOT.rescue, bytes: descriptorBytes(RESCUE, 0x67, 0x89) },
    { address: RESCUE, bytes: taskState(task, true) },
    ...vectors.map((vector) => ({
      address: KERNEL.idt + 8 * vector,
      bytes: gateBytes(SLOT.rescue, 0, 0x80 | TASK_GATE),
    })),
  ];
}
