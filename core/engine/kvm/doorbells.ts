// ioeventfd: writes to a device's notification registers, counted by the kernel while the guest runs on (api.rst, KVM_IOEVENTFD).
// The thread that has the devices runs the guest too, or waits for its CPUs: a device hears of them when a CPU leaves its guest
// next, or after a while.
import type { Doorbells } from "../vcpu.ts";
import { STRUCT } from "./abi.ts";
import type { Libc } from "./libc.ts";
import type { KvmMachine } from "./machine.ts";

/** A doorbell is a 32-bit register (virtio 1.2, 4.2.2.2). */
const LENGTH = 4;
/** <linux/kvm.h>: KVM_IOEVENTFD_FLAG_DATAMATCH, only writes of this value. */
const FLAG_DATAMATCH = 1;

/** Nanoseconds after which a guest is taken from its CPU, to see what it has rung: one that waits in a loop does not leave. */
export const DOORBELL_SLICE = 100_000;

interface Counter {
  readonly fd: number;
  readonly gpa: number;
  readonly value: number;
}

export class KernelDoorbells {
  readonly #libc: Libc;
  readonly #ring: Doorbells["ring"];
  readonly #counters: Counter[] = [];

  constructor(machine: KvmMachine, { registers, ring }: Doorbells) {
    this.#libc = machine.system.libc;
    this.#ring = ring;
    try {
      for (const { gpa, values } of registers) {
        for (let value = 0; value < values; value++) {
          const fd = this.#libc.eventCounter();
          this.#counters.push({ fd, gpa, value });
          machine.ioctlWith("KVM_IOEVENTFD", request(fd, gpa, value));
        }
      }
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Tells the devices of what has been rung since the last time: once each, however often. */
  collect(): void {
    for (const { fd, gpa, value } of this.#counters) {
      if (this.#libc.takeCount(fd) > 0) this.#ring(gpa, value);
    }
  }

  dispose(): void {
    for (const { fd } of this.#counters.splice(0)) this.#libc.close(fd);
  }
}

function request(fd: number, gpa: number, value: number): Uint8Array<ArrayBuffer> {
  const { size, fields } = STRUCT.kvm_ioeventfd;
  const view = new DataView(new ArrayBuffer(size));
  view.setBigUint64(fields.datamatch, BigInt(value), true);
  view.setBigUint64(fields.addr, BigInt(gpa), true);
  view.setUint32(fields.len, LENGTH, true);
  view.setInt32(fields.fd, fd, true);
  view.setUint32(fields.flags, FLAG_DATAMATCH, true);
  return new Uint8Array(view.buffer);
}
