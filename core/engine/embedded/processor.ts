// A virtual CPU without its run loop: state, memory, the controls that a monitor sets, and which regions go with them.
import { DEFAULT_SEED, entropy } from "../../base/entropy.ts";
import type { RegisterName, Registers, Segment, SegmentName } from "../../base/registers.ts";
import { readPointers } from "../../cpu/control_registers.ts";
import type { Cpu, Flush, Surroundings } from "../../cpu/cpu.ts";
import { GuestFault } from "../../cpu/fault.ts";
import { gated, Mmu, readTableEntry } from "../../cpu/mmu.ts";
import { readMsr, writeMsr } from "../../cpu/msr.ts";
import { reset } from "../../cpu/reset.ts";
import { CpuState } from "../../cpu/state.ts";
import { usesPointers, walkTables } from "../../cpu/walk.ts";
import { ByteMemory, type GuestMemory } from "../../machine/memory.ts";
import type { ExitKind } from "../../trace/exit.ts";
import type { ExecutionControls, ShadowTables, VcpuConfig } from "../vcpu.ts";
import { CodeCache, type Context } from "./code_cache.ts";
import { CodePages } from "./code_pages.ts";
import { CodeReader } from "./code_reader.ts";
import { CompletionBus } from "./completion.ts";
import { Contexts } from "./contexts.ts";
import { type Core, giveCore, takeCore } from "./core.ts";
import { EnginePhysicalMemory } from "./physical.ts";
import { guarded, RegionMemory } from "./region_memory.ts";
import { TaskSwitchAttempt } from "./task_attempt.ts";
import { Tlb } from "./tlb.ts";

/** What the CPUs of one machine have in common. */
export interface Shared {
  readonly core: Core;
  readonly pages: CodePages;
}

/** Control registers that decide where linear addresses lead. */
const PAGING_REGISTERS: ReadonlySet<RegisterName> = new Set(["cr0", "cr3", "cr4", "efer"]);

export class Processor {
  readonly memory: GuestMemory;
  protected readonly config: VcpuConfig;
  protected readonly core: Core;
  protected readonly state: CpuState;
  protected readonly physical: EnginePhysicalMemory;
  protected readonly mmu: Mmu;
  /** For what the guest's instructions do. */
  protected readonly cpu: Cpu;
  /** For what translated code inlines: it works on the virtual CPU's state, and costs nothing that bare hardware's does. */
  protected readonly inlining: Cpu;
  /** For a port instruction that the VMM has done; `completion` hands over the value. */
  protected readonly completing: Cpu;
  protected readonly completion = new CompletionBus();
  readonly tlb: Tlb;
  protected readonly code: CodeCache;
  protected readonly pages: CodePages;
  protected readonly reader: CodeReader;
  readonly paths: RegionMemory;
  protected readonly contexts: Contexts;
  protected readonly callouts = new Map<bigint, ExitKind & ("trace" | "mmio")>();
  protected controls: ExecutionControls;
  #shadow: ShadowTables | undefined;
  /** The page that a store may write although it is protected. */
  #unprotected: number | undefined;
  /** Is an instruction, or an event's delivery, done for the VMM? */
  #emulating = false;
  /** Are the guest's own page tables in use, although there are shadow ones? */
  #ownTables = false;
  readonly #ownsCore: boolean;

