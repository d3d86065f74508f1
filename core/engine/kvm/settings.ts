// What of a CPU is not in its shared page: CPUID, MSRs, debug registers, its time stamp counter, and KVM's statistics.
import { MSR } from "../../cpu/msr.ts";
import type { VcpuConfig } from "../vcpu.ts";
import { IOCTL, KVM_CAP, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KVM_VCPU_TSC, STRUCT } from "./abi.ts";
import type { Libc } from "./libc.ts";
import { Statistics } from "./statistics.ts";

/** Where CPUID's leaves begin: basic, a hypervisor's, extended. */
const LEAF_GROUPS = [0, 0x4000_0000, 0x8000_0000];
/** Most leaves of a group that are told to KVM. */
const MAX_LEAVES = 0x20;
/** Leaves that answer by subleaf, and how many they have at most (SDM vol. 2, CPUID). */
const SUBLEAVES = new Map([[4, 4], [7, 2], [0xb, 3], [0xd, 10], [0x14, 2], [0x18, 2]]);
export class CpuSettings {
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #statistics: Statistics;

  constructor(libc: Libc, fd: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.#statistics = new Statistics(libc, fd);
  }

  setCpuid(cpuid: VcpuConfig["cpuid"]): void {
    const { kvm_cpuid2: head, kvm_cpuid_entry2: entry } = STRUCT;
    const entries: number[][] = [];
    for (const first of LEAF_GROUPS) {
      const [highest] = cpuid(first, 0);
      if (first !== 0 && (highest < first || highest - first > 0xffff)) {
        // Or KVM answers with the last basic leaf, as Intel's CPUs do.
        entries.push([first, 0, 0, 0, 0, 0, 0]);
        continue;
      }
      const last = Math.min(highest, first + MAX_LEAVES - 1);
      for (let leaf = first; leaf <= last; leaf++) {
        const many = SUBLEAVES.get(leaf);
        for (let subleaf = 0; subleaf < (many ?? 1); subleaf++) {
          const flags = many ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0;
          entries.push([leaf, subleaf, flags, ...cpuid(leaf, subleaf)]);
        }
      }
    }
    const view = new DataView(new ArrayBuffer(head.size + entries.length * entry.size));
    view.setUint32(head.fields.nent, entries.length, true);
    entries.forEach((values, n) => {
      const at = head.fields.entries + n * entry.size;
      values.forEach((value, field) => view.setUint32(at + 4 * field, value, true));
    });
    this.#with("KVM_SET_CPUID2", view);
  }

  /** KVM's own features are there as far as CPUID says so. */
  enforcePvFeatures(): void {
    const { size, fields } = STRUCT.kvm_enable_cap;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.cap, KVM_CAP.ENFORCE_PV_FEATURE_CPUID, true);
    view.setBigUint64(fields.args, 1n, true);
    this.#with("KVM_ENABLE_CAP", view);
  }

  #with(name: keyof typeof IOCTL, view: DataView<ArrayBuffer>): number {
    const bytes = new Uint8Array(view.buffer);
    return this.#libc.ioctlWith(this.#fd, IOCTL[name], bytes, name);
  }

  // ---- MSRs --------------------------------------------------------------------------------------------------------

  #msr(index: number, value = 0n): DataView<ArrayBuffer> {
    const { kvm_msrs: head, kvm_msr_entry: entry } = STRUCT;
    const view = new DataView(new ArrayBuffer(head.size + entry.size));
    view.setUint32(head.fields.nmsrs, 1, true);
    view.setUint32(head.fields.entries + entry.fields.index, index, true);
    view.setBigUint64(head.fields.entries + entry.fields.data, value, true);
    return view;
  }

  /** Undefined where KVM has none such. */
  getMsr(index: number): bigint | undefined {
    const view = this.#msr(index);
    if (this.#with("KVM_GET_MSRS", view) !== 1) return undefined;
    const { kvm_msrs: head, kvm_msr_entry: entry } = STRUCT;
    return view.getBigUint64(head.fields.entries + entry.fields.data, true);
  }

  setMsr(index: number, value: bigint): void {
    this.#with("KVM_SET_MSRS", this.#msr(index, value));
  }

  // ---- Debug registers ---------------------------------------------------------------------------------------------

  #debugRegisters(): DataView<ArrayBuffer> {
    const view = new DataView(new ArrayBuffer(STRUCT.kvm_debugregs.size));
    this.#with("KVM_GET_DEBUGREGS", view);
    return view;
  }

  debugRegister(number: number): bigint {
    return this.#debugRegisters().getBigUint64(debugRegisterAt(number), true);
  }

  setDebugRegister(number: number, value: bigint): void {
    const view = this.#debugRegisters();
    view.setBigUint64(debugRegisterAt(number), value, true);
    this.#with("KVM_SET_DEBUGREGS", view);
  }

  // ---- Time --------------------------------------------------------------------------------------------------------

  /** What the counter says now. Through its offset: KVM takes a value that is written for a try to synchronize CPUs. */
  setTimestamp(value: bigint): void {
    const now = this.getMsr(MSR.TSC);
    if (now !== undefined) this.timestampOffset += value - now;
  }

  /** By ticks, which are the board's nanoseconds. */
  advanceTimestamp(ticks: number): void {
    this.timestampOffset += BigInt(Math.round(ticks));
  }

  /** What the guest's counter is ahead of the host's. */
  get timestampOffset(): bigint {
    return this.#offset("KVM_GET_DEVICE_ATTR");
  }
  set timestampOffset(value: bigint) {
    this.#offset("KVM_SET_DEVICE_ATTR", value);
  }

  #offset(name: "KVM_GET_DEVICE_ATTR" | "KVM_SET_DEVICE_ATTR", value = 0n): bigint {
    const { size, fields } = STRUCT.kvm_device_attr;
    const offset = this.#libc.map(8);
    try {
      const view = new DataView(new ArrayBuffer(size));
      view.setUint32(fields.group, KVM_VCPU_TSC.CTRL, true);
      view.setBigUint64(fields.attr, BigInt(KVM_VCPU_TSC.OFFSET), true);
      view.setBigUint64(fields.addr, offset.address, true);
      const shown = new DataView(offset.bytes.buffer);
      shown.setBigUint64(0, BigInt.asUintN(64, value), true);
      this.#with(name, view);
      return shown.getBigUint64(0, true);
    } finally {
      offset.unmap();
    }
  }

  statistics(): Readonly<Record<string, number>> {
    return this.#statistics.read();
  }
}

function debugRegisterAt(number: number): number {
  const { db, dr6, dr7 } = STRUCT.kvm_debugregs.fields;
  return number === 6 ? dr6 : number === 7 ? dr7 : db + 8 * number;
}
