// The CPUs of one run, side by side: each is in its guest on a thread of its own until something stops it, and the runner handles
// one after the other what they come with. Whom something new concerns while he is in his guest is taken from it.
import type { SideBySide, Stop } from "../engine/vcpu.ts";
import { type Cpu, type Cpus, inlinedBy } from "./cpus.ts";

export class SideBySideCpus implements Cpus {
  readonly all: readonly Cpu[];
  readonly first: Cpu;
  readonly retired = 0;
  interrupted = false;
  readonly #crew: SideBySide;
  /** By number: those that have been entered, and have not been heard of since. */
  readonly #away = new Set<number>();
  /** Of those, the ones that are on their way, as they have been asked for. */
  readonly #summoned = new Set<number>();
  #at = 0;
  /** The one that `next` has told. */
  #entering: number | undefined;

  constructor(crew: SideBySide, all: readonly Cpu[]) {
    const [first] = all;
    if (!first) throw new Error("A machine has at least one CPU");
    this.#crew = crew;
    this.all = all;
    this.first = first;
  }

  get running(): Cpu {
    return this.all[this.#at] ?? this.first;
  }
  get current(): number {
    return this.#at;
  }

  next(): Cpu | undefined {
    this.interrupted = false;
    this.#summon();
    const at = this.#ready();
    const cpu = at === undefined ? undefined : this.all[at];
    this.#entering = cpu && at;
    if (!cpu || at === undefined) return undefined;
    this.#at = at;
    // Whoever has come for another reason meanwhile was not taken from its guest.
    this.interrupted = this.#summoned.delete(at) && cpu.monitor.wakeable();
    cpu.idle = false;
    return cpu;
  }

  /** Whatever has been handled last, or an alarm, may be news for CPUs that are in their guest. */
  #summon(): void {
    for (const at of this.#away) {
      if (this.#summoned.has(at) || !this.all[at]?.monitor.summons?.()) continue;
      this.#summoned.add(at);
      this.#crew.kick(at);
    }
  }

  /** A CPU that is to be entered. In the middle of an instruction it is nobody else. */
  #ready(): number | undefined {
    if (!this.#away.has(this.#at) && this.running.vcpu.midway) return this.#at;
    const at = this.all.findIndex(({ idle, monitor }, cpu) =>
      !this.#away.has(cpu) && (!idle || monitor.wakeable())
    );
    return at < 0 ? undefined : at;
  }

  run(_budget: number, nanoseconds = 0): Stop | undefined {
    if (this.#entering !== undefined) {
      this.#away.add(this.#entering);
      this.#crew.enter(this.#entering);
      this.#entering = undefined;
    }
    if (this.#ready() !== undefined) return undefined;
    // Who was to be woken has lost his reason for it.
    if (this.#away.size === 0) return { reason: "idle" };
    const cpu = this.#crew.next(nanoseconds);
    if (cpu === undefined) return undefined;
    this.#away.delete(cpu);
    this.#at = cpu;
    const stop = this.#crew.stop(cpu);
    if (stop.reason === "budget") return undefined;
    this.#summoned.delete(cpu);
    return stop;
  }

  /** They need no turns. */
  endTurn(): void {}

  awaken(): boolean {
    return this.all.some(({ idle, monitor }) => !idle || monitor.wakeable());
  }

  get deaf(): boolean {
    return this.all.every(({ monitor }) => monitor.deaf?.() ?? false);
  }

  inlined(): Record<string, number> {
    return inlinedBy(this.all);
  }

  halt(): void {
    this.#crew.halt();
    this.#away.clear();
  }
}
