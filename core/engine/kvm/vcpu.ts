// A virtual CPU of KVM's behind the engines' contract. KVM is another kind of machine than the contract describes in two
// points: RIP may be past the instruction that exited, and an access that is answered is done at the next entry only. Both
// are hidden here: until an exit is completed RIP is shown at its instruction, and whoever looks at registers afterwards makes
// KVM finish the instruction first, without running the guest (`#settle`).
import type { RegisterName, Registers, Segment, SegmentName } from "../../base/registers.ts";
import { EFER, RFLAGS } from "../../base/registers.ts";
import { MSR } from "../../cpu/msr.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { disassemble } from "../../trace/disassemble.ts";
import type { Exit, ExitKind } from "../../trace/exit.ts";
import { EngineFailure, SubjectLacks } from "../lacks.ts";
import type { Capabilities, Event, ExecutionControls, Stop, Vcpu, VcpuConfig } from "../vcpu.ts";
import {
  IOCTL,
  KVM_EXIT,
  KVM_EXIT_IO_OUT,
  KVM_INTERNAL_ERROR_EMULATION,
  KVM_MSR_EXIT_REASON,
  KVM_SYNC_X86,
  KVM_VCPUEVENT_VALID,
  STRUCT,
} from "./abi.ts";
import { GuestCode, MAX_INSTRUCTION } from "./code.ts";
import { CpuSettings } from "./settings.ts";
import { EINTR, type Libc, type Mapping } from "./libc.ts";
import type { KvmMachine } from "./machine.ts";
import { emulationGap, HYPERCALL_GAP, isHypercall, shutdownGap } from "./pvm.ts";
import { EVENTS_AT, REGS_AT, SharedRegisters, SREGS_AT } from "./registers.ts";
import { type Site, Sites } from "./sites.ts";
import { initialState } from "./initial_state.ts";

const EXIT_KINDS: readonly ExitKind[] = [
  "io",
  "ept-violation",
  "hlt",
  "interrupt-window",
  "triple-fault",
];
const CAPABILITIES: Capabilities = {
  exits: "exact",
  // MSR accesses are not among them: the kernel does most by itself.
  exitKinds: EXIT_KINDS,
  deterministic: false,
  singleStep: false,
  controls: false,
};
const SHOWING_HYPERCALLS: Capabilities = { ...CAPABILITIES, exitKinds: [...EXIT_KINDS, "vmcall"] };

const RUN = STRUCT.kvm_run.fields;
const BUDGET: Stop = { reason: "budget" };
const NO_BYTES = new Uint8Array();
const BASES = new Map<number, SegmentName>([[MSR.FS_BASE, "fs"], [MSR.GS_BASE, "gs"]]);
/** Bytes of VMCALL and VMMCALL. */
const HYPERCALL_LENGTH = 3;
const HLT_BYTES = Uint8Array.of(0xf4);

/** The exit that the VMM has in its hands. */
interface Open {
  readonly kind: "io" | "memory" | "msr-read" | "msr-write" | "hlt" | "vmcall";
  /** What RIP is for KVM. */
  readonly kernelRip: bigint;
  /** Of a string instruction: elements that KVM handed over at once, and the one whose turn it is. */
  readonly elements?: number;
  readonly string?: boolean;
  element: number;
  readonly site: Site;
}

export class KvmVcpu implements Vcpu {
  readonly capabilities: Capabilities;
  readonly memory: GuestMemory;
  readonly retired = 0;
  readonly #config: VcpuConfig;
  readonly #machine: KvmMachine;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #shared: Mapping;
  readonly #page: DataView;
  readonly #registers: SharedRegisters;
  readonly #code: GuestCode;
  readonly #sites: Sites;
  readonly #settings: CpuSettings;
  #open: Open | undefined;
  /** KVM has to be entered for the last exit to be done. */
  #unsettled = false;
  /** Finishing an instruction has brought the next exit. */
  #exited = false;
  #queued = false;
  #started = false;

