// kvmclock, wall clock and steal time: structures in guest memory that a guest reads instead of leaving for the time.
import { type Gpa, gpa } from "../../base/address.ts";
import { type Clock, TSC_HZ } from "../../base/clock.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { PVCLOCK, STEAL_TIME, WALL_CLOCK } from "./kvm_abi.ts";

/** Nanoseconds are `((tsc << shift) * mul) >> 32`: mul has its top bit set, as KVM scales it. */
const SHIFT = 1;
const MUL = Math.round((1e9 / TSC_HZ) * 2 ** (32 - SHIFT));

/** The virtual board was powered on at this second of the Unix epoch: no wall clock enters a run. */
export const POWER_ON_SECOND = 0;

/**
 * Fills `struct pvclock_vcpu_time_info`. Time and time stamp counter run together by definition (base/clock.ts), so that
 * once is enough. Throws `GuestMemoryError` where there is no RAM.
 */
export function writeSystemTime(memory: GuestMemory, address: Gpa, clock: Clock): void {
  const version = nextVersion(memory, address, PVCLOCK.version);
  const page = new DataView(new ArrayBuffer(PVCLOCK.size));
  const now = BigInt(clock.now());
  page.setUint32(PVCLOCK.version, version, true);
  page.setBigUint64(PVCLOCK.tscTimestamp, now, true);
  page.setBigUint64(PVCLOCK.systemTime, now, true);
  page.setUint32(PVCLOCK.tscToSystemMul, MUL, true);
  page.setInt8(PVCLOCK.tscShift, SHIFT);
  page.setUint8(PVCLOCK.flags, PVCLOCK.TSC_STABLE_BIT);
  memory.write(address, new Uint8Array(page.buffer));
}

/** Fills `struct pvclock_wall_clock`. Throws as {@linkcode writeSystemTime}. */
export function writeWallClock(memory: GuestMemory, address: Gpa): void {
  const version = nextVersion(memory, address, WALL_CLOCK.version);
  const page = new DataView(new ArrayBuffer(WALL_CLOCK.size));
  page.setUint32(WALL_CLOCK.version, version, true);
  page.setUint32(WALL_CLOCK.sec, POWER_ON_SECOND, true);
  memory.write(address, new Uint8Array(page.buffer));
}

/** Fills `struct kvm_steal_time`: nothing else wants this host's CPU, so that no time is stolen. Throws likewise. */
export function writeStealTime(memory: GuestMemory, address: Gpa): void {
  const version = nextVersion(memory, address, STEAL_TIME.version);
  const page = new DataView(new ArrayBuffer(STEAL_TIME.size));
  page.setUint32(STEAL_TIME.version, version, true);
  memory.write(address, new Uint8Array(page.buffer));
}

/** An even version, not the one that is there: readers see that something changed. */
function nextVersion(memory: GuestMemory, address: Gpa, offset: number): number {
  const version = memory.readU32(gpa(address + offset));
  return ((version | 1) + 1) >>> 0;
}
