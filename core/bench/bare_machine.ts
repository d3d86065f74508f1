// One virtual CPU on /dev/kvm with nothing around it: no monitor, no devices, no trace. Costs are measured on it, so that
// they are those of KVM and of the way from Deno to it, and not of what trivisor does about an exit.
import { GENERAL_REGISTERS, type RegisterName, type Segment } from "../base/registers.ts";
import { hex } from "../base/hex.ts";
import {
  IOCTL,
  KVM_CAP,
  KVM_EXIT,
  KVM_MSR_EXIT_REASON,
  KVM_SYNC_X86,
  STRUCT,
} from "../engine/kvm/abi.ts";
import { Interrupter } from "../engine/kvm/interrupter.ts";
import { EINTR, type Mapping } from "../engine/kvm/libc.ts";
import { SharedRegisters } from "../engine/kvm/registers.ts";
import { Statistics } from "../engine/kvm/statistics.ts";
import type { KvmSystem } from "../engine/kvm/system.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import { bootState } from "../guest/boot.ts";
import { IDT_BASE, PAGE_TABLES_BASE, PAGE_TABLES_END, PROGRAM_BASE } from "../guest/layout.ts";
import { PTE } from "../guest/page_tables.ts";

/** Where KVM's helpers for real mode may live: below the ROM, where nothing else is (api.rst, KVM_SET_TSS_ADDR). */
const TSS_ADDRESS = 0xfeff_d000n;
/** A guest that is not back by then does not come back. */
const PATIENCE_MS = 5_000;
/** Segment attributes: the privilege level's bits, and a selector's. */
const DPL3 = 0x60, RPL3 = 3;
/**
 * Bytes of zeros behind the loader's TSS: an I/O map by which every port below 0x200 is free (SDM vol. 1, 19.5.2), for PVM, which
 * drops IOPL at CPL 3. QEMU in turn reads no map of a TSS that is busy, as every TSS in use is.
 */
const IO_MAP_BYTES = 0x41;
/** A 32-bit interrupt gate, present (SDM vol. 3, 6.11), of the boot loader's 32-bit code segment. */
const GATE = { bytes: 8, interrupt: 0x8e00 } as const;

/** More than any KVM has to say (KVM_MAX_CPUID_ENTRIES). */
const CPUID_ENTRIES = 256;

const RUN = STRUCT.kvm_run.fields;

export interface BareOptions {
  /** Bytes of RAM. */
  readonly memory: number;
  /** 32: flat, without paging, CPL 0. 64: long mode, CPL 3; ports below 0x200 are free, and all with IOPL 3. */
  readonly bits: 32 | 64;
  /** Are PIC, I/O APIC and local APIC in the kernel? */
  readonly irqchip?: boolean;
}

/** The machine; `dispose` it. */
export class BareMachine {
  /** The page shared with KVM. */
  readonly page: DataView;
  readonly registers: SharedRegisters;
  readonly ram: Mapping;
  readonly #system: KvmSystem;
  readonly #options: BareOptions;
  readonly #vm: number;
  readonly #cpu: number;
  readonly #run: Mapping;
  readonly #interrupter: Interrupter;
  #next = PROGRAM_BASE;
  #started = 0;

