// One machine on /dev/kvm: its memory as KVM's slots, its CPUs' file descriptors, and what there is to configure before they
// run. Interrupt controllers are in the kernel only where that is asked for: the board's own devices have that part otherwise, so
// that they are what is tested.
import { PAGE_SIZE } from "../../base/address.ts";
import { ROM_END, ROM_LOW_BYTES, ROM_LOW_END } from "../../guest/layout.ts";
import { ByteMemory } from "../../machine/memory.ts";
import {
  IOCTL,
  KVM_CAP,
  KVM_MEM_READONLY,
  KVM_MSR_EXIT_REASON,
  KVM_MSR_FILTER,
  KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
  STRUCT,
} from "./abi.ts";
import type { KernelDoorbells } from "./doorbells.ts";
import { Interrupter } from "./interrupter.ts";
import { type ControllerOptions, KernelControllers } from "./irqchip.ts";
import type { Libc, Mapping } from "./libc.ts";
import type { CpuSettings } from "./settings.ts";
import type { KvmSystem } from "./system.ts";

/**
 * Three pages that Intel's CPUs need to run real mode where they can't do so unaided, and one for page tables: where nothing
 * else is, below any ROM and above the IOAPIC (api.rst, KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR).
 */
const IDENTITY_MAP = 0xfeff_c000n, TSS = 0xfeff_d000n;

/** Some MSRs in a row. */
interface MsrRange {
  readonly first: number;
  readonly count: number;
  /** Bit n: the kernel has MSR `first + n` all the same. */
  readonly kernel?: number;
}

/** MSRs that are the board's: KVM's own, which our monitor has by itself. Reads and writes of them exit. */
const BOARD_MSRS: readonly MsrRange[] = [{ first: 0x11, count: 2 }, {
  first: 0x4b56_4d00,
  count: 16,
}];
/** The same where local APICs are the kernel's: it ends their interrupts, and has MSR_KVM_PV_EOI_EN. */
const BOARD_MSRS_BUT_EOI: readonly MsrRange[] = BOARD_MSRS.map((range) =>
  range.count > 4 ? { ...range, kernel: 1 << 4 } : range
);
/** A local APIC's base and deadline. */
const APIC_MSRS: readonly MsrRange[] = [{ first: 0x1b, count: 1 }, { first: 0x6e0, count: 1 }];

/**
 * Where the guest would ask for a hypercall page. Nobody does, but Linux intercepts no hypercall as long as there is none
 * (kvm_xen_enabled in arch/x86/kvm/xen.h); it has to be among the synthetic ones (KVM_XEN_MSR_MAX_INDEX).
 */
const XEN_MSR = 0x4fff_ffff;

/** Of a filter's range, for 64 MSRs: KVM reads it in words of 8 bytes. */
const BITMAP_BYTES = 8;

/** A megabyte: what address line 20 tells apart. */
const MIB = 1 << 20;

export interface MachineOptions {
  /** Bytes of RAM, a multiple of the page size. */
  readonly size: number;
  readonly rom?: Uint8Array | undefined;
  /** Interrupt controllers in the kernel; absent: none. */
  readonly controllers?: ControllerOptions | undefined;
}

export class KvmMachine {
  readonly memory: ByteMemory;
  readonly interrupter: Interrupter;
  readonly #libc: Libc;
  readonly #vm: number;
  readonly #ram: Mapping;
  readonly #rom: Mapping | undefined;
  readonly #slots = new Set<number>();
  #a20 = true;
  readonly #mappings: Mapping[] = [];
  readonly #vcpus: number[] = [];
  #users = 0;
  /** Those that have been started: their time stamp counters go together. */
  readonly clocks: CpuSettings[] = [];
  /** Takes CPUs that run on other threads from their guest, and waits for it. */
  hold = (): void => {};
  /** Absent: what rings them leaves the guest. */
  doorbells: KernelDoorbells | undefined;
  /** Absent: they are the board's. */
  readonly controllers: KernelControllers | undefined;