  /** With `shared`, one CPU of several: whoever made that has its memory, and gives it back. */
  constructor(config: VcpuConfig, shared?: Shared) {
    this.config = config;
    this.controls = config.controls;
    this.#ownsCore = shared === undefined;
    this.core = shared?.core ?? takeCore(config.memory);
    const buffer = this.core.buffer;
    this.state = new CpuState(buffer);
    this.tlb = new Tlb(buffer);
    this.pages = shared?.pages ?? new CodePages();
    this.code = new CodeCache(this.core, this.tlb, this.pages);
    this.physical = new EnginePhysicalMemory(
      buffer,
      config.memory,
      config.bus,
      (gpa, length) => this.pages.written(gpa, length),
      () => config.count("mmio"),
      config.rom,
    );
    this.memory = new ByteMemory(this.core.ram, (gpa, length) => this.pages.written(gpa, length));
    const shadow = { lookup: (page: bigint) => this.#lookUpShadow(page) };
    this.mmu = new Mmu(this.state, this.physical, {
      shadow: () => this.controls.paging === "shadow" && !this.#ownTables ? shadow : undefined,
      cached: true,
    });
    const parts = {
      state: this.state,
      mmu: this.mmu,
      physical: this.physical,
      tlb: this.tlb,
      code: this.pages,
    };
    this.paths = new RegionMemory(parts);
    this.core.own(this.paths);
    this.reader = new CodeReader(this.state, this.mmu, this.physical);
    this.contexts = new Contexts({
      state: this.state,
      tlb: this.tlb,
      code: this.code,
      paths: this.paths,
      reader: this.reader,
      callouts: this.callouts,
      alone: this.#ownsCore,
    });
    const surroundings: Surroundings = {
      timestamp: config.timestamp,
      cpuid: config.cpuid,
      random: config.random ?? entropy(DEFAULT_SEED),
      flushTranslations: (flush) => this.#drop(flush),
      count: config.count,
      readMsr: (msr) => config.localApic?.readMsr(msr),
      writeMsr: (msr, value) => config.localApic?.writeMsr(msr, value),
    };
    const cpu = { state: this.state, physical: this.physical, memory: this.mmu };
    this.cpu = {
      ...cpu,
      surroundings: {
        ...surroundings,
        ...(config.bus && { bus: config.bus }),
        taskSwitch: (selector) => this.#beforeTaskSwitch(selector),
      },
    };
    this.inlining = { ...cpu, surroundings: { ...surroundings, count: () => {} } };
    this.completing = {
      ...cpu,
      surroundings: { ...surroundings, count: () => {}, bus: this.completion },
    };
    reset(this.state);
    this.flush();
  }

  dispose(): void {
    this.reader.dispose();
    if (this.#ownsCore) giveCore(this.core);
  }

  // ---- State ---------------------------------------------------------------------------------------------------------

  get(name: RegisterName): bigint {
    return this.state.get(name);
  }
  set(name: RegisterName, value: bigint): void {
    this.state.set(name, value);
    if (!PAGING_REGISTERS.has(name)) return;
    const cr3 = this.state.control("cr3");
    if (this.#usesPointers()) this.state.pagePointers = readPointers(this.physical, cr3);
    this.flush();
  }
  segment(name: SegmentName): Segment {
    return this.state.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.state.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.state[name] = { base, limit };
  }
  getMsr(msr: number): bigint | undefined {
    try {
      return readMsr(this.cpu, msr);
    } catch (error) {
      if (error instanceof GuestFault) return undefined;
      throw error;
    }
  }
  setMsr(msr: number, value: bigint): void {
    writeMsr(this.cpu, msr, value);
  }
  registers(): Registers {
    return this.state.snapshot();
  }
  get cpl(): number {
    return this.state.cpl;
  }
  get bitness(): 16 | 32 | 64 {
    return this.state.bitness;
  }

  // ---- Controls ------------------------------------------------------------------------------------------------------

  setControls(controls: ExecutionControls): void {
    if (controls === this.controls) return;
    if (controls.paging !== this.controls.paging) this.flush();
    this.controls = controls;
    this.contexts.changed();
  }

  setShadow(tables: ShadowTables): void {
    this.#shadow = tables;
    this.flush();
  }

  flush(page?: bigint): void {
    const { pcid } = this.state;
    this.mmu.flush(
      page === undefined ? { of: "everything" } : { of: "page", pcid, linear: page, global: true },
    );
    this.tlb.flush(page);
    this.code.translationsChanged();
  }

  /** The TLBs know neither contexts nor large pages: all of what they hold goes, and is soon found again. */
  #drop(flush: Flush): void {
    this.mmu.flush(flush);
    this.tlb.flush();
    this.code.translationsChanged();
  }

  #usesPointers(): boolean {
    const { state } = this;
    return usesPointers(state.control("cr0"), state.control("cr4"), state.control("efer"));
  }

  get a20(): boolean {
    return this.physical.a20;
  }
  set a20(open: boolean) {
    if (open === this.physical.a20) return;
    this.physical.a20 = open;
    this.flush();
  }

  get pagePointers(): readonly bigint[] | undefined {
    return this.#usesPointers() ? this.state.pagePointers : undefined;
  }

  callOutAt(rip: bigint, kind: ExitKind & ("trace" | "mmio")): void {
    this.callouts.set(rip, kind);
    this.contexts.changed();
    this.pages.clear();
  }

  translate(linear: bigint): number | undefined {
    const state = this.state;
    const read = (gpa: number, size: 4 | 8) => readTableEntry(this.physical, gpa, size);
    const [cr0, cr3, cr4, efer] = [
      state.control("cr0"),
      state.control("cr3"),
      state.control("cr4"),
      state.control("efer"),
    ];
    const walk = walkTables(cr0, cr3, cr4, efer, read, linear, this.pagePointers);
    return walk.mapped ? gated(this.physical, walk.gpa) : undefined;
  }

  instructionBytes(): Uint8Array {
    const bytes = guarded(() => this.reader.fetch());
    return bytes instanceof Uint8Array ? bytes : new Uint8Array();
  }

  /** Runs `work`, in which nothing leaves that the VMM has seen already. */
  protected asVmm<T>(work: () => T): T {
    this.#emulating = true;
    try {
      return work();
    } finally {
      this.#emulating = false;
      if (this.#ownTables) this.flush();
      this.#ownTables = false;
    }
  }

  /**
   * A task switch leaves the guest, or is done for the VMM: by the guest's own tables then, for there may be no shadow of the new
   * task's, and what is half done can't be tried again.
   */
  #beforeTaskSwitch(selector: number): void {
    if (this.#emulating) {
      this.#ownTables = this.controls.paging === "shadow";
      return;
    }
    const table = this.state.cpl === 3 ? this.controls.user : this.controls.kernel;
    const treatment = table["task-switch"];
    if (treatment !== "execute") throw new TaskSwitchAttempt(selector, treatment);
  }

  /** Runs `work` with one page writable although the shadow tables protect it. */
  protected withUnprotected<T>(gpa: number, work: () => T): T {
    this.#unprotected = gpa - gpa % 4096;
    this.paths.unprotected = true;
    try {
      return work();
    } finally {
      this.#unprotected = undefined;
      this.paths.unprotected = false;
      this.flush();
    }
  }

  #lookUpShadow(page: bigint) {
    const entry = this.#shadow?.lookup(page);
    return entry && entry.gpa === this.#unprotected ? { ...entry, writable: true } : entry;
  }

  /** The regions of the mode that the CPU is in. */
  protected context(): Context {
    return this.contexts.current(this.controls);
  }
}