  constructor(system: KvmSystem, options: BareOptions) {
    this.#system = system;
    this.#options = options;
    const { libc } = system;
    this.#vm = system.createVm();
    libc.ioctl(this.#vm, IOCTL.KVM_SET_TSS_ADDR, TSS_ADDRESS, "KVM_SET_TSS_ADDR");
    if (options.irqchip) libc.ioctl(this.#vm, IOCTL.KVM_CREATE_IRQCHIP, 0, "KVM_CREATE_IRQCHIP");
    this.ram = libc.map(options.memory);
    this.ioctl("KVM_SET_USER_MEMORY_REGION", STRUCT.kvm_userspace_memory_region, {
      memory_size: BigInt(options.memory),
      userspace_addr: this.ram.address,
    });
    this.ioctl("KVM_ENABLE_CAP", STRUCT.kvm_enable_cap, {
      cap: KVM_CAP.X86_USER_SPACE_MSR,
      args: BigInt(KVM_MSR_EXIT_REASON.UNKNOWN | KVM_MSR_EXIT_REASON.INVAL),
    });
    this.#cpu = libc.ioctl(this.#vm, IOCTL.KVM_CREATE_VCPU, 0, "KVM_CREATE_VCPU");
    this.#identify(system);
    this.#run = libc.map(system.runSize, this.#cpu);
    this.page = new DataView(this.#run.bytes.buffer);
    this.registers = new SharedRegisters(this.page);
    this.#interrupter = Interrupter.of(libc);
    this.#interrupter.attach(this.#cpu);
    // What KVM has after its reset, to be changed where the boot state says so.
    this.fetch();
    this.#boot();
  }

  /** The CPU is what KVM can make of the host's: without that, it refuses what its features are for. */
  #identify({ libc, fd }: KvmSystem): void {
    const { kvm_cpuid2: table, kvm_cpuid_entry2: entry } = STRUCT;
    const bytes = new Uint8Array(table.size + CPUID_ENTRIES * entry.size);
    new DataView(bytes.buffer).setUint32(table.fields.nent, CPUID_ENTRIES, true);
    libc.ioctlWith(fd, IOCTL.KVM_GET_SUPPORTED_CPUID, bytes, "KVM_GET_SUPPORTED_CPUID");
    libc.ioctlWith(this.#cpu, IOCTL.KVM_SET_CPUID2, bytes, "KVM_SET_CPUID2");
  }

  /** An ioctl of the machine, by its structure's fields; numbers are 32 bits wide, bigints 64. */
  ioctl<F extends string>(
    name: keyof typeof IOCTL,
    { size, fields }: { readonly size: number; readonly fields: Readonly<Record<F, number>> },
    values: { readonly [K in F]?: number | bigint },
    of: "machine" | "cpu" = "machine",
  ): DataView {
    const view = new DataView(new ArrayBuffer(size));
    for (const key in values) {
      const value: number | bigint | undefined = values[key];
      if (typeof value === "bigint") view.setBigUint64(fields[key], value, true);
      else if (value !== undefined) view.setUint32(fields[key], value, true);
    }
    const fd = of === "cpu" ? this.#cpu : this.#vm;
    this.#system.libc.ioctlWith(fd, IOCTL[name], new Uint8Array(view.buffer), name);
    return view;
  }

  /** Kilohertz of the CPU's time stamp counter; 0: KVM does not say. */
  get tscKhz(): number {
    return this.#system.libc.ioctl(this.#cpu, IOCTL.KVM_GET_TSC_KHZ, 0, "KVM_GET_TSC_KHZ");
  }

  /** What KVM counts of the CPU. */
  statistics(): Statistics {
    return new Statistics(this.#system.libc, this.#cpu);
  }

  #boot(): void {
    const { bits, memory } = this.#options;
    const user = bits === 64;
    const state = bootState({
      entry: user ? "long64" : "protected32",
      platform: "bare",
      memory,
      placed: [],
      start: PROGRAM_BASE,
      free: PROGRAM_BASE,
      registers: {},
      symbols: {},
      lines: [],
      pvOps: [],
      disks: [],
    });
    for (const { address, bytes } of state.placed) this.ram.bytes.set(bytes, address);
    if (user) this.#openTables();
    const { registers } = this;
    for (const name of GENERAL_REGISTERS) registers.set(name, state.general[name] ?? 0n);
    for (const name of ["efer", "cr4", "cr3", "cr0"] as const) {
      registers.set(name, state.special[name] ?? 0n);
    }
    const forUser = (segment: Segment): Segment => ({
      ...segment,
      selector: segment.selector | RPL3,
      attributes: segment.attributes | DPL3,
    });
    for (const name of ["cs", "ss", "ds", "es", "fs", "gs"] as const) {
      const segment = state.segments[name];
      registers.setSegment(name, user ? forUser(segment) : segment);
    }
    const { tr } = state.segments;
    registers.setSegment("tr", { ...tr, limit: tr.limit + IO_MAP_BYTES });
    registers.setSegment("ldtr", state.segments.ldtr);
    registers.setDescriptorTable("gdtr", state.gdtr.base, state.gdtr.limit);
    registers.setDescriptorTable("idtr", state.idtr.base, state.idtr.limit);
  }

  /** What the loader's page tables map is the user's too. */
  #openTables(): void {
    const tables = new BigUint64Array(
      this.ram.bytes.buffer,
      PAGE_TABLES_BASE,
      (PAGE_TABLES_END - PAGE_TABLES_BASE) / BigUint64Array.BYTES_PER_ELEMENT,
    );
    tables.forEach((entry, n) => {
      if (entry & PTE.P) tables[n] = entry | PTE.US;
    });
  }

  /** Assembles a piece of program behind those that are there, and tells where it is. Throws if it does not assemble. */
  place(text: string): number {
    const at = this.#next;
    const { assembled, diagnostics } = assemble([sourceOfFile({ name: "loop.asm", text })], {
      bits: this.#options.bits,
      origin: at,
    });
    if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("; "));
    this.ram.bytes.set(assembled.bytes, at);
    // A page each: no loop is in the way of another.
    this.#next = at + (assembled.bytes.length + 0xfff & ~0xfff);
    return at;
  }

  /** The handler of an interrupt; 32-bit machines only. */
  gate(vector: number, handler: number): void {
    const at = IDT_BASE + vector * GATE.bytes;
    const view = new DataView(this.ram.bytes.buffer, at, GATE.bytes);
    view.setUint16(0, handler & 0xffff, true);
    view.setUint16(2, this.registers.segment("cs").selector, true);
    view.setUint16(4, GATE.interrupt, true);
    view.setUint16(6, handler >>> 16, true);
  }

  /** The registers of the next entry. */
  start(at: number, values: { readonly [R in RegisterName]?: bigint }): void {
    this.registers.set("rip", BigInt(at));
    for (const name of [...GENERAL_REGISTERS, "rflags", "cr0"] as const) {
      const value = values[name];
      if (value !== undefined) this.registers.set(name, value);
    }
    this.#started = performance.now();
    this.#interrupter.grant(PATIENCE_MS * 1e6);
  }

  /** Into the guest, and why it came back (`KVM_EXIT`). Throws where it does not. */
  enter(): number {
    this.#handOver();
    for (;;) {
      const errno = this.#system.libc.call(this.#cpu, IOCTL.KVM_RUN);
      if (errno === 0) return this.page.getUint32(RUN.exit_reason, true);
      if (errno !== EINTR) throw new Error(`KVM_RUN failed: error ${errno}`);
      this.#interrupter.taken();
      // A signal of an earlier run's timer is none of ours.
      if (performance.now() - this.#started > PATIENCE_MS / 2) {
        throw new Error("The guest does not come back");
      }
    }
  }

  /** Has KVM show the registers; it does so only when it is asked, as that costs at each exit. */
  fetch(): void {
    const { REGS, SREGS } = KVM_SYNC_X86;
    this.page.setBigUint64(RUN.kvm_valid_regs, BigInt(REGS | SREGS), true);
    this.bounce();
    this.page.setBigUint64(RUN.kvm_valid_regs, 0n, true);
  }

  #handOver(): void {
    const { registers } = this;
    if (!registers.dirty) return;
    this.page.setBigUint64(RUN.kvm_dirty_regs, BigInt(registers.dirty), true);
    registers.dirty = 0;
  }

  /** KVM_RUN that is told to come back before it enters the guest: what a kick costs at least. */
  bounce(): void {
    this.#handOver();
    this.page.setUint8(RUN.immediate_exit, 1);
    this.#system.libc.call(this.#cpu, IOCTL.KVM_RUN);
    this.page.setUint8(RUN.immediate_exit, 0);
  }

  /** What an exit that ends a measurement too early says. */
  describe(reason: number): string {
    const suberror = this.page.getUint32(RUN["internal.suberror"], true);
    this.fetch();
    const name = Object.entries(KVM_EXIT).find(([, number]) => number === reason)?.[0] ?? reason;
    const rip = hex(this.registers.get("rip"));
    if (reason !== KVM_EXIT.INTERNAL_ERROR) return `the guest left by KVM_EXIT_${name} at ${rip}`;
    return `KVM can't run it here: KVM_EXIT_INTERNAL_ERROR, suberror ${suberror}, at ${rip}`;
  }

  dispose(): void {
    const { libc } = this.#system;
    this.#interrupter.dispose();
    this.#run.unmap();
    libc.close(this.#cpu);
    libc.close(this.#vm);
    this.ram.unmap();
  }
}
