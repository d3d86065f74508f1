// A virtual CPU for guests that run deprivileged, on one that only knows ordinary guests: kernel and processes at CPL 3, on the
// guest's own page tables, and every exception, INT n and SYSCALL comes to the VMM. The shim brings them; to the VMM they look as
// on an engine that has these controls itself, but for RCX and R11 at a SYSCALL, which it has overwritten.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { type RegisterName, type Registers, RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Segment, SegmentName } from "../../base/registers.ts";
import { dplOf } from "../../cpu/descriptors.ts";
import { MSR } from "../../cpu/msr.ts";
import { XEN_HYPERCALL_PAGE } from "../../guest/layout.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import type { Exit } from "../../trace/exit.ts";
import { EngineFailure } from "../lacks.ts";
import type { Capabilities, Event, ExecutionControls, Stop, Vcpu } from "../vcpu.ts";
import { AddressSpace } from "./address_space.ts";
import { type Arrival, arrive } from "./arrival.ts";
import { exitOf } from "./exits.ts";
import { GATE_BYTES, type HypercallGate, type SystemCalls } from "./gate.ts";
import { GuestRam } from "./guest_ram.ts";
import { GuestState } from "./guest_state.ts";
import { DOORBELL_PORT, GDT_LIMIT, HYPERCALL_PORT, PAGE, Shim } from "./shim.ts";

/** RFLAGS on entry to the shim by SYSCALL: none of what could interrupt it. */
const CLEARED_BY_SYSCALL = BigInt(
  RFLAGS.TF | RFLAGS.IF | RFLAGS.DF | RFLAGS.IOPL | RFLAGS.NT | RFLAGS.AC,
);
const TF = BigInt(RFLAGS.TF);
/** Attempts to get one instruction done, where other things make the machine come back before. */
const MAX_ATTEMPTS = 1000;
/** Nanoseconds of one. */
const ATTEMPT = 10_000_000;

/** One deprivileged CPU on a machine with memory for the guest and, behind it, the shim. */
export class DeprivilegedVcpu implements Vcpu {
  readonly capabilities: Capabilities;
  readonly memory: GuestMemory;
  readonly hypercallGate: Uint8Array;
  readonly #machine: Vcpu;
  readonly #state: GuestState;
  readonly #gate: HypercallGate;
  readonly #countsInstructions: boolean;
  #controls: ExecutionControls;
  #shim: Shim | undefined;
  #space: AddressSpace | undefined;
  #cr3: bigint | undefined;
  /** Bytes of the instruction that exited, for `skip`. */
  #exited: Uint8Array = new Uint8Array();
  #skipped = 0;

  constructor(
    machine: Vcpu,
    options: {
      /** Bytes of RAM. */
      readonly memory: number;
      readonly controls: ExecutionControls;
      readonly capabilities: Capabilities;
      readonly gate: HypercallGate;
      readonly systemCalls: SystemCalls;
      readonly countsInstructions: boolean;
    },
  ) {
    this.#machine = machine;
    this.memory = new GuestRam(machine.memory, options.memory);
    this.#state = new GuestState(machine, this.memory, options.systemCalls === "refused");
    this.#controls = options.controls;
    this.capabilities = options.capabilities;
    this.#gate = options.gate;
    this.hypercallGate = GATE_BYTES[options.gate];
    this.#countsInstructions = options.countsInstructions;
  }

  // ---- State -------------------------------------------------------------------------------------------------------

