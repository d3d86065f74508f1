// PV time: the record in vcpu_info by which a guest turns its time stamp counter into nanoseconds, without asking anybody.
import type { Gpa } from "../../base/address.ts";
import { TSC_HZ } from "../../base/clock.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { TIME_INFO, VCPU_INFO } from "./abi.ts";

const NS_PER_SECOND = 1e9;

/**
 * `tsc_to_system_mul` and `tsc_shift` for a counter of `hz`: ns = ((cycles << shift) * mul) >> 32, where a negative shift is
 * one to the right and mul lies in [2^31, 2^32) (xen.h, struct vcpu_time_info).
 */
export function timeScale(hz: number): { mul: number; shift: number } {
  let ratio = NS_PER_SECOND / hz;
  let shift = 0;
  for (; ratio >= 1; ratio /= 2) shift++;
  for (; ratio < 0.5; ratio *= 2) shift--;
  return { mul: Math.floor(ratio * 2 ** 32), shift };
}

const SCALE = timeScale(TSC_HZ);

/** How long a record may serve, in nanoseconds. Xen renews it when it calibrates, once a second; counters don't drift here. */
const RENEWAL = 1e9;

/** Keeps the record of one virtual CPU. */
export class PvClock {
  readonly #memory: GuestMemory;
  #place = -1;
  #written = 0;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  /** Renews the record if it is old, or if vcpu_info has moved. `now` is both the counter and nanoseconds. */
  update(vcpuInfo: number, now: number): void {
    if (vcpuInfo === this.#place && now - this.#written < RENEWAL) return;
    this.#place = vcpuInfo;
    this.#written = now;
    const memory = this.#memory;
    const at = (offset: number): Gpa => vcpuInfo + VCPU_INFO.time + offset as Gpa;
    // An odd version says that the record is being written: the guest reads it again.
    const version = memory.readU32(at(TIME_INFO.version));
    memory.writeU64(at(TIME_INFO.tsc_timestamp), BigInt(now));
    memory.writeU64(at(TIME_INFO.system_time), BigInt(now));
    memory.writeU32(at(TIME_INFO.tsc_to_system_mul), SCALE.mul);
    memory.write(at(TIME_INFO.tsc_shift), Uint8Array.of(SCALE.shift & 0xff));
    memory.writeU32(at(TIME_INFO.version), version + 2 >>> 0);
  }
}
