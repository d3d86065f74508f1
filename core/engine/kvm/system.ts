// /dev/kvm itself: is it there, may we use it, and has it what this engine needs?
import { TSC_HZ } from "../../base/clock.ts";
import {
  IOCTL,
  KVM_API_VERSION,
  KVM_CAP,
  KVM_SYNC_X86,
  KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
} from "./abi.ts";
import { EINTR, type Libc, libc, SystemError } from "./libc.ts";
import type { Holdings } from "./holdings.ts";
import { isPvm } from "./pvm.ts";

const BOARD_KHZ = TSC_HZ / 1000;
const DEVICE = "/dev/kvm";

/** What this engine can't do without, and the least that each capability has to say. */
const NEEDED: readonly (keyof typeof KVM_CAP)[] = [
  "USER_MEMORY",
  "VCPU_EVENTS",
  "DEBUGREGS",
  "READONLY_MEM",
  "IMMEDIATE_EXIT",
  "X86_USER_SPACE_MSR",
  "X86_MSR_FILTER",
];
const ALL_REGISTERS = KVM_SYNC_X86.REGS | KVM_SYNC_X86.SREGS | KVM_SYNC_X86.EVENTS;

/** /dev/kvm can't be used here; the message is a sentence without a full stop. */
export class KvmUnavailable extends Error {
  override readonly name = "KvmUnavailable";
}

export class KvmSystem {
  #rate: number | undefined;
  /** Is it PVM, with its gaps? */
  readonly pvm: boolean;
  /** Bytes of a CPU's shared area. */
  readonly runSize: number;

  private constructor(readonly libc: Libc, readonly fd: number) {
    this.pvm = isPvm(libc);
    this.runSize = libc.ioctl(fd, IOCTL.KVM_GET_VCPU_MMAP_SIZE, 0, "KVM_GET_VCPU_MMAP_SIZE");
  }

  /** Throws {@linkcode KvmUnavailable}. `holdings`: where what this thread holds is written down from now on. */
  static open(holdings?: Holdings): KvmSystem {
    if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
      throw new KvmUnavailable("KVM is on x86-64 Linux only");
    }
    if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") {
      throw new KvmUnavailable("KVM needs Deno's --allow-ffi");
    }
    let fd: number;
    try {
      if (holdings) libc().holdIn(holdings);
      fd = libc().open(DEVICE);
    } catch (error) {
      throw new KvmUnavailable(error instanceof Error ? error.message : String(error));
    }
    const system = new KvmSystem(libc(), fd);
    const missing = system.#missing();
    if (!missing) return system;
    system.close();
    throw new KvmUnavailable(missing);
  }

  #missing(): string | undefined {
    const version = this.libc.ioctl(this.fd, IOCTL.KVM_GET_API_VERSION, 0, "KVM_GET_API_VERSION");
    if (version !== KVM_API_VERSION) return `KVM's API version is ${version}`;
    const missing = NEEDED.filter((name) => this.capability(name) <= 0);
    if ((this.capability("SYNC_REGS") & ALL_REGISTERS) !== ALL_REGISTERS) {
      missing.push("SYNC_REGS");
    }
    if (missing.length === 0) return undefined;
    return `This kernel's KVM lacks ${missing.map((name) => `KVM_CAP_${name}`).join(", ")}`;
  }

  /** Can VMCALL and VMMCALL come to the VMM? */
  get showsHypercalls(): boolean {
    return (this.capability("XEN_HVM") & KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL) !== 0;
  }

  /** What KVM_CHECK_EXTENSION says: 0 is no. */
  capability(name: keyof typeof KVM_CAP): number {
    return this.libc.ioctl(this.fd, IOCTL.KVM_CHECK_EXTENSION, KVM_CAP[name], name);
  }

  /** Gives a CPU's time stamp counter the board's rate, where the host's CPU can scale; otherwise it goes at the host's. */
  setTscRate(vcpu: number): void {
    if (this.capability("TSC_CONTROL") === 0) return;
    this.libc.ioctl(vcpu, IOCTL.KVM_SET_TSC_KHZ, BOARD_KHZ, "KVM_SET_TSC_KHZ");
  }

  /** How much faster the guests' time stamp counters go than the board's. */
  get rate(): number {
    return this.#rate ??= this.#measuredRate();
  }

  #measuredRate(): number {
    // Its guests' counters are the host's, whatever the board does.
    if (this.pvm) return 1;
    const vm = this.createVm();
    try {
      const vcpu = this.libc.ioctlOpening(vm, IOCTL.KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
      try {
        this.setTscRate(vcpu);
        return this.libc.ioctl(vcpu, IOCTL.KVM_GET_TSC_KHZ, 0, "KVM_GET_TSC_KHZ") / BOARD_KHZ;
      } finally {
        this.libc.close(vcpu);
      }
    } finally {
      this.libc.close(vm);
    }
  }

  /** File descriptor of a new machine. Any signal of the process's may interrupt its making. */
  createVm(): number {
    for (;;) {
      try {
        return this.libc.ioctlOpening(this.fd, IOCTL.KVM_CREATE_VM, 0, "KVM_CREATE_VM");
      } catch (error) {
        if (!(error instanceof SystemError) || error.errno !== EINTR) throw error;
      }
    }
  }

  close(): void {
    this.libc.close(this.fd);
  }
}
