// Runs one case: builds the virtual machine, drives the monitor and its vCPU, keeps the time, and records what happens.
// This is the one place where exits are counted, timed and charged.
import { VirtualClock } from "../base/clock.ts";
import { DEFAULT_SEED, entropy } from "../base/entropy.ts";
import type { Stop, Vcpu, VcpuConfig, VcpuFactory } from "../engine/vcpu.ts";
import type { GuestImage } from "../guest/image.ts";
import { Bus } from "../machine/bus.ts";
import { MemoryDisk } from "../machine/memory_disk.ts";
import type { Case, CaseGroup, Limits } from "../scenario/case.ts";
import type { EndState, Exit } from "../trace/exit.ts";
import { Recorder } from "../trace/recorder.ts";
import type { Trace } from "../trace/trace.ts";
import { cyclesOf } from "./cost_model.ts";
import type { Cpus } from "./cpus.ts";
import type { CostProfile } from "./cost_profile.ts";
import { finalMemory, finalRegisters, shownBy } from "./final_state.ts";
import { reasonOf } from "./given_up.ts";
import { HostTime } from "./host_time.ts";
import { hostInterrupt, linearRip } from "./host_interrupt.ts";
import { LateInputs } from "./late_inputs.ts";
import { LateMemory } from "./late_memory.ts";
import type { BackendDefinition, Monitor, Outcome } from "./monitor.ts";
import { makeCpus } from "./make_cpus.ts";
import { TURN } from "./turns.ts";
import { type GuestTime, VirtualTime } from "./virtual_time.ts";
import { LONGEST_HOST_STRETCH, LONGEST_STRETCH, WallLimit } from "./wall_limit.ts";

export interface RunOptions {
  readonly group: Pick<CaseGroup, "guest" | "limits">;
  readonly subject: Case;
  readonly image: GuestImage;
  readonly backend: BackendDefinition;
  readonly engine: VcpuFactory;
  readonly profile: CostProfile;
  /** Milliseconds of measured time. Only ever ends a run; no event depends on it. */
  readonly wallClock?: () => number;
  /** Asked now and then: true ends the run as a wall-clock limit does. */
  readonly abort?: () => boolean;
  /** Ends the run right after so many accesses. */
  readonly stopAfter?: number;
  /** Instructions in a CPU's turn, among several; absent: `TURN`. */
  readonly turn?: number;
}

/**
 * Entries in a row in which nothing retires, exits or takes time: a guest that faults in its fault handler, for ever. Its
 * clock stands still, so it is ended as if its time were up.
 */
const MAX_STUCK_ENTRIES = 100;

/**
 * Runs a case to its end and tells what happened. Whatever the guest does, this returns: limits end it. Throws only on
 * defects of the harness itself.
 */
