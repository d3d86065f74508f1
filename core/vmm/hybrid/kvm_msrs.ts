// KVM's MSRs: a guest writes where in its memory it wants the clock, the steal time and the end-of-interrupt word.
import { type Gpa, gpa, MAX_GPA } from "../../base/address.ts";
import type { Clock } from "../../base/clock.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { KVM_MSR, KVM_MSR_ENABLED, PV_EOI, PVCLOCK, STEAL_TIME, WALL_CLOCK } from "./kvm_abi.ts";
import { writeStealTime, writeSystemTime, writeWallClock } from "./pv_clock.ts";
import { isSharedRam, type PvEoi } from "./pv_eoi.ts";

/** What an MSR names: size and alignment of the structure, and what to do with it. */
interface Structure {
  readonly size: number;
  readonly alignment: number;
  /** Has bit 0 the meaning "in use"? The wall clock is written once, on request. */
  readonly switched: boolean;
  /** `undefined`: not in use any more. */
  use(address: Gpa | undefined): void;
}

/** The MSRs of one vCPU. */
export class KvmMsrs {
  readonly #values = new Map<number, bigint>();
  readonly #structures: Map<number, Structure>;

  /** Structures go to `memory`, time comes from `clock`, and `eoi` is told where its word is; absent: that is not ours. */
  constructor(readonly memory: GuestMemory, clock: Clock, eoi?: PvEoi) {
    const systemTime: Structure = {
      size: PVCLOCK.size,
      alignment: 4,
      switched: true,
      use: (at) => at !== undefined && writeSystemTime(memory, at, clock),
    };
    const wallClock: Structure = {
      size: WALL_CLOCK.size,
      alignment: 4,
      switched: false,
      use: (at) => at !== undefined && writeWallClock(memory, at),
    };
    this.#structures = new Map<number, Structure>([
      [KVM_MSR.SYSTEM_TIME, systemTime],
      [KVM_MSR.SYSTEM_TIME_NEW, systemTime],
      [KVM_MSR.WALL_CLOCK, wallClock],
      [KVM_MSR.WALL_CLOCK_NEW, wallClock],
      [KVM_MSR.STEAL_TIME, {
        size: STEAL_TIME.size,
        alignment: STEAL_TIME.size,
        switched: true,
        use: (at) => at !== undefined && writeStealTime(memory, at),
      }],
    ]);
    if (!eoi) return;
    this.#structures.set(KVM_MSR.PV_EOI_EN, {
      size: PV_EOI.size,
      alignment: 4,
      switched: true,
      use: (at) => eoi.enable(at),
    });
  }

  /** Is it one of these? */
  has(msr: number): boolean {
    return this.#structures.has(msr);
  }

  /** What was written last; zero before. */
  read(msr: number): bigint {
    return this.#values.get(msr) ?? 0n;
  }

  /** False: the guest gets #GP, for an address that isn't RAM or is misaligned. */
  write(msr: number, value: bigint): boolean {
    const structure = this.#structures.get(msr);
    if (!structure) return false;
    const enabled = !structure.switched || (value & KVM_MSR_ENABLED) !== 0n;
    if (!enabled) {
      structure.use(undefined);
    } else {
      const address = structure.switched ? value & ~KVM_MSR_ENABLED : value;
      if (address > BigInt(MAX_GPA)) return false;
      const at = gpa(Number(address));
      if (!isSharedRam(this.memory, at, structure.size, structure.alignment)) return false;
      structure.use(at);
    }
    this.#values.set(msr, value);
    return true;
  }
}
