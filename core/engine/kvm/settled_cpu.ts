// The registers of a virtual CPU as a VMM sees them. KVM is another kind of machine than the contract describes in two points:
// RIP may be past the instruction that exited, and an access that is answered is done at the next entry only. Both are hidden
// here: until an exit is completed RIP is shown at its instruction, and whoever looks at registers afterwards makes KVM finish
// the instruction first, without running the guest (`settle`).
import type { RegisterName, Registers, Segment, SegmentName } from "../../base/registers.ts";
import { MSR } from "../../cpu/msr.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import type { VcpuConfig } from "../vcpu.ts";
import { IOCTL, KVM_EXIT_IO_OUT, STRUCT } from "./abi.ts";
import { GuestCode } from "./code.ts";
import type { Libc, Mapping } from "./libc.ts";
import type { KvmMachine } from "./machine.ts";
import { EVENTS_AT, REGS_AT, SharedRegisters, SREGS_AT } from "./registers.ts";
import { CpuSettings } from "./settings.ts";
import { type Place, Sites } from "./sites.ts";

const RUN = STRUCT.kvm_run.fields;
const RIP_AT = REGS_AT + STRUCT.kvm_regs.fields.rip;
const BASES = new Map<number, SegmentName>([[MSR.FS_BASE, "fs"], [MSR.GS_BASE, "gs"]]);

/** The exit that the VMM has in its hands. */
export interface Open {
  readonly kind: "io" | "memory" | "msr-read" | "msr-write" | "hlt" | "vmcall";
  readonly place: Place;
  /** Of a port access: elements that KVM handed over at once, and the one whose turn it is. */
  readonly elements: number;
  element: number;
}

export class SettledCpu {
  readonly memory: GuestMemory;
  protected readonly config: VcpuConfig;
  protected readonly machine: KvmMachine;
  protected readonly libc: Libc;
  protected readonly fd: number;
  protected readonly area: Mapping;
  protected readonly page: DataView;
  protected readonly file: SharedRegisters;
  protected readonly code: GuestCode;
  protected readonly sites: Sites;
  protected readonly settings: CpuSettings;
  protected handed: Open | undefined;
  /** KVM has to be entered for the last exit to be done. */
  protected unsettled = false;
  /** Finishing an instruction has brought the next exit. */
  protected exited = false;
  protected queued = false;
  protected started = false;
  /** It runs, on another thread: nothing can be asked of it but to come back. */
  protected away = false;

  constructor(machine: KvmMachine, config: VcpuConfig) {
    this.machine = machine;
    this.config = config;
    this.memory = machine.memory;
    const { libc, pvm } = machine.system;
    const { fd, shared } = machine.createVcpu();
    this.libc = libc;
    this.fd = fd;
    this.area = shared;
    this.page = new DataView(shared.bytes.buffer);
    this.file = new SharedRegisters(
      this.page,
      () => this.#fetch("KVM_GET_VCPU_EVENTS", EVENTS_AT),
    );
    this.code = new GuestCode(machine, this.file);
    this.sites = new Sites(this.file, this.code, pvm);
    this.settings = new CpuSettings(libc, this.fd);
    machine.interrupter.attach(this.fd);
    this.settings.setCpuid(config.cpuid);
    machine.system.setTscRate(fd);
    this.#fetch("KVM_GET_REGS", REGS_AT);
    this.#fetch("KVM_GET_SREGS", SREGS_AT);
  }

  #fetch(name: "KVM_GET_REGS" | "KVM_GET_SREGS" | "KVM_GET_VCPU_EVENTS", at: number): void {
    this.#assertHere();
    this.libc.ioctl(this.fd, IOCTL[name], this.area.address + BigInt(at), name);
  }

  /** The kernel would keep us waiting until it has come back, by itself. */
  #assertHere(): void {
    if (this.away) throw new Error("A CPU is asked for its state while it runs");
  }

  get(name: RegisterName): bigint {
    this.settle();
    if (name === "cr8") return this.page.getBigUint64(RUN.cr8, true);
    return this.file.get(name);
  }

  set(name: RegisterName, value: bigint): void {
    this.settle();
    if (name === "cr8") {
      this.page.setBigUint64(RUN.cr8, value, true);
      if (this.config.localApic) this.config.localApic.priorityClass = Number(value);
    }
    if (name === "rip" && this.isGivenUp) this.handed = undefined;
    this.file.set(name, value);
  }

  /** Does the instruction that exited count for nothing, once RIP is elsewhere? KVM completes an OUT or VMCALL only where it was. */
  protected get isGivenUp(): boolean {
    const kind = this.handed?.kind;
    const out = this.page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    return kind === "hlt" || kind === "vmcall" || kind === "io" && out;
  }

  segment(name: SegmentName): Segment {
    this.settle();
    return this.file.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.settle();
    this.file.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.settle();
    this.file.setDescriptorTable(name, base, limit);
  }
  getMsr(msr: number): bigint | undefined {
    this.settle();
    if (msr === MSR.EFER) return this.get("efer");
    const base = BASES.get(msr);
    return base ? this.segment(base).base : this.settings.getMsr(msr);
  }
  setMsr(msr: number, value: bigint): void {
    this.settle();
    const base = BASES.get(msr);
    // Of what is in the shared page, it is the page that KVM takes.
    if (msr === MSR.EFER) this.set("efer", value);
    else if (base) this.setSegment(base, { ...this.segment(base), base: value });
    else this.settings.setMsr(msr, value);
  }
  registers(): Registers {
    this.settle();
    const all = this.file.all();
    return { ...all, special: { ...all.special, cr8: this.get("cr8") } };
  }
  get cpl(): number {
    return this.file.cpl;
  }
  get bitness(): 16 | 32 | 64 {
    return this.file.bitness;
  }
  debugRegister(number: number): bigint {
    return this.settings.debugRegister(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.settings.setDebugRegister(number, value);
  }
  /** Who supplies shadow tables asks for them, and KVM takes none. */
  get pagePointers(): undefined {
    return undefined;
  }
  translate(linear: bigint): number | undefined {
    return this.code.translate(linear);
  }
  instructionBytes(): Uint8Array {
    this.settle();
    return this.code.bytes(this.file.linearRip);
  }

  /** In the page only: KVM keeps its own. */
  protected showRip(value: bigint): void {
    this.page.setBigUint64(RIP_AT, value, true);
  }
  protected showKernelRip(): void {
    const place = this.handed?.place;
    if (place && place.past > 0) this.showRip(place.kernelRip);
  }

  /** Hands over what has been changed, right before KVM_RUN. */
  protected handOver(): void {
    this.file.handOver();
    this.queued = this.unsettled = false;
  }

  /** KVM_RUN; the registers are current afterwards. */
  protected enter(): number {
    this.handOver();
    return this.libc.call(this.fd, IOCTL.KVM_RUN);
  }

  /** Makes KVM finish the instruction whose exit has been completed. */
  protected settle(): void {
    this.#assertHere();
    if (!this.unsettled || this.handed) return;
    this.page.setUint8(RUN.immediate_exit, 1);
    const errno = this.enter();
    this.page.setUint8(RUN.immediate_exit, 0);
    this.exited = errno === 0;
  }
}