  constructor(machine: KvmMachine, config: VcpuConfig) {
    this.#machine = machine;
    this.#config = config;
    this.memory = machine.memory;
    this.capabilities = machine.system.showsHypercalls ? SHOWING_HYPERCALLS : CAPABILITIES;
    const { libc, pvm } = machine.system;
    const { fd, shared } = machine.createVcpu();
    this.#libc = libc;
    this.#fd = fd;
    this.#shared = shared;
    this.#page = new DataView(shared.bytes.buffer);
    this.#registers = new SharedRegisters(this.#page);
    this.#code = new GuestCode(machine, this.#registers);
    this.#sites = new Sites(this.#registers, this.#code, pvm);
    this.#settings = new CpuSettings(libc, this.#fd);
    this.setControls(config.controls);
    machine.interrupter.attach(this.#fd);
    this.#settings.setCpuid(config.cpuid);
    machine.system.setTscRate(fd);
    this.#fetch("KVM_GET_REGS", REGS_AT);
    this.#fetch("KVM_GET_SREGS", SREGS_AT);
    this.#fetch("KVM_GET_VCPU_EVENTS", EVENTS_AT);
    const { REGS, SREGS, EVENTS } = KVM_SYNC_X86;
    this.#page.setBigUint64(RUN.kvm_valid_regs, BigInt(REGS | SREGS | EVENTS), true);
    this.init();
  }

  #fetch(name: "KVM_GET_REGS" | "KVM_GET_SREGS" | "KVM_GET_VCPU_EVENTS", at: number): void {
    this.#libc.ioctl(this.#fd, IOCTL[name], this.#shared.address + BigInt(at), name);
  }

  inlined(): Record<string, number> {
    return {};
  }

  // ---- Registers ---------------------------------------------------------------------------------------------------

  get(name: RegisterName): bigint {
    this.#settle();
    if (name === "cr8") return this.#page.getBigUint64(RUN.cr8, true);
    return this.#registers.get(name);
  }

  set(name: RegisterName, value: bigint): void {
    this.#settle();
    if (name === "cr8") {
      this.#page.setBigUint64(RUN.cr8, value, true);
      if (this.#config.localApic) this.#config.localApic.priorityClass = Number(value);
    }
    if (name === "rip" && this.#isGivenUp) this.#open = undefined;
    this.#registers.set(name, value);
  }

  /** Does the instruction that exited count for nothing, once RIP is elsewhere? KVM completes an OUT or VMCALL only where it was. */
  get #isGivenUp(): boolean {
    const kind = this.#open?.kind;
    const out = this.#page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    return kind === "hlt" || kind === "vmcall" || kind === "io" && out;
  }

  segment(name: SegmentName): Segment {
    this.#settle();
    return this.#registers.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.#settle();
    this.#registers.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.#settle();
    this.#registers.setDescriptorTable(name, base, limit);
  }
  getMsr(msr: number): bigint | undefined {
    this.#settle();
    if (msr === MSR.EFER) return this.get("efer");
    const base = BASES.get(msr);
    return base ? this.segment(base).base : this.#settings.getMsr(msr);
  }
  setMsr(msr: number, value: bigint): void {
    this.#settle();
    const base = BASES.get(msr);
    // Of what is in the shared page, it is the page that KVM takes.
    if (msr === MSR.EFER) this.set("efer", value);
    else if (base) this.setSegment(base, { ...this.segment(base), base: value });
    else this.#settings.setMsr(msr, value);
  }
  registers(): Registers {
    this.#settle();
    const all = this.#registers.all();
    return { ...all, special: { ...all.special, cr8: this.get("cr8") } };
  }
  get cpl(): number {
    return this.#registers.cpl;
  }
  get bitness(): 16 | 32 | 64 {
    return this.#registers.bitness;
  }
  debugRegister(number: number): bigint {
    return this.#settings.debugRegister(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.#settings.setDebugRegister(number, value);
  }
  get pagePointers(): undefined {
    return undefined;
  }
  translate(linear: bigint): number | undefined {
    return this.#code.translate(linear);
  }
  instructionBytes(): Uint8Array {
    this.#settle();
    return this.#code.bytes(this.#linearRip());
  }

  #linearRip(): bigint {
    const { codeBase } = this.#registers;
    const rip = this.#registers.get("rip");
    return codeBase === 0n ? rip : BigInt.asUintN(64, codeBase + rip);
  }

