// A virtual CPU without a CPU: tests say what it does at each entry, and look at what a monitor did to it.
import {
  GENERAL_REGISTERS,
  type RegisterName,
  type Registers,
  type Segment,
  SEGMENT_REGISTERS,
  type SegmentName,
  SPECIAL_REGISTERS,
} from "../base/registers.ts";
import type { Event, ExecutionControls, ShadowTables, Stop, Vcpu } from "../engine/vcpu.ts";
import type { VcpuConfig } from "../engine/vcpu.ts";
import { ByteMemory } from "../machine/memory.ts";
import type { Exit, ExitDetails, ExitKind, ExitVia } from "../trace/exit.ts";

/** What happens at one entry. `retires` instructions go by first; the default is one. */
export type Step = (vcpu: FakeVcpu, budget: number) => Stop;

/** An exit at a place, as an engine would report it. */
export function madeExit<K extends ExitKind>(
  kind: K,
  detail: ExitDetails[K],
  via: ExitVia = "vm-exit",
  rip = 0x1000n,
): Exit {
  // The union's members are exactly these fields by kind; TypeScript can't see that for a kind it does not know.
  return { kind, via, rip, bytes: new Uint8Array([0x90]), bitness: 64, detail } as Exit;
}

/** A step that retires some instructions and exits. */
export function exits<K extends ExitKind>(
  kind: K,
  detail: ExitDetails[K],
  via?: ExitVia,
  retires = 1,
): Step {
  return (vcpu) => {
    vcpu.retired += retires;
    return { reason: "exit", exit: madeExit(kind, detail, via) };
  };
}

/** A step that uses up all it is granted. */
export const spins: Step = (vcpu, budget) => {
  vcpu.retired += budget;
  return { reason: "budget" };
};

/** A step that halts without an exit. */
export const idles: Step = (vcpu) => {
  vcpu.retired++;
  return { reason: "idle" };
};

const FLAT: Segment = { selector: 0, base: 0n, limit: 0xffffffff, attributes: 0x9b };

export class FakeVcpu implements Vcpu {
  readonly capabilities = {
    exits: "exact",
    deterministic: true,
    singleStep: false,
    controls: true,
  } as const;
  readonly memory: ByteMemory;
  retired = 0;
  interruptible = false;
  midway = false;
  bitness = 64 as const;
  readonly pagePointers = undefined;
  a20 = true;
  cpl = 0;
  /** What was asked of it, in order: `complete 0x5`, `skip`, `inject external-interrupt 32`, ... */
  readonly calls: string[] = [];
  /** What `emulate` and `emulateStore` do; by default they work. */
  emulation: (gpa?: number) => Event | undefined = () => undefined;
  shadow: ShadowTables | undefined;
  /** What translated code is said to have inlined so far. */
  inlinedCounts: Record<string, number> = {};
  /** What the runner gave to the engine. */
  config: VcpuConfig | undefined;
  /** Guest-physical page that a linear page is said to be at; others are at their own address. */
  readonly mapped = new Map<bigint, number>();
  readonly #registers = new Map<RegisterName, bigint>();
  readonly #debug = new Map<number, bigint>();
  readonly #segments = new Map<SegmentName, Segment>();
  readonly #steps: Step[];
  controls: ExecutionControls | undefined;

  /** When the steps are used up, the last one repeats; without any it spins. */
  constructor(memory = 0x10000, steps: readonly Step[] = []) {
    this.memory = new ByteMemory(new Uint8Array(memory));
    this.#steps = [...steps];
  }

  run(budget: number): Stop {
    const step = this.#steps.length > 1 ? this.#steps.shift() : this.#steps[0];
    return (step ?? spins)(this, budget);
  }

  inlined(): Record<string, number> {
    return this.inlinedCounts;
  }
  get(name: RegisterName): bigint {
    return this.#registers.get(name) ?? 0n;
  }
  set(name: RegisterName, value: bigint): void {
    this.#registers.set(name, value);
  }
  segment(name: SegmentName): Segment {
    return this.#segments.get(name) ?? FLAT;
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.#segments.set(name, segment);
  }
  setDescriptorTable(): void {}
  getMsr(): bigint | undefined {
    return undefined;
  }
  setMsr(): void {}
  eventPending = false;
  nmi(): void {
    this.calls.push("nmi");
  }
  debugRegister(number: number): bigint {
    return this.#debug.get(number) ?? 0n;
  }
  setDebugRegister(number: number, value: bigint): void {
    this.#debug.set(number, value);
  }
  registers(): Registers {
    const of = <K extends RegisterName>(names: readonly K[]) =>
      Object.fromEntries(names.map((name) => [name, this.get(name)])) as Record<K, bigint>;
    const segments = SEGMENT_REGISTERS.map((name) => [name, this.segment(name)]);
    return {
      general: of(GENERAL_REGISTERS),
      special: of(SPECIAL_REGISTERS),
      segments: Object.fromEntries(segments) as Record<SegmentName, Segment>,
      gdtr: { base: 0n, limit: 0 },
      idtr: { base: 0n, limit: 0 },
    };
  }
  complete(value?: bigint): void {
    this.calls.push(value === undefined ? "complete" : `complete 0x${value.toString(16)}`);
  }
  skip(): void {
    this.calls.push("skip");
    this.retired++;
  }
  emulate(): Event | undefined {
    this.calls.push("emulate");
    return this.emulation();
  }
  emulateStore(gpa: number): Event | undefined {
    this.calls.push(`emulateStore 0x${gpa.toString(16)}`);
    return this.emulation(gpa);
  }
  inject(event: Event): void {
    this.calls.push(`inject ${event.type} ${event.vector}`);
    this.interruptible = false;
  }
  requestInterruptWindow(wanted: boolean): void {
    this.calls.push(`window ${wanted}`);
  }
  setControls(controls: ExecutionControls): void {
    this.controls = controls;
  }
  setShadow(tables: ShadowTables): void {
    this.shadow = tables;
  }
  flush(page?: bigint): void {
    this.calls.push(page === undefined ? "flush" : `flush 0x${page.toString(16)}`);
  }
  callOutAt(rip: bigint, kind: "trace" | "mmio"): void {
    this.calls.push(`callOutAt 0x${rip.toString(16)} ${kind}`);
  }
  translate(linear: bigint): number | undefined {
    const page = this.mapped.get(linear & ~0xfffn);
    return page === undefined ? Number(linear) : page + Number(linear & 0xfffn);
  }
  instructionBytes(): Uint8Array {
    return new Uint8Array([0x90]);
  }
  watchFloatErrors(): void {}
  init(): void {
    this.calls.push("init");
  }
  dispose(): void {
    this.calls.push("dispose");
  }
}

/** An engine that hands out one made-up CPU. */
export function fakeEngine(vcpu: FakeVcpu): { create(config: VcpuConfig): Vcpu } {
  return {
    create: (config) => {
      vcpu.config = config;
      return vcpu;
    },
  };
}