  get retired(): number {
    return this.#machine.retired + this.#skipped;
  }
  inlined(): Record<string, number> {
    return this.#machine.inlined();
  }
  get(name: RegisterName): bigint {
    return this.#state.get(name);
  }
  set(name: RegisterName, value: bigint): void {
    this.#state.set(name, value);
    if (name === "cr3") this.#space?.use(value);
  }
  segment(name: SegmentName): Segment {
    return this.#state.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.#state.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.#state.setDescriptorTable(name, base, limit);
    if (name === "gdtr") this.#shim = undefined;
  }
  getMsr(msr: number): bigint | undefined {
    return msr === MSR.EFER ? this.get("efer") : this.#machine.getMsr(msr);
  }
  setMsr(msr: number, value: bigint): void {
    this.#machine.setMsr(msr, value);
  }
  registers(): Registers {
    return this.#state.registers();
  }
  get cpl(): number {
    return dplOf(this.#state.segment("ss"));
  }
  get bitness(): 16 | 32 | 64 {
    return this.#state.bitness;
  }
  translate(linear: bigint): number | undefined {
    return this.#state.translate(linear);
  }
  instructionBytes(): Uint8Array {
    return this.#state.instructionBytes();
  }
  watchFloatErrors(listener: () => void): void {
    this.#machine.watchFloatErrors(listener);
  }
  debugRegister(number: number): bigint {
    return this.#machine.debugRegister(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.#machine.setDebugRegister(number, value);
  }
  setControls(controls: ExecutionControls): void {
    this.#controls = controls;
  }
  flush(): void {
    this.#space?.flush();
    this.#machine.flush();
  }
  get a20(): boolean {
    return this.#machine.a20;
  }
  set a20(open: boolean) {
    this.#machine.a20 = open;
  }
  readonly pagePointers = undefined;
  skipTime(nanoseconds: number): void {
    this.#machine.skipTime?.(nanoseconds);
  }
  statistics(): Readonly<Record<string, number>> {
    return this.#machine.statistics?.() ?? {};
  }
  dispose(): void {
    this.#machine.dispose();
  }

  // ---- Running -----------------------------------------------------------------------------------------------------

  run(budget: number, nanoseconds?: number): Stop {
    let stop = this.#runMachine(budget, nanoseconds);
    // Stopped where an exception is about to be delivered: whoever changed registers now would have it come from elsewhere. It
    // gets the time that it needs, however little the guest has left.
    for (
      let n = 0;
      stop.reason === "budget" && this.#machine.eventPending && n < MAX_ATTEMPTS;
      n++
    ) {
      stop = this.#runMachine(1, ATTEMPT);
    }
    const arrival = this.#arrival(stop);
    if (arrival) return { reason: "exit", exit: this.#exitOf(arrival) };
    if (stop.reason !== "exit") return stop;
    const { exit } = stop;
    if (this.#isHypercall(exit)) return { reason: "exit", exit: this.#exitOf({ what: "syscall" }) };
    switch (exit.kind) {
      case "vmcall":
        this.#exited = exit.bytes;
        return { reason: "exit", exit: { ...exit, via: "fault" } };
      case "io": {
        // The port of hypercalls is no port to the guest.
        const refusal: Arrival = { what: "exception", vector: VECTOR.GP, errorCode: 0 };
        return { reason: "exit", exit: this.#exitOf(refusal) };
      }
      default:
        return stop;
    }
  }

  #runMachine(budget: number, nanoseconds?: number): Stop {
    const space = this.#ready();
    const { interrupted } = this.#state;
    const machine = this.#machine;
    const cr3 = space.enter();
    if (cr3 !== this.#cr3) machine.set("cr3", this.#cr3 = cr3);
    if (interrupted) {
      machine.setSegment("cs", interrupted.cs);
      machine.setSegment("ss", interrupted.ss);
      for (const name of ["rip", "rsp", "rflags"] as const) machine.set(name, interrupted[name]);
      this.#state.running = { cs: interrupted.cs, ss: interrupted.ss };
      this.#state.interrupted = undefined;
    } else {
      this.#state.running = { cs: machine.segment("cs"), ss: machine.segment("ss") };
    }
    const stop = machine.run(budget, nanoseconds);
    space.leave();
    return stop;
  }

  /** The shim, where the guest's GDT says that it is now. */
  #ready(): AddressSpace {
    if (this.#shim && this.#space) return this.#space;
    const machine = this.#machine;
    const { gdtr, cr3 } = this.#state;
    if (gdtr.limit !== GDT_LIMIT) throw new Error("The GDT of a deprivileged guest is a full one");
    const shim = new Shim(gdtr.base);
    const space = new AddressSpace(machine.memory, this.memory.size, gdtr.base);
    space.use(cr3);
    for (const [page, bytes] of shim.pages(this.#gate === "port")) {
      machine.memory.write(this.#page(page), bytes);
    }
    machine.setDescriptorTable("gdtr", gdtr.base, gdtr.limit);
    machine.setDescriptorTable("idtr", shim.idt.base, shim.idt.limit);
    machine.setSegment("tr", shim.tr);
    const { star, lstar, cstar } = shim.entries;
    machine.setMsr(MSR.STAR, star);
    machine.setMsr(MSR.LSTAR, lstar);
    machine.setMsr(MSR.CSTAR, cstar);
    machine.setMsr(MSR.SFMASK, CLEARED_BY_SYSCALL);
    this.#shim = shim;
    this.#space = space;
    return space;
  }

  #page(index: number): Gpa {
    return this.memory.size + index * PAGE_SIZE as Gpa;
  }

  /** Has it stopped in the shim? Then it is the guest that has arrived there. */
  #arrival(stop: Stop): Arrival | undefined {
    const rang = stop.reason === "exit" && stop.exit.kind === "io" &&
      stop.exit.detail.port === DOORBELL_PORT;
    // It may also have been stopped on its way to the doorbell.
    if (!rang && stop.reason !== "budget") return undefined;
    const stub = this.#shim?.stubAt(rang ? stop.exit.rip : this.#machine.get("rip"));
    if (stub === undefined || !this.#shim) return undefined;
    return arrive(this.#state, this.#shim, stub, this.#page(PAGE.stack));
  }

  #isHypercall(exit: Exit): boolean {
    if (exit.kind !== "vmcall" && !(exit.kind === "io" && exit.detail.port === HYPERCALL_PORT)) {
      return false;
    }
    // Elsewhere it is an instruction of the guest's own, and none that a PV guest has.
    const gpa = this.#state.translate(exit.rip);
    return gpa !== undefined && gpa - gpa % PAGE_SIZE === XEN_HYPERCALL_PAGE;
  }

  // ---- Exits -------------------------------------------------------------------------------------------------------

  #exitOf(arrival: Arrival): Exit {
    const rip = this.#state.get("rip");
    const exit = exitOf(this.#state, arrival, this.#controls);
    // INT n has retired on the machine; for the VMM nothing of it has happened.
    if (this.#countsInstructions && this.#state.get("rip") !== rip) this.#skipped--;
    this.#exited = exit.bytes;
    return exit;
  }

  skip(): void {
    const state = this.#state;
    const bits = state.bitness === 64 ? 64 : 32;
    const rip = state.get("rip") + BigInt(this.#exited.length);
    state.set("rip", BigInt.asUintN(bits, rip));
    if (this.#countsInstructions) this.#skipped++;
  }

  /** One step of the guest, with the trap flag: every other way out of it is a fault that the instruction raises. */
  emulate(): Event | undefined {
    const state = this.#state;
    const traced = state.get("rflags") & TF;
    const causes = this.debugRegister(6);
    state.set("rflags", state.get("rflags") | TF);
    const arrival = this.#step();
    state.set("rflags", state.get("rflags") & ~TF | traced);
    if (arrival.what !== "exception") {
      throw new EngineFailure("What calls the VMM is not to be emulated");
    }
    const { what: _, ...fault } = arrival;
    if (fault.vector !== VECTOR.DB) return { type: "exception", ...fault };
    this.setDebugRegister(6, causes);
    return undefined;
  }

  #step(): Arrival {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const arrival = this.#arrival(this.#runMachine(1, ATTEMPT));
      if (arrival) return arrival;
    }
    throw new EngineFailure("An instruction does not come to its end");
  }

  // ---- What a deprivileged guest's VMM has no use for ------------------------------------------------------------------

  readonly midway = false;
  readonly eventPending = false;
  readonly interruptible = false;

  complete(): void {
    throw new Error("No device is reached from CPL 3: there is nothing to complete");
  }
  emulateStore(): Event | undefined {
    throw new Error("Pages of a deprivileged guest are protected by its own tables");
  }
  inject(): void {
    throw unsupported("Events");
  }
  nmi(): void {
    throw unsupported("NMIs");
  }
  requestInterruptWindow(wanted: boolean): void {
    if (wanted) throw unsupported("Interrupts");
  }
  setShadow(): void {
    throw unsupported("Shadow tables");
  }
  callOutAt(): void {
    throw unsupported("Callouts");
  }
  init(): void {
    throw unsupported("INIT signals");
  }
}

function unsupported(what: string): Error {
  return new Error(`${what} do not exist for a deprivileged guest: its VMM calls its handlers`);
}