  /** x87 errors without CR0.NE are not told of by KVM. */
  watchFloatErrors(): void {}

  // ---- Running -----------------------------------------------------------------------------------------------------

  run(_budget: number, nanoseconds?: number): Stop {
    const { localApic } = this.#config;
    const open = this.#open;
    if (open) {
      if (open.elements !== undefined && open.element < open.elements) return this.#element(open);
      // Not skipped: it is tried again.
      if (open.kind === "hlt") this.#registers.dirty |= KVM_SYNC_X86.REGS;
      else if (open.kind === "vmcall") this.#refuseHypercall();
      else this.#showKernelRip();
      this.#open = undefined;
    }
    if (this.#exited) {
      this.#exited = false;
      return this.#stop();
    }
    if (!this.#started) {
      this.#started = true;
      this.#settings.setTimestamp(this.#config.timestamp());
    }
    if (nanoseconds !== undefined) this.#machine.interrupter.grant(nanoseconds);
    if (localApic) this.#page.setBigUint64(RUN.cr8, BigInt(localApic.priorityClass), true);
    const errno = this.#enter();
    if (localApic) localApic.priorityClass = Number(this.#page.getBigUint64(RUN.cr8, true));
    if (errno === 0) return this.#stop();
    if (errno !== EINTR) throw new EngineFailure(`KVM_RUN failed with error ${errno}`);
    this.#machine.interrupter.taken();
    if (this.#machine.system.pvm && isHypercall(this.#code.bytes(this.#linearRip(), 3))) {
      throw new SubjectLacks(HYPERCALL_GAP);
    }
    return BUDGET;
  }

  /** KVM_RUN with what has been changed; the registers are current afterwards. */
  #enter(): number {
    const { dirty } = this.#registers;
    if (dirty !== 0) this.#page.setUint32(RUN.kvm_dirty_regs, dirty, true);
    this.#registers.dirty = 0;
    this.#queued = this.#unsettled = false;
    return this.#libc.call(this.#fd, IOCTL.KVM_RUN);
  }

  /** Makes KVM finish the instruction whose exit has been completed. */
  #settle(): void {
    if (!this.#unsettled || this.#open) return;
    this.#page.setUint8(RUN.immediate_exit, 1);
    const errno = this.#enter();
    this.#page.setUint8(RUN.immediate_exit, 0);
    this.#exited = errno === 0;
  }