  constructor(readonly system: KvmSystem, { size, rom, controllers }: MachineOptions) {
    this.#libc = system.libc;
    this.#vm = system.createVm();
    try {
      this.#mappings.push(this.#ram = system.libc.map(size));
      if (rom) {
        this.#rom = system.libc.map(Math.ceil(rom.length / PAGE_SIZE) * PAGE_SIZE);
        this.#mappings.push(this.#rom);
        this.#rom.bytes.set(rom, this.#rom.bytes.length - rom.length);
      }
      this.#configure(controllers?.localApics ? BOARD_MSRS_BUT_EOI : [...BOARD_MSRS, ...APIC_MSRS]);
      if (controllers) this.controllers = new KernelControllers(this, controllers);
      this.#mapAll();
      this.interrupter = Interrupter.of(system.libc);
    } catch (error) {
      this.controllers?.dispose();
      for (const mapping of this.#mappings) mapping.unmap();
      system.libc.close(this.#vm);
      throw error;
    }
    this.memory = new ByteMemory(this.#ram.bytes);
  }

  /** Guest-physical memory as it is, for those who walk tables. */
  get bytes(): Uint8Array {
    return this.#ram.bytes;
  }
  get rom(): Uint8Array | undefined {
    return this.#rom?.bytes;
  }

  #configure(ours: readonly MsrRange[]): void {
    const address = new Uint8Array(8);
    new DataView(address.buffer).setBigUint64(0, IDENTITY_MAP, true);
    this.ioctlWith("KVM_SET_IDENTITY_MAP_ADDR", address);
    this.#libc.ioctl(this.#vm, IOCTL.KVM_SET_TSS_ADDR, TSS, "KVM_SET_TSS_ADDR");
    const { UNKNOWN, INVAL, FILTER } = KVM_MSR_EXIT_REASON;
    this.enable(KVM_CAP.X86_USER_SPACE_MSR, UNKNOWN | INVAL | FILTER);
    this.#filterMsrs(ours);
    if (this.system.showsHypercalls) this.#interceptHypercalls();
  }

  /** Without a page of Xen's: just the exit. */
  #interceptHypercalls(): void {
    const { size, fields } = STRUCT.kvm_xen_hvm_config;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.flags, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, true);
    view.setUint32(fields.msr, XEN_MSR, true);
    this.ioctlWith("KVM_XEN_HVM_CONFIG", new Uint8Array(view.buffer));
  }

