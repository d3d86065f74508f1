// The CPUs of one machine side by side: each runs on a thread of its own (cpu_thread.ts), and comes to the thread of the monitor
// with what its guest makes it exit for. Everything but KVM_RUN itself happens there, so that devices and monitors know of nothing.
import { EngineFailure } from "../lacks.ts";
import type { SideBySide, Stop, VcpuConfig } from "../vcpu.ts";
import { DOORBELL_SLICE } from "./doorbells.ts";
import { SIGNAL } from "./interrupter.ts";
import type { Libc } from "./libc.ts";
import type { KvmMachine } from "./machine.ts";
import { isLocked } from "./memory_site.ts";
import type { Orders } from "./orders.ts";
import { KvmVcpu } from "./vcpu.ts";

/** A CPU that has been taken from its guest comes within microseconds; after so many milliseconds, it never will. */
const PATIENCE_MS = 2_000;
/** How often, in milliseconds, it is told again meanwhile. */
const AGAIN_MS = 100;

/** On PVM a CPU that has been away for so many milliseconds is looked after: it may be at an instruction that never ends. */
const LOOK_AFTER_MS = 50;

/** The thread of a CPU does not come back: what it holds can't be given back, and it can't be used any more. */
export class CpuLost extends Error {
  override readonly name = "CpuLost";
}

/** One thread, as the monitor's sees it. */
class CpuThread {
  constructor(readonly libc: Libc, readonly orders: Orders, readonly place: number) {}

  start(vcpu: number): void {
    this.orders.give(this.place, vcpu);
  }

  get isDone(): boolean {
    return this.orders.isDone(this.place);
  }

  /** It need not run a guest: the signal waits, and ends the next KVM_RUN. */
  kick(): void {
    this.libc.signalThread(this.orders.thread(this.place), SIGNAL);
  }

  /** Waits until it has come back. What it runs does so by itself, or has been told to. */
  wait(): void {
    const until = performance.now() + PATIENCE_MS;
    for (;;) {
      const { rung } = this.orders;
      if (this.isDone) return;
      if (performance.now() > until) throw new CpuLost("The thread of a CPU does not come back");
      this.orders.wait(rung, AGAIN_MS);
      if (!this.isDone) this.kick();
    }
  }
}

/** A CPU whose KVM_RUN is on another thread: the kernel waits for all of the host's CPUs whenever that changes. */
class CrewVcpu extends KvmVcpu {
  readonly #thread: CpuThread;
  #nmi = false;

  constructor(machine: KvmMachine, config: VcpuConfig, thread: CpuThread) {
    super(machine, config);
    this.#thread = thread;
  }

  protected override enter(): number {
    this.handOver();
    const { orders, place } = this.#thread;
    this.#thread.start(this.fd);
    this.#thread.wait();
    return orders.errno(place);
  }

  /** Off it goes; why it does not, if there is something to do first. */
  go(): Stop | undefined {
    const found = this.begin();
    if (found) return found;
    this.handOver();
    this.away = true;
    this.#thread.start(this.fd);
    return undefined;
  }

  /** When it is done: why. */
  back(): Stop {
    this.away = false;
    const { orders, place } = this.#thread;
    try {
      return this.cameBack(orders.errno(place));
    } finally {
      if (this.#nmi) super.nmi();
      this.#nmi = false;
    }
  }

  /** What is to be written comes at once, before anybody else has its turn. */
  override complete(value?: bigint): void {
    const open = this.handed;
    super.complete(value);
    if (open?.kind === "memory" && isLocked(open.place.bytes)) this.settle();
  }

  override nmi(): void {
    if (!this.away) return super.nmi();
    this.#nmi = true;
    this.#thread.kick();
  }
}

export class Crew implements SideBySide {
  readonly vcpus: readonly CrewVcpu[];
  readonly #machine: KvmMachine;
  readonly #orders: Orders;
  readonly #threads: readonly CpuThread[];
  /** Those that have been entered, and nobody has been told of since; and when. */
  readonly #entered = new Map<number, number>();
  /** Those that had something else to do than to run. */
  readonly #early = new Map<number, Stop>();

  constructor(machine: KvmMachine, configs: readonly VcpuConfig[], orders: Orders) {
    const { libc } = machine.system;
    this.#machine = machine;
    this.#orders = orders;
    this.#threads = configs.map((_, place) => new CpuThread(libc, orders, place));
    this.vcpus = configs.flatMap((config, place) => {
      const thread = this.#threads[place];
      return thread ? [new CrewVcpu(machine, config, thread)] : [];
    });
    machine.hold = () => this.#hold();
  }

  enter(cpu: number): void {
    const found = this.vcpus[cpu]?.go();
    if (found) this.#early.set(cpu, found);
    else this.#entered.set(cpu, performance.now());
  }

  kick(cpu: number): void {
    if (this.#entered.has(cpu)) this.#threads[cpu]?.kick();
  }

  next(nanoseconds: number): number | undefined {
    const [early] = this.#early.keys();
    if (early !== undefined) return early;
    const { doorbells } = this.#machine;
    const { rung } = this.#orders;
    if (this.#done() === undefined && this.#entered.size > 0) {
      this.#orders.wait(rung, Math.min(nanoseconds, doorbells ? DOORBELL_SLICE : Infinity) / 1e6);
    }
    const cpu = this.#done();
    // What it has rung before it left comes before why it has.
    doorbells?.collect();
    if (cpu === undefined && this.#machine.system.pvm) this.#lookAfter();
    return cpu;
  }

  #lookAfter(): void {
    const now = performance.now();
    for (const [cpu, since] of this.#entered) {
      if (now - since < LOOK_AFTER_MS) continue;
      this.#entered.set(cpu, now);
      this.kick(cpu);
    }
  }

  /** Of those that have come back, the first. */
  #done(): number | undefined {
    let first: number | undefined;
    for (const cpu of this.#entered.keys()) {
      if (!this.#threads[cpu]?.isDone) continue;
      if (
        first === undefined || (this.#orders.arrival(cpu) - this.#orders.arrival(first) | 0) < 0
      ) {
        first = cpu;
      }
    }
    return first;
  }

  stop(cpu: number): Stop {
    const early = this.#early.get(cpu);
    this.#early.delete(cpu);
    if (early) return early;
    this.#entered.delete(cpu);
    const vcpu = this.vcpus[cpu];
    if (!vcpu) throw new RangeError(`There is no CPU ${cpu}`);
    return vcpu.back();
  }

  halt(): void {
    this.#hold();
    for (const cpu of [...this.#entered.keys()]) {
      try {
        this.stop(cpu);
      } catch (error) {
        // It is over for all of them, whatever one of them has run into; but a host that can't do it is none to judge by.
        if (!(error instanceof EngineFailure)) throw error;
      }
    }
  }

  /** Nobody runs; why they have stopped is still to be told. */
  #hold(): void {
    for (const cpu of this.#entered.keys()) this.#threads[cpu]?.kick();
    for (const cpu of this.#entered.keys()) this.#threads[cpu]?.wait();
  }
}