export function runCase(options: RunOptions): Trace {
  const run = new Run(options);
  try {
    return run.toEnd();
  } finally {
    run.dispose();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #limits: Limits;
  readonly #wall: WallLimit;
  readonly #time: GuestTime;
  readonly #clock: VirtualClock;
  readonly #recorder: Recorder;
  readonly #disks: readonly MemoryDisk[];
  readonly #cpus: Cpus;
  readonly #inlines: boolean;
  /** Native costs count only while the guest runs, not when a handler emulates an instruction. */
  #inGuest = false;
  #ended: EndState | undefined;
  /** When it was looked last whether anything has happened. */
  #exits = 0;
  #passed = -1;

  constructor(options: RunOptions) {
    const { image, backend, engine, profile } = options;
    this.#options = options;
    this.#limits = options.group.limits;
    const wallClock = options.wallClock ?? (() => performance.now());
    this.#wall = new WallLimit(this.#limits.wallMs, wallClock, options.abort);
    // Devices ask for the time while they are built, before there is a CPU.
    const made: { cpus?: Cpus } = {};
    const retired = () => made.cpus?.retired ?? 0;
    this.#time = engine.hostTime
      ? new HostTime(wallClock, engine.hostRate?.())
      : new VirtualTime(profile, retired);
    this.#clock = new VirtualClock(() => this.#time.now());
    this.#recorder = new Recorder(retired, () => made.cpus?.current);
    this.#disks = image.disks.map((spec) => new MemoryDisk(spec));
    const memory = new LateMemory(image.memory);
    const inputs = engine.ownControllers ? new LateInputs() : undefined;
    const bus = new Bus((access) => this.#recorder.access(access));
    const monitor = backend.create({
      image,
      clock: this.#clock,
      bus,
      recorder: this.#recorder,
      memory,
      console: { write: (bytes) => this.#recorder.console(bytes) },
      disks: this.#disks,
      inputs,
      power: {
        off: (code) => this.#ended ??= { kind: "shutdown", code },
        // A reset would start the same guest again, for ever: it ends the run as what usually causes it.
        reset: () => this.#ended ??= { kind: "triple-fault" },
      },
      gate: {
        set: (open) => {
          for (const { vcpu } of made.cpus?.all ?? []) vcpu.a20 = open;
        },
      },
    });
    // All CPUs draw from one row of numbers.
    const random = entropy(image.seed ?? DEFAULT_SEED);
    const config = (own: Monitor): VcpuConfig => ({
      memory: image.memory,
      controls: own.controls,
      ...(own.direct ? { bus: own.bus ?? bus } : {}),
      ...(image.rom ? { rom: image.rom } : {}),
      ...(own.localApic ? { localApic: own.localApic } : {}),
      ...(own.ownLocalApic ? { ownLocalApic: true } : {}),
      ...(own.doorbells ? { doorbells: own.doorbells } : {}),
      timestamp: () => BigInt(this.#time.now()),
      random,
      cpuid: (leaf, subleaf) => own.cpuid(leaf, subleaf),
      count: (what) => this.#native(what),
    });
    this.#cpus = made.cpus = makeCpus(engine, monitor, config, {
      cpus: image.cpus ?? 1,
      turn: options.turn ?? TURN,
    });
    const { memory: ram, lower } = this.#cpus.first.vcpu;
    memory.bind(ram);
    if (lower) inputs?.bind(lower.interrupts);
    const { kernel, user } = monitor.controls;
    this.#inlines = [kernel, user].some((table) => Object.values(table).includes("inline"));
  }

  dispose(): void {
    for (const { vcpu } of this.#cpus.all) vcpu.dispose();
  }

  toEnd(): Trace {
    const end = this.#guarded(() => {
      for (const { monitor, vcpu } of this.#cpus.all) monitor.start(vcpu);
      return this.#loop();
    });
    this.#cpus.halt();
    return this.#trace(end);
  }

  #native(what: string): void {
    if (!this.#inGuest) return;
    this.#recorder.native(what);
    this.#time.native(what);
  }

  /** A guest that names memory it does not have ends its run; anything else that is thrown is a defect of ours. */
  #guarded(body: () => EndState): EndState {
    try {
      return body();
    } catch (error) {
      const reason = reasonOf(error);
      if (reason === undefined) throw error;
      return { kind: "crash", reason, rip: linearRip(this.#vcpu) };
    }
  }

  #loop(): EndState {
    let stuck = 0;
    for (;;) {
      this.#clock.runDue();
      const limit = this.#ended ?? this.#limit();
      if (limit) return limit;
      const cpu = this.#cpus.next();
      if (cpu) {
        if (this.#cpus.interrupted) this.#hostInterrupt();
        const entry = cpu.monitor.beforeEntry();
        const settled = entry.do === "resume" ? undefined : this.#settle(entry);
        if (settled) return settled;
        if (cpu.idle) continue;
      }

      const deadline = this.#clock.nextAlarm();
      const stop = this.#run(deadline);
      const outcome = stop && this.#stopped(stop, deadline);
      const end = this.#ended ?? outcome;
      if (end) return end;

      stuck = this.#progressed() ? 0 : stuck + 1;
      if (stuck > MAX_STUCK_ENTRIES) return { kind: "limit", limit: "time" };
    }
  }

  /** Has anything exited or retired, or time gone by, since it was asked last? Time comes last, as the host's costs most. */
  #progressed(): boolean {
    const { total: exits } = this.#recorder.counts.exits;
    const exited = exits !== this.#exits;
    this.#exits = exits;
    if (exited) return true;
    const passed = this.#cpus.retired + this.#time.now();
    const moved = passed !== this.#passed;
    this.#passed = passed;
    return moved;
  }

  get #vcpu(): Vcpu {
    return this.#cpus.running.vcpu;
  }
  get #monitor(): Monitor {
    return this.#cpus.running.monitor;
  }

  #run(deadline: number | undefined): Stop | undefined {
    const left = this.#limits.instructions - this.#cpus.retired;
    const until = Math.min(deadline ?? Infinity, this.#limits.time);
    const stretch = this.#time.nanosecondsUntil(until);
    this.#inGuest = true;
    const stop = stretch === undefined
      ? this.#cpus.run(Math.min(left, LONGEST_STRETCH, this.#time.instructionsUntil(until)))
      : this.#cpus.run(left, Math.min(stretch, LONGEST_HOST_STRETCH));
    this.#inGuest = false;
    if (this.#inlines) this.#time.inlined(this.#cpus.inlined());
    return stop;
  }

  /** What to do about why the guest stopped; an end state ends the run. */
  #stopped(stop: Stop, deadline: number | undefined): EndState | undefined {
    switch (stop.reason) {
      case "exit":
        if (stop.exit.kind === "pause") this.#cpus.endTurn();
        return this.#exit(stop.exit);
      case "idle":
        return this.#idle();
      case "pause":
        this.#cpus.endTurn();
        return undefined;
      case "wait":
        this.#wait(deadline);
        return undefined;
      case "budget": {
        const over = deadline !== undefined && deadline <= this.#time.now();
        if (over) this.#hostInterrupt();
        return undefined;
      }
      default:
        return stop satisfies never;
    }
  }

  #exit(exit: Exit): EndState | undefined {
    const classified = this.#monitor.classify(exit);
    // Bare hardware has no exits: what its engine reports (a triple fault) is an event of the machine.
    if (!this.#monitor.direct) this.#count(classified);
    return this.#settle(this.#monitor.handle(classified));
  }

  #count(exit: Exit): void {
    this.#recorder.exit(exit);
    this.#time.exit(exit.via, exit.kind);
  }

  #settle(outcome: Outcome): EndState | undefined {
    switch (outcome.do) {
      case "resume":
        return undefined;
      case "stop":
        return outcome.end;
      case "idle":
        return this.#idle();
      default:
        return outcome satisfies never;
    }
  }

  /** Another CPU goes on; while there is none, time jumps from alarm to alarm until something wakes one. */
  #idle(): EndState | undefined {
    this.#cpus.running.idle = true;
    while (!this.#cpus.awaken()) {
      if (this.#ended) return this.#ended;
      const next = this.#clock.nextAlarm();
      if (next === undefined || this.#cpus.deaf) return { kind: "halt" };
      if (next > this.#limits.time || this.#wallLimit(this.#time.now())) {
        return { kind: "limit", limit: "time" };
      }
      this.#sleepUntil(next);
      this.#clock.runDue();
    }
    return undefined;
  }

  /** What the guest waits for comes from another CPU, or not before the next alarm. Without either it may as well go on. */
  #wait(deadline: number | undefined): void {
    this.#cpus.endTurn();
    if (this.#cpus.current !== undefined || this.#monitor.wakeable()) return;
    if (deadline !== undefined) this.#sleepUntil(Math.min(deadline, this.#limits.time));
  }

  #sleepUntil(deadline: number): void {
    const before = this.#time.now();
    this.#time.idleUntil(deadline);
    for (const { vcpu } of this.#cpus.all) vcpu.skipTime?.(Math.max(0, deadline - before));
  }

  #limit(): EndState | undefined {
    const { stopAfter } = this.#options;
    if (stopAfter !== undefined && this.#recorder.accesses >= stopAfter) {
      return { kind: "limit", limit: "events" };
    }
    if (this.#cpus.retired >= this.#limits.instructions) {
      return { kind: "limit", limit: "instructions" };
    }
    if (this.#recorder.counts.exits.total >= this.#limits.exits) {
      return { kind: "limit", limit: "exits" };
    }
    const now = this.#time.now();
    if (now >= this.#limits.time || this.#wallLimit(now)) {
      return { kind: "limit", limit: "time" };
    }
    return undefined;
  }

  #wallLimit(now: number): boolean {
    const { hostTime } = this.#options.engine;
    return this.#wall.isOver(this.#cpus.retired, hostTime && now);
  }

  /** A deadline, or another CPU, has taken the running one from its guest. */
  #hostInterrupt(): void {
    const { preempts } = this.#monitor;
    if (preempts) this.#count(hostInterrupt(this.#vcpu, preempts));
  }

  #trace(end: EndState): Trace {
    const { subject, group, image, profile } = this.#options;
    const { counts, events, dropped } = this.#recorder;
    const { vcpu } = this.#cpus.first;
    counts.instructions = this.#cpus.retired;
    Object.assign(counts.inlined, this.#cpus.inlined());
    return {
      events,
      dropped,
      counts,
      cycles: cyclesOf({ ...counts, exits: counts.ways }, profile),
      console: this.#recorder.consoleBytes(),
      end,
      final: {
        registers: finalRegisters(vcpu),
        memory: finalMemory(vcpu, image, group.guest, subject),
        disks: this.#disks.map((disk) => disk.contents()),
      },
      wallNs: Math.round(this.#wall.spent * 1e6),
      ...shownBy(vcpu, this.#options.engine),
    };
  }
}