  /** What KVM_RUN came back with. */
  #stop(): Stop {
    const page = this.#page;
    const reason = page.getUint32(RUN.exit_reason, true);
    switch (reason) {
      case KVM_EXIT.IO:
        return this.#port();
      case KVM_EXIT.MMIO:
        return this.#deviceMemory();
      case KVM_EXIT.HLT:
        return this.#hlt();
      case KVM_EXIT.XEN:
        return this.#hypercall();
      case KVM_EXIT.X86_RDMSR:
      case KVM_EXIT.X86_WRMSR:
        return this.#msr(reason === KVM_EXIT.X86_WRMSR);
      case KVM_EXIT.IRQ_WINDOW_OPEN:
        return this.#exit("interrupt-window", {}, NO_BYTES);
      case KVM_EXIT.SHUTDOWN:
        return this.#shutdown();
      case KVM_EXIT.INTR:
      case KVM_EXIT.SET_TPR:
        return BUDGET;
      default:
        throw this.#failure(reason);
    }
  }

  #exit<K extends ExitKind>(
    kind: K,
    detail: Extract<Exit, { kind: K }>["detail"],
    bytes: Uint8Array,
  ): Stop {
    const exit = {
      kind,
      via: "vm-exit",
      rip: this.#linearRip(),
      bytes,
      bitness: this.#registers.bitness,
      detail,
    };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  /** The VMM has an exit: RIP is shown at its instruction. */
  #hand(kind: Open["kind"], site: Site, elements?: number): Open {
    const kernelRip = this.#registers.get("rip");
    if (site.past > 0) this.#showRip(kernelRip - BigInt(site.past));
    const { string } = site;
    return this.#open = {
      kind,
      kernelRip,
      element: 0,
      site,
      string,
      ...(elements === undefined ? {} : { elements }),
    };
  }

  /** In the page only: KVM keeps its own. */
  #showRip(value: bigint): void {
    const width = this.#registers.bitness === 64 ? 64 : 32;
    this.#page.setBigUint64(
      REGS_AT + STRUCT.kvm_regs.fields.rip,
      BigInt.asUintN(width, value),
      true,
    );
  }
  #showKernelRip(): void {
    if (this.#open && this.#open.site.past > 0) this.#showRip(this.#open.kernelRip);
  }

  #port(): Stop {
    const page = this.#page;
    const out = page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    const size = page.getUint8(RUN["io.size"]);
    const port = page.getUint16(RUN["io.port"], true);
    const site = this.#sites.port(this.#linearRip(), { out, size, port });
    return this.#element(this.#hand("io", site, page.getUint32(RUN["io.count"], true)));
  }

  #element({ element, site: { bytes, string } }: Open): Stop {
    const page = this.#page;
    const out = page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    const size = page.getUint8(RUN["io.size"]);
    const port = page.getUint16(RUN["io.port"], true);
    const at = this.#dataAt(element, size);
    const value = !out
      ? 0
      : size === 1
      ? page.getUint8(at)
      : size === 2
      ? page.getUint16(at, true)
      : page.getUint32(at, true);
    const direction = out ? "out" : "in";
    return this.#exit(
      "io",
      { port, direction, size, value, ...(string ? { string } : {}) },
      bytes,
    );
  }

  #dataAt(element: number, size: number): number {
    return this.#page.getUint32(RUN["io.data_offset"], true) + element * size;
  }

  #deviceMemory(): Stop {
    const page = this.#page;
    const gpa = Number(page.getBigUint64(RUN["mmio.phys_addr"], true));
    const size = page.getUint32(RUN["mmio.len"], true);
    const write = page.getUint8(RUN["mmio.is_write"]) !== 0;
    const value = write ? BigInt.asUintN(8 * size, page.getBigUint64(RUN["mmio.data"], true)) : 0n;
    const site = this.#sites.memory(this.#linearRip(), { gpa, size, write });
    this.#hand("memory", site);
    return this.#exit(
      "ept-violation",
      { gpa, access: write ? "write" : "read", size, value },
      site.bytes,
    );
  }

  #hlt(): Stop {
    this.#hand("hlt", { past: 1, bytes: HLT_BYTES, string: false });
    return this.#exit("hlt", {}, HLT_BYTES);
  }

  #hypercall(): Stop {
    const bytes = this.#code.bytes(this.#linearRip(), HYPERCALL_LENGTH);
    this.#hand("vmcall", { past: 0, bytes, string: false });
    return this.#exit("vmcall", { number: this.#registers.get("rax") }, bytes);
  }

  /** KVM would answer the guest and go on behind the instruction, unless RIP is elsewhere by then. */
  #refuseHypercall(): void {
    this.#open = undefined;
    const rip = this.#registers.get("rip");
    this.#registers.set("rip", rip + BigInt(HYPERCALL_LENGTH));
    this.#unsettled = true;
    this.#settle();
    this.#registers.set("rip", rip);
  }

  #msr(write: boolean): Stop {
    const msr = this.#page.getUint32(RUN["msr.index"], true);
    const reason = this.#page.getUint32(RUN["msr.reason"], true);
    this.#hand(write ? "msr-write" : "msr-read", { past: 0, bytes: NO_BYTES, string: false });
    const { writableMsrs } = this.#config.controls.intercepts ?? {};
    if (reason === KVM_MSR_EXIT_REASON.INVAL && writableMsrs?.has(msr)) {
      // The guest's own, with a value that the kernel has refused: no more an exit than where the hardware does it.
      this.#answerMsr(0n, true);
      return BUDGET;
    }
    const bytes = this.#code.bytes(this.#linearRip(), 2);
    if (!write) return this.#exit("msr-read", { msr }, bytes);
    return this.#exit(
      "msr-write",
      { msr, value: this.#page.getBigUint64(RUN["msr.data"], true) },
      bytes,
    );
  }

  #shutdown(): Stop {
    if (this.#machine.system.pvm) this.#explainShutdown();
    return this.#exit("triple-fault", {}, NO_BYTES);
  }

  /** A triple fault that PVM makes of what it has not. */
  #explainShutdown(): void {
    const rip = this.#linearRip();
    const { cpl, bitness } = this.#registers;
    const long = (this.#registers.get("efer") & BigInt(EFER.LMA)) !== 0n;
    const entry = this.#settings.getMsr(MSR.LSTAR);
    const instruction = disassemble(this.#code.bytes(rip), bitness, rip);
    const gap = shutdownGap({ instruction, cpl, long, entered: rip === entry });
    if (gap) throw new SubjectLacks(gap);
  }

  #failure(reason: number): Error {
    const page = this.#page;
    if (reason === KVM_EXIT.FAIL_ENTRY) {
      const why = page.getBigUint64(RUN["fail_entry.hardware_entry_failure_reason"], true);
      return new EngineFailure(`The CPU refused the guest's state: reason 0x${why.toString(16)}`);
    }
    if (reason !== KVM_EXIT.INTERNAL_ERROR) {
      return new EngineFailure(`KVM left the guest for reason ${reason}, which nothing asked for`);
    }
    const suberror = page.getUint32(RUN["internal.suberror"], true);
    const rip = this.#linearRip();
    const bytes = this.#code.bytes(rip, MAX_INSTRUCTION);
    const instruction = disassemble(bytes, this.#registers.bitness, rip);
    if (this.#machine.system.pvm && suberror === KVM_INTERNAL_ERROR_EMULATION) {
      return new SubjectLacks(emulationGap(instruction));
    }
    const at = instruction ? ` at ${instruction}` : "";
    return new EngineFailure(`KVM failed with internal error ${suberror}${at}`);
  }

  // ---- After an exit -----------------------------------------------------------------------------------------------

  complete(value = 0n): void {
    const open = this.#open;
    if (!open) throw new Error("Nothing to complete");
    const page = this.#page;
    if (open.kind === "memory") {
      page.setBigUint64(RUN["mmio.data"], value, true);
      this.#close();
      return;
    }
    if (page.getUint8(RUN["io.direction"]) !== KVM_EXIT_IO_OUT) {
      const size = page.getUint8(RUN["io.size"]);
      const at = this.#dataAt(open.element, size);
      if (size === 1) page.setUint8(at, Number(value & 0xffn));
      else if (size === 2) page.setUint16(at, Number(value & 0xffffn), true);
      else page.setUint32(at, Number(value & 0xffffffffn), true);
    }
    if (++open.element >= (open.elements ?? 1)) this.#close();
  }

  #close(): void {
    this.#showKernelRip();
    this.#unsettled = this.#open?.kind !== "hlt";
    this.#open = undefined;
  }

  get midway(): boolean {
    return this.#exited || this.#open?.kind === "io" && this.#open.element > 0;
  }

  skip(): void {
    const { kind } = this.#open ?? {};
    if (kind === "msr-read") {
      const half = (name: "rax" | "rdx") => this.#registers.get(name) & 0xffffffffn;
      this.#answerMsr(half("rdx") << 32n | half("rax"));
    } else if (kind === "msr-write") this.#answerMsr();
    else if (kind === "hlt") this.#close();
    else if (kind === "vmcall") this.set("rip", this.get("rip") + BigInt(HYPERCALL_LENGTH));
  }

  /** KVM goes on with the value, or gives the guest #GP. */
  #answerMsr(value = 0n, error = false): void {
    this.#page.setBigUint64(RUN["msr.data"], value, true);
    this.#page.setUint8(RUN["msr.error"], error ? 1 : 0);
    this.#close();
  }

  emulate(): Event | undefined {
    const { localApic } = this.#config;
    const { kind } = this.#open ?? {};
    const msr = this.#page.getUint32(RUN["msr.index"], true);
    if (kind === "msr-read") {
      const value = localApic?.readMsr(msr);
      if (value === undefined) return GENERAL_PROTECTION;
      this.#answerMsr(value);
      return undefined;
    }
    if (kind === "msr-write") {
      if (!localApic?.writeMsr(msr, this.#page.getBigUint64(RUN["msr.data"], true))) {
        return GENERAL_PROTECTION;
      }
      this.#answerMsr();
      return undefined;
    }
    throw new Error("KVM does by itself what there would be to emulate");
  }

  inject(event: Event): void {
    const { kind } = this.#open ?? {};
    if (kind === "vmcall") this.#refuseHypercall();
    if (kind === "msr-read" || kind === "msr-write") {
      if (event !== GENERAL_PROTECTION && event.vector !== GENERAL_PROTECTION.vector) {
        throw new Error("An MSR access that exits on KVM ends well or with #GP");
      }
      this.#answerMsr(0n, true);
      return;
    }
    this.#settle();
    const registers = this.#registers;
    switch (event.type) {
      case "exception":
        registers.setEvent("exception.injected", 1);
        registers.setEvent("exception.nr", event.vector);
        registers.setEvent("exception.has_error_code", event.errorCode === undefined ? 0 : 1);
        registers.setErrorCode(event.errorCode ?? 0);
        if (event.address !== undefined) registers.set("cr2", event.address);
        break;
      case "nmi":
        registers.setEvent("nmi.injected", 1);
        break;
      case "external-interrupt":
      case "software-interrupt":
        registers.setEvent("interrupt.injected", 1);
        registers.setEvent("interrupt.nr", event.vector);
        registers.setEvent("interrupt.soft", event.type === "software-interrupt" ? 1 : 0);
        break;
    }
    this.#queued = true;
  }

  nmi(): void {
    this.#settle();
    this.#registers.setEvent("nmi.pending", 1);
    const at = EVENTS_AT + STRUCT.kvm_vcpu_events.fields.flags;
    const flags = this.#page.getUint32(at, true);
    this.#page.setUint32(at, flags | KVM_VCPUEVENT_VALID.NMI_PENDING, true);
  }

  get eventPending(): boolean {
    return this.#registers.event("nmi.pending") !== 0;
  }

  get interruptible(): boolean {
    if (this.midway) return false;
    this.#settle();
    const registers = this.#registers;
    if (this.#exited || this.#queued || !(registers.get("rflags") & BigInt(RFLAGS.IF))) {
      return false;
    }
    return registers.event("interrupt.shadow") === 0 &&
      registers.event("interrupt.injected") === 0 && registers.event("nmi.injected") === 0 &&
      registers.event("exception.injected") === 0;
  }

  requestInterruptWindow(wanted: boolean): void {
    this.#page.setUint8(RUN.request_interrupt_window, wanted ? 1 : 0);
  }

  // ---- Controls ----------------------------------------------------------------------------------------------------

  setControls(controls: ExecutionControls): void {
    if (controls.paging !== "nested") {
      throw new Error("KVM has its own page tables below the guest's");
    }
    if (controls.exceptions !== 0) throw new Error("KVM keeps the guest's exceptions to itself");
  }
  setShadow(): never {
    throw new Error("KVM takes no shadow page tables");
  }
  callOutAt(): never {
    throw new Error("KVM translates nothing");
  }
  emulateStore(): never {
    throw new Error("KVM protects no page of the guest's");
  }
  /** KVM looks at the guest's tables, or watches what the guest does to them; what we do, PVM does not see. */
  flush(): void {
    if (this.#machine.system.pvm) this.#machine.forgetTables();
  }

  get a20(): boolean {
    return this.#machine.a20;
  }
  set a20(open: boolean) {
    this.#machine.a20 = open;
  }

  init(): void {
    initialState(this);
    const registers = this.#registers;
    for (const field of ["exception.injected", "interrupt.injected", "nmi.injected"] as const) {
      registers.setEvent(field, 0);
    }
    for (const field of ["nmi.pending", "nmi.masked", "interrupt.shadow"] as const) {
      registers.setEvent(field, 0);
    }
    this.#open = undefined;
    this.#queued = false;
  }

  skipTime(nanoseconds: number): void {
    if (this.#started) this.#settings.advanceTimestamp(nanoseconds);
  }

  statistics(): Readonly<Record<string, number>> {
    return this.#settings.statistics();
  }

  dispose(): void {
    this.#machine.release();
  }
}

const GENERAL_PROTECTION: Event = { type: "exception", vector: 13, errorCode: 0 };
