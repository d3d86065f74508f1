// Several virtual CPUs over one memory. Translated code finds the state of its CPU, and its TLBs, at fixed places: one CPU
// sits there at a time, and those of the others are kept aside. Whatever is asked of a CPU seats it first.
import type { RegisterName, Registers, Segment, SegmentName } from "../../base/registers.ts";
import { STATE_END } from "../../cpu/layout.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import type { ExitKind } from "../../trace/exit.ts";
import type {
  Capabilities,
  Event,
  ExecutionControls,
  ShadowTables,
  Stop,
  Vcpu,
  VcpuConfig,
} from "../vcpu.ts";
import { CodePages } from "./code_pages.ts";
import { type Core, giveCore, takeCore } from "./core.ts";
import { EmbeddedVcpu } from "./vcpu.ts";

/** The CPUs of one machine. */
export class Seats {
  readonly vcpus: readonly SeatedVcpu[];
  readonly #core: Core;
  /** State and TLBs, where translated code has them. */
  readonly #place: Uint8Array;
  #seated: SeatedVcpu | undefined;
  #disposed = 0;

  constructor(configs: readonly VcpuConfig[]) {
    const [first] = configs;
    if (!first) throw new RangeError("A machine has at least one CPU");
    this.#core = takeCore(first.memory);
    this.#place = new Uint8Array(this.#core.buffer, 0, STATE_END);
    const shared = { core: this.#core, pages: new CodePages() };
    this.vcpus = configs.map((config) => {
      // A CPU is born in its seat: its first state is written there.
      this.#unseat();
      this.#place.fill(0);
      const vcpu = new SeatedVcpu(this, new EmbeddedVcpu(config, shared));
      this.#seated = vcpu;
      return vcpu;
    });
  }

  /** Makes way for a CPU, and brings its state back. */
  seat(vcpu: SeatedVcpu): void {
    if (this.#seated === vcpu) return;
    this.#unseat();
    this.#seated = vcpu;
    this.#place.set(vcpu.aside);
    this.#core.own(vcpu.inner.paths);
    vcpu.inner.tlb.unpark();
  }

  isSeated(vcpu: SeatedVcpu): boolean {
    return this.#seated === vcpu;
  }

  #unseat(): void {
    const leaving = this.#seated;
    this.#seated = undefined;
    if (!leaving) return;
    leaving.retiredAside = leaving.inner.retired;
    leaving.aside.set(this.#place);
    leaving.inner.tlb.park();
  }

  /** The memory goes when the last of them does. */
  disposed(): void {
    if (++this.#disposed === this.vcpus.length) giveCore(this.#core);
  }
}

/** One of them. */
export class SeatedVcpu implements Vcpu {
  /** State and TLBs while another CPU has the seat. */
  readonly aside = new Uint8Array(STATE_END);
  retiredAside = 0;
  readonly #seats: Seats;

  constructor(seats: Seats, readonly inner: EmbeddedVcpu) {
    this.#seats = seats;
  }

  get #in(): EmbeddedVcpu {
    this.#seats.seat(this);
    return this.inner;
  }

  get capabilities(): Capabilities {
    return this.inner.capabilities;
  }
  get memory(): GuestMemory {
    return this.inner.memory;
  }
  get retired(): number {
    return this.#seats.isSeated(this) ? this.inner.retired : this.retiredAside;
  }
  get midway(): boolean {
    return this.inner.midway;
  }

  inlined(): Record<string, number> {
    return this.#in.inlined();
  }
  watchFloatErrors(listener: () => void): void {
    this.inner.watchFloatErrors(listener);
  }
  get(name: RegisterName): bigint {
    return this.#in.get(name);
  }
  set(name: RegisterName, value: bigint): void {
    this.#in.set(name, value);
  }
  segment(name: SegmentName): Segment {
    return this.#in.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.#in.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.#in.setDescriptorTable(name, base, limit);
  }
  getMsr(msr: number): bigint | undefined {
    return this.#in.getMsr(msr);
  }
  setMsr(msr: number, value: bigint): void {
    this.#in.setMsr(msr, value);
  }
  registers(): Registers {
    return this.#in.registers();
  }
  get pagePointers(): readonly bigint[] | undefined {
    return this.#in.pagePointers;
  }
  /** A device may move it while another CPU runs, which keeps its seat. */
  get a20(): boolean {
    return this.inner.a20;
  }
  set a20(open: boolean) {
    this.inner.a20 = open;
  }
  get cpl(): number {
    return this.#in.cpl;
  }
  get bitness(): 16 | 32 | 64 {
    return this.#in.bitness;
  }

  run(budget: number): Stop {
    return this.#in.run(budget);
  }
  complete(value?: bigint): void {
    this.#in.complete(value);
  }
  skip(): void {
    this.#in.skip();
  }
  emulate(): Event | undefined {
    return this.#in.emulate();
  }
  emulateStore(gpa: number): Event | undefined {
    return this.#in.emulateStore(gpa);
  }
  inject(event: Event): void {
    this.#in.inject(event);
  }
  nmi(): void {
    this.inner.nmi();
  }
  get eventPending(): boolean {
    return this.inner.eventPending;
  }
  debugRegister(number: number): bigint {
    return this.#in.debugRegister(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.#in.setDebugRegister(number, value);
  }
  init(): void {
    this.#in.init();
  }
  get interruptible(): boolean {
    return this.#in.interruptible;
  }
  requestInterruptWindow(wanted: boolean): void {
    this.inner.requestInterruptWindow(wanted);
  }

  setControls(controls: ExecutionControls): void {
    this.#in.setControls(controls);
  }
  setShadow(tables: ShadowTables): void {
    this.#in.setShadow(tables);
  }
  /** Of a CPU that has no seat, too: what is dropped is missing when it comes back. */
  flush(page?: bigint): void {
    // Which context it is in is not known while another one is seated.
    if (this.#seats.isSeated(this)) this.inner.flush(page);
    else this.inner.flush();
  }
  callOutAt(rip: bigint, kind: ExitKind & ("trace" | "mmio")): void {
    this.#in.callOutAt(rip, kind);
  }
  translate(linear: bigint): number | undefined {
    return this.#in.translate(linear);
  }
  instructionBytes(): Uint8Array {
    return this.#in.instructionBytes();
  }

  dispose(): void {
    this.inner.dispose();
    this.#seats.disposed();
  }
}
