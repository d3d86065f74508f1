// The contract of a back end. A monitor decides what exits, and handles what exited; the runner (`runner.ts`) drives it,
// keeps the time and records what happens.
import type { VirtualClock } from "../base/clock.ts";
import type { CpuidResult } from "../cpu/cpu.ts";
import type { Doorbells, ExecutionControls, LocalApicRegisters, Vcpu } from "../engine/vcpu.ts";
import type { GuestImage } from "../guest/image.ts";
import type { Bus } from "../machine/bus.ts";
import type { InterruptInputs } from "../machine/controllers.ts";
import type { AddressGate, BlockSource, Power, Sink } from "../machine/device.ts";
import type { GuestMemory } from "../machine/memory.ts";
import type { EndState, Exit } from "../trace/exit.ts";
import type { Recorder } from "../trace/recorder.ts";
import type { BackendDescription } from "./descriptions.ts";

/** What the runner gives to a monitor to build its virtual machine from. */
export interface Setup {
  /** Built for the platform of this back end. */
  readonly image: GuestImage;
  /** Virtual time: devices set their alarms here. */
  readonly clock: VirtualClock;
  /** Records accesses by itself; monitors attach devices and dispatch exits to it. */
  readonly bus: Bus;
  /** What else there is to count; exits and accesses are counted already. */
  readonly recorder: Recorder;
  /** The guest's RAM: the same as `vcpu.memory`, there before the vCPU is, so that DMA devices can be built. */
  readonly memory: GuestMemory;
  /** Console output of the guest, whatever device it came by. */
  readonly console: Sink;
  /** In the order of the scenario. */
  readonly disks: readonly BlockSource[];
  /** Ends the run. */
  readonly power: Power;
  /** Moves A20 on every CPU. */
  readonly gate: AddressGate;
  /** Where interrupt lines lead if the engine has the controllers; absent: the board is to have them. */
  readonly inputs?: InterruptInputs | undefined;
}

/** What is to happen after an exit. */
export type Outcome =
  | { readonly do: "resume" }
  /** The guest waits for an event: time jumps to the next alarm until `wakeable()`, and idle time costs nothing. */
  | { readonly do: "idle" }
  | { readonly do: "stop"; readonly end: EndState };

/** One back end, for one CPU of a run: of the only one, or of the first, which makes those of the others. */
export interface Monitor {
  /** Controls of the first entry. */
  readonly controls: ExecutionControls;
  /** Do ports and device memory reach the bus without an exit? Only on `native`. */
  readonly direct: boolean;
  /** What the CPU's own accesses reach where that is not the bus of the setup: it has a local APIC of its own. */
  readonly bus?: Bus;
  /** Its MSRs and CR8; absent: it has none. */
  readonly localApic?: LocalApicRegisters | undefined;
  /** Where the engine has the interrupt controllers: has this CPU a local APIC? */
  readonly ownLocalApic?: boolean;
  /** What the guest rings without waiting for an answer; absent: nothing. */
  readonly doorbells?: Doorbells;
  /** Does a device's alarm that falls due while the guest runs make it exit (a host interrupt)? False on `native`. */
  readonly preempts: Exit["via"] | false;

  /** The monitor of another CPU of the same machine, by its number from 1 on. Absent: the back end has one CPU. */
  another?(cpu: number): Monitor;

  /** What CPUID says on this platform. */
  cpuid(leaf: number, subleaf: number): CpuidResult;
  /** Puts the image, and what the platform adds to it, into memory, and sets the registers of the first entry. */
  start(vcpu: Vcpu): void;
  /** Gives an exit its final kind (a page fault may be a shadow fill, a trace, or the guest's own); then it is counted. */
  classify(exit: Exit): Exit;
  /** Handles it. */
  handle(exit: Exit): Outcome;
  /** Before every entry: delivers what is pending, or asks to be told when that is possible. May end the run. */
  beforeEntry(): Outcome;
  /**
   * Asked where CPUs run side by side, while this one's is in its guest, of which nothing can be known meanwhile: has something come
   * up that it is to be taken from there for? Absent: never.
   */
  summons?(): boolean;
  /** The guest is idle (HLT without exit, or a handled HLT): is anything pending that wakes it at once? */
  wakeable(): boolean;
  /** The guest is idle for good: it masks everything that could wake it. Ends the run as `halt`; absent means no. */
  deaf?(): boolean;
}

/** Makes monitors of one back end. */
export interface BackendDefinition extends BackendDescription {
  /** A monitor with its devices on the bus; the vCPU comes with `start`. */
  create(setup: Setup): Monitor;
}

/** Resume. */
export const RESUME: Outcome = { do: "resume" };

/** Wait for an event. */
export const IDLE: Outcome = { do: "idle" };

/** Stop with this end. */
export function stop(end: EndState): Outcome {
  return { do: "stop", end };
}
