// trivisor's board behind somebody else's VMM: each exit that the VMM forwards is answered by the same devices that the
// embedded engine has.
import { VirtualClock } from "../../base/clock.ts";
import type { GuestImage } from "../../guest/image.ts";
import { pcBoard } from "../../machine/board.ts";
import { Bus } from "../../machine/bus.ts";
import type { InterruptController } from "../../machine/device.ts";
import { MemoryDisk } from "../../machine/memory_disk.ts";
import type { EndState, Exit } from "../../trace/exit.ts";
import type { Recorder } from "../../trace/recorder.ts";
import { readDevice, writeDevice } from "../../vmm/device_access.ts";
import { HostTime } from "../../vmm/host_time.ts";

/** How the VMM is to go on. */
export type Answer =
  | { readonly end: EndState }
  | { readonly value?: bigint; readonly inject?: number; readonly window?: boolean };

/** The devices of one run. */
export class ForwardedBoard {
  readonly #time = new HostTime(() => performance.now());
  readonly #clock = new VirtualClock(() => this.#time.now());
  readonly #disks: readonly MemoryDisk[];
  readonly #bus: Bus;
  readonly #interrupts: InterruptController;
  readonly #recorder: Recorder;
  readonly #timeLimit: number;
  #ended: EndState | undefined;

  /** `timeLimit` is of guest time, which goes by the host's clock: nanoseconds. */
  constructor(image: GuestImage, recorder: Recorder, timeLimit: number) {
    this.#recorder = recorder;
    this.#timeLimit = timeLimit;
    this.#bus = new Bus((access) => recorder.access(access));
    this.#disks = image.disks.map((spec) => new MemoryDisk(spec));
    const board = pcBoard({
      bus: this.#bus,
      clock: this.#clock,
      console: { write: (bytes) => recorder.console(bytes) },
      disks: this.#disks,
      power: {
        off: (code) => this.#ended ??= { kind: "shutdown", code },
        reset: () => this.#ended ??= { kind: "triple-fault" },
      },
    });
    this.#interrupts = board.cpus[0].interrupts;
  }

  /** As the guest has left them. */
  disks(): readonly Uint8Array[] {
    return this.#disks.map((disk) => disk.contents());
  }

  /** Does what the exit asks of a device; it has been recorded, and learns what was read. */
  handle(exit: Exit, interruptible: boolean): Answer {
    this.#clock.runDue();
    const value = this.#access(exit);
    this.#clock.runDue();
    if (this.#time.now() >= this.#timeLimit) this.#ended ??= { kind: "limit", limit: "time" };
    if (exit.kind === "triple-fault") this.#ended ??= { kind: "triple-fault" };
    if (exit.kind === "hlt") this.#idle(interruptible);
    if (this.#ended) return { end: this.#ended };
    const answer = value === undefined ? {} : { value };
    if (!this.#interrupts.pending()) return answer;
    if (!interruptible) return { ...answer, window: true };
    const vector = this.#interrupts.acknowledge();
    this.#recorder.injection({ kind: "external-interrupt", vector });
    return { ...answer, inject: vector, ...(this.#interrupts.pending() ? { window: true } : {}) };
  }

  #access(exit: Exit): bigint | undefined {
    switch (exit.kind) {
      case "io": {
        const { port, size, direction, value } = exit.detail;
        if (direction === "out") {
          writeDevice(this.#bus, "port", port, size, BigInt(value));
          return undefined;
        }
        const read = readDevice(this.#bus, "port", port, size);
        exit.detail.value = Number(read);
        return read;
      }
      case "mmio":
      case "ept-violation": {
        const { gpa, size, access, value } = exit.detail;
        if (size === undefined || access === "execute") {
          const reason = "The guest's code or page tables are where there is no RAM";
          this.#ended ??= { kind: "crash", reason, rip: exit.rip };
          return undefined;
        }
        if (access === "read") {
          return exit.detail.value = readDevice(this.#bus, "memory", gpa, size);
        }
        writeDevice(this.#bus, "memory", gpa, size, value ?? 0n);
        return undefined;
      }
      default:
        return undefined;
    }
  }

  /** Time jumps to what wakes the guest; without that, or deaf to it, it halts for good. */
  #idle(interruptible: boolean): void {
    while (!this.#interrupts.pending() && !this.#ended) {
      const next = this.#clock.nextAlarm();
      if (next === undefined || !interruptible) {
        this.#ended ??= { kind: "halt" };
      } else if (next > this.#timeLimit) {
        this.#ended ??= { kind: "limit", limit: "time" };
      } else {
        this.#time.idleUntil(next);
        this.#clock.runDue();
      }
    }
    if (!interruptible) this.#ended ??= { kind: "halt" };
  }
}