  enable(capability: number, argument: number): void {
    const { size, fields } = STRUCT.kvm_enable_cap;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.cap, capability, true);
    view.setBigUint64(fields.args, BigInt(argument), true);
    this.ioctlWith("KVM_ENABLE_CAP", new Uint8Array(view.buffer));
  }

  #filterMsrs(ours: readonly MsrRange[]): void {
    const { kvm_msr_filter: filter, kvm_msr_filter_range: range } = STRUCT;
    const view = new DataView(new ArrayBuffer(filter.size));
    // A clear bit refuses. Mapped, so that its address is known and stays.
    const bitmap = this.#libc.map(PAGE_SIZE);
    const bits = new DataView(bitmap.bytes.buffer);
    ours.forEach(({ first, count, kernel = 0 }, n) => {
      const own = BITMAP_BYTES * n;
      bits.setUint32(own, kernel, true);
      const at = filter.fields.ranges + n * range.size;
      view.setUint32(at + range.fields.flags, KVM_MSR_FILTER.READ | KVM_MSR_FILTER.WRITE, true);
      view.setUint32(at + range.fields.nmsrs, count, true);
      view.setUint32(at + range.fields.base, first, true);
      view.setBigUint64(at + range.fields.bitmap, bitmap.address + BigInt(own), true);
    });
    try {
      this.ioctlWith("KVM_X86_SET_MSR_FILTER", new Uint8Array(view.buffer));
    } finally {
      bitmap.unmap();
    }
  }

  ioctlWith(name: keyof typeof IOCTL, structure: Uint8Array<ArrayBuffer>): number {
    return this.#libc.ioctlWith(this.#vm, IOCTL[name], structure, name);
  }
  ioctlPlain(name: keyof typeof IOCTL): void {
    this.#libc.ioctl(this.#vm, IOCTL[name], 0, name);
  }

  // ---- Memory ------------------------------------------------------------------------------------------------------

  #mapAll(): void {
    const size = this.#ram.bytes.length;
    let slot = 0;
    const map = (gpa: number, length: number, host: bigint, flags = 0) => {
      if (length > 0) this.#slot(slot++, gpa, length, host, flags);
    };
    const ram = (gpa: number, end: number, flags = 0) =>
      map(gpa, Math.min(end, size) - gpa, this.#ram.address + BigInt(gpa), flags);
    if (this.#a20) {
      // The ROM's end shows below 1 MiB too, where it can't be written either.
      const low = this.#rom ? Math.min(this.#rom.bytes.length, ROM_LOW_BYTES) : 0;
      ram(0, ROM_LOW_END - low);
      if (low > 0) ram(ROM_LOW_END - low, ROM_LOW_END, KVM_MEM_READONLY);
      ram(low > 0 ? ROM_LOW_END : Math.min(size, ROM_LOW_END), size);
    } else {
      for (let gpa = 0; gpa < size; gpa += 2 * MIB) {
        const host = this.#ram.address + BigInt(gpa);
        map(gpa, Math.min(MIB, size - gpa), host);
        map(gpa + MIB, Math.min(MIB, size - gpa - MIB), host);
      }
    }
    if (this.#rom) {
      const { bytes, address } = this.#rom;
      map(ROM_END - bytes.length, bytes.length, address, KVM_MEM_READONLY);
    }
  }

  #slot(slot: number, gpa: number, length: number, host: bigint, flags = 0): void {
    const { size, fields } = STRUCT.kvm_userspace_memory_region;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.slot, slot, true);
    view.setUint32(fields.flags, flags, true);
    view.setBigUint64(fields.guest_phys_addr, BigInt(gpa), true);
    view.setBigUint64(fields.memory_size, BigInt(length), true);
    view.setBigUint64(fields.userspace_addr, host, true);
    this.ioctlWith("KVM_SET_USER_MEMORY_REGION", new Uint8Array(view.buffer));
    if (length > 0) this.#slots.add(slot);
    else this.#slots.delete(slot);
  }

  get a20(): boolean {
    return this.#a20;
  }
  /** KVM has no gate: while it is closed, every odd megabyte shows the even one before. */
  set a20(open: boolean) {
    if (open === this.#a20) return;
    this.#a20 = open;
    this.forgetTables();
  }

  /** Has KVM drop all that it has made of memory and of the guest's page tables there. */
  forgetTables(): void {
    // Or they would find no memory meanwhile.
    this.hold();
    for (const slot of this.#slots) this.#slot(slot, 0, 0, 0n);
    this.#mapAll();
  }

  // ---- CPUs --------------------------------------------------------------------------------------------------------

  /** A new CPU: its file descriptor, and the area that it shares with KVM. */
  createVcpu(): { readonly fd: number; readonly shared: Mapping } {
    const { length: number } = this.#vcpus;
    const fd = this.#libc.ioctlOpening(this.#vm, IOCTL.KVM_CREATE_VCPU, number, "KVM_CREATE_VCPU");
    this.#vcpus.push(fd);
    this.#users++;
    const shared = this.#libc.map(this.system.runSize, fd);
    this.#mappings.push(shared);
    return { fd, shared };
  }

  /** A CPU is not used any more; with the last one the machine goes. */
  release(): void {
    if (--this.#users === 0) this.dispose();
  }

  dispose(): void {
    this.hold();
    this.interrupter.dispose();
    this.doorbells?.dispose();
    this.controllers?.dispose();
    for (const mapping of this.#mappings.splice(0)) mapping.unmap();
    for (const fd of this.#vcpus.splice(0)) this.#libc.close(fd);
    this.#libc.close(this.#vm);
  }
}
