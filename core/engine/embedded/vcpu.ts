// The embedded engine's virtual CPU: the run loop between translated regions, instructions done in TypeScript, events and
// exits.
import {
  type RegisterName,
  type Registers,
  RFLAGS,
  type Segment,
  type SegmentName,
  VECTOR,
} from "../../base/registers.ts";
import { checkPrivilege, exitDetail, isIdleRepeat } from "../../cpu/classify.ts";
import type { AccessType, Cpu, Surroundings } from "../../cpu/cpu.ts";
import { deliver, escalate } from "../../cpu/deliver.ts";
import { execute, isSlow } from "../../cpu/execute/execute.ts";
import { GuestFault } from "../../cpu/fault.ts";
import * as L from "../../cpu/layout.ts";
import { Mmu } from "../../cpu/mmu.ts";
import { readMsr, writeMsr } from "../../cpu/msr.ts";
import { reset } from "../../cpu/reset.ts";
import { CpuState } from "../../cpu/state.ts";
import { MAX_BLOCK } from "../../cpu/translate/region.ts";
import { LEAVE } from "../../cpu/translate/runtime.ts";
import { walkTables } from "../../cpu/walk.ts";
import { ByteMemory, type GuestMemory } from "../../machine/memory.ts";
import type { Exit, ExitKind } from "../../trace/exit.ts";
import type {
  Capabilities,
  Event,
  ExecutionControls,
  ShadowTables,
  Stop,
  Vcpu,
  VcpuConfig,
} from "../vcpu.ts";
import { ALONE, CodeCache, type CodePlace, type Context } from "./code_cache.ts";
import { CompletionBus } from "./completion.ts";
import { type Core, giveCore, type SlowPaths, takeCore } from "./core.ts";
import { DeviceAccess, EnginePhysicalMemory } from "./physical.ts";
import { type SlowInstruction, SlowInstructions } from "./slow_instructions.ts";
import { Tlb } from "./tlb.ts";

const CAPABILITIES: Capabilities = {
  exits: "exact",
  deterministic: true,
  singleStep: true,
  controls: true,
};

/**
 * Instructions between two looks at the run loop. V8 replaces a function by its optimized code only where it is called, so
 * a guest's endless loop has to be left now and then; this many take a millisecond or two at first.
 */
const SLICE = 2_000_000;

/**
 * Events delivered before the caller gets a look: a handler that faults at its first instruction, on a stack of its own,
 * would go on for ever without an instruction retired.
 */
const MAX_DELIVERIES = 256;

const BUDGET_STOP: Stop = { reason: "budget" };
const IDLE_STOP: Stop = { reason: "idle" };

const NO_STOPS: ReadonlySet<bigint> = new Set();

/** Longest instruction (SDM vol. 2, 2.3.11). */
const MAX_INSTRUCTION = 15;

/** Control registers that decide where linear addresses lead. */
const PAGING_REGISTERS: ReadonlySet<RegisterName> = new Set(["cr0", "cr3", "cr4", "efer"]);

/** What became of one instruction. */
type Step = "done" | "idle" | GuestFault | DeviceAccess;

export class EmbeddedVcpu implements Vcpu, SlowPaths {
  readonly capabilities = CAPABILITIES;
  readonly memory: GuestMemory;

  readonly #config: VcpuConfig;
  readonly #core: Core;
  readonly #state: CpuState;
  readonly #physical: EnginePhysicalMemory;
  readonly #mmu: Mmu;
  readonly #cpu: Cpu;
  /** For what translated code inlines: it works on the virtual CPU's state, and costs nothing that bare hardware's does. */
  readonly #inlining: Cpu;
  readonly #completing: Cpu;
  readonly #completion = new CompletionBus();
  readonly #tlb: Tlb;
  readonly #code: CodeCache;
  readonly #slow = new SlowInstructions();
  readonly #callouts = new Map<bigint, ExitKind & ("trace" | "mmio")>();
  readonly #inlined: Record<string, number> = {};
  #stops: ReadonlySet<bigint> = new Set();

  #controls: ExecutionControls;
  #shadow: ShadowTables | undefined;
  /** The page that a store may write although it is protected, while `emulateStore` is at work. */
  #unprotected: number | undefined;
  #context: Context | undefined;
  #contextKey = "";
  #tlbIsUser = false;

  #retiredBefore = 0;
  #granted = 0;
  #queued: Event | undefined;
  /** The event that was injected was one fault too many: the next run begins with a triple fault. */
  #shutdown: Stop | undefined;
  #deliveries = 0;
  #windowWanted = false;
  /** The instruction that exited, for `complete` and `skip`. */
  #exited: SlowInstruction | undefined;
  /** It is to be started again, with the answers that it got. */
  #restart = false;
  /** Why a region bailed. */
  #bailed: GuestFault | DeviceAccess | "step" | undefined;
  #stepping = false;
  /** A device was reached: the caller is to look at its deadlines. */
  #yielded = false;

  constructor(config: VcpuConfig) {
    this.#config = config;
    this.#controls = config.controls;
    this.#core = takeCore(config.memory);
    this.#core.own(this);
    const buffer = this.#core.buffer;
    this.#state = new CpuState(buffer);
    this.#tlb = new Tlb(buffer);
    this.#code = new CodeCache(this.#core, this.#tlb);
    this.#physical = new EnginePhysicalMemory(buffer, config.memory, config.bus, (gpa, length) => {
      this.#code.written(gpa, length);
    });
    this.memory = new ByteMemory(this.#core.ram, (gpa, length) => this.#code.written(gpa, length));
    const shadow = { lookup: (page: bigint) => this.#lookUpShadow(page) };
    this.#mmu = new Mmu(this.#state, this.#physical, {
      shadow: () => this.#controls.paging === "shadow" ? shadow : undefined,
    });
    const surroundings: Surroundings = {
      timestamp: config.timestamp,
      cpuid: config.cpuid,
      flushTranslations: (linear) => this.flush(linear),
      count: config.count,
    };
    const cpu = { state: this.#state, physical: this.#physical, memory: this.#mmu };
    this.#cpu = {
      ...cpu,
      surroundings: config.bus ? { ...surroundings, bus: config.bus } : surroundings,
    };
    this.#inlining = { ...cpu, surroundings: { ...surroundings, count: () => {} } };
    this.#completing = {
      ...cpu,
      surroundings: { ...surroundings, count: () => {}, bus: this.#completion },
    };
    reset(this.#state);
    this.flush();
  }

  dispose(): void {
    this.#slow.dispose();
    giveCore(this.#core);
  }

  // ---- State -------------------------------------------------------------------------------------------------------

  get retired(): number {
    return this.#retiredBefore + this.#granted - this.#budget;
  }
  /** Instructions that may still be executed in this slice. */
  get #budget(): number {
    return Number(this.#state.view.getBigInt64(L.BUDGET, true));
  }
  set #budget(value: number) {
    this.#state.view.setBigInt64(L.BUDGET, BigInt(value), true);
  }
  inlined(): Record<string, number> {
    const lookups = Number(this.#state.view.getBigInt64(L.LOOKUPS, true));
    return lookups > 0 ? { ...this.#inlined, "indirect-branch": lookups } : { ...this.#inlined };
  }
  get(name: RegisterName): bigint {
    return this.#state.get(name);
  }
  set(name: RegisterName, value: bigint): void {
    this.#state.set(name, value);
    if (PAGING_REGISTERS.has(name)) this.flush();
  }
  segment(name: SegmentName): Segment {
    return this.#state.segment(name);
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.#state.setSegment(name, segment);
  }
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    this.#state[name] = { base, limit };
  }
  getMsr(msr: number): bigint | undefined {
    try {
      return readMsr(this.#cpu, msr);
    } catch (error) {
      if (error instanceof GuestFault) return undefined;
      throw error;
    }
  }
  setMsr(msr: number, value: bigint): void {
    writeMsr(this.#cpu, msr, value);
  }
  registers(): Registers {
    return this.#state.snapshot();
  }
  get cpl(): number {
    return this.#state.cpl;
  }
  get bitness(): 16 | 32 | 64 {
    return this.#state.bitness;
  }

  // ---- Running -----------------------------------------------------------------------------------------------------

  run(budget: number): Stop {
    let rest = Math.max(1, Math.floor(budget));
    for (;;) {
      const before = this.retired;
      this.#retiredBefore = before;
      this.#granted = this.#budget = Math.min(rest, SLICE);
      const stop = this.#slice(rest > SLICE);
      rest -= this.retired - before;
      if (stop !== BUDGET_STOP || rest <= 0 || this.#yielded) {
        this.#yielded = false;
        return stop;
      }
    }
  }

  #slice(more: boolean): Stop {
    for (;;) {
      const stop = this.#turn(more);
      if (stop) return stop;
    }
  }

  /** One turn of the run loop: an event, an instruction, or as many regions as go without help. */
  #turn(more: boolean): Stop | undefined {
    if (this.#shutdown) {
      const stop = this.#shutdown;
      this.#shutdown = undefined;
      return stop;
    }
    if (this.#queued) return this.#deliverQueued(this.#queued);
    if (this.#windowWanted && this.interruptible) {
      return this.#exit("interrupt-window", "vm-exit", {}, undefined);
    }
    if (this.#budget <= 0) return BUDGET_STOP;
    if (this.#restart || (this.#windowWanted && this.#state.interruptShadow)) {
      this.#restart = false;
      return this.#instruction();
    }
    this.#state.interruptShadow = false;
    // Near the end of a grant, regions are made so short that they do not overrun it.
    const limit = more ? undefined : shortRegion(this.#budget);
    const region = this.#region(this.#stops, limit);
    if (region instanceof GuestFault || region instanceof DeviceAccess) {
      return this.#failed(region, undefined);
    }
    if (!region) return this.#instruction();
    if (!limit) this.#tlb.setJump(this.#state.rip, region.slot);
    const why = limit ? region.run() : this.#core.runtime.dispatch();
    switch (why) {
      case LEAVE.dispatch:
        return undefined;
      case LEAVE.slow:
        return this.#budget > 0 ? this.#instruction() : BUDGET_STOP;
      case LEAVE.budget:
        return this.#budget > 0 && !more ? undefined : BUDGET_STOP;
      case LEAVE.bail:
        return this.#afterBail();
      default:
        throw new Error(`A region left with ${why}`);
    }
  }

  #afterBail(): Stop | undefined {
    const why = this.#takeBail();
    return why === "step" ? this.#instruction() : this.#failed(why, undefined);
  }

  /** The instruction at RIP, by itself, as the controls want it. */
  #instruction(): Stop | undefined {
    const decoded = this.#guarded(() => this.#decode());
    if (decoded instanceof GuestFault || decoded instanceof DeviceAccess) {
      return this.#failed(decoded, undefined);
    }
    const { insn, operation } = decoded;
    const table = this.#state.cpl === 3 ? this.#controls.user : this.#controls.kernel;
    const treatment = operation && operation !== "indirect-branch" ? table[operation] : "execute";
    if (
      operation && treatment !== "execute" && treatment !== "inline" &&
      !isIdleRepeat(this.#state, insn)
    ) {
      const body = this.#guarded(() => {
        checkPrivilege(this.#cpu, insn, operation);
        return exitDetail(this.#cpu, insn, operation);
      });
      if (body instanceof GuestFault || body instanceof DeviceAccess) {
        return this.#failed(body, decoded);
      }
      return this.#exit(body.kind, treatment, body.detail, decoded);
    }
    const before = this.#state.interruptShadow;
    this.#state.interruptShadow = false;
    const step = this.#step(decoded, treatment === "inline" ? this.#inlining : this.#cpu);
    if (step === "done" || step === "idle") {
      if (operation && treatment === "inline") {
        this.#inlined[operation] = (this.#inlined[operation] ?? 0) + 1;
      }
      if (step === "idle") return IDLE_STOP;
      // A device was reached directly: its deadlines may be nearer than the budget says.
      this.#yielded = this.#physical.takeReached() ||
        operation === "port-io" && this.#config.bus !== undefined;
      return this.#yielded ? BUDGET_STOP : undefined;
    }
    this.#state.interruptShadow = before;
    return this.#failed(step, decoded);
  }

  /** Executes one instruction; retires it if it gets done. */
  #step(decoded: SlowInstruction, cpu: Cpu): Step {
    this.#physical.begin();
    this.#physical.stepping = true;
    this.#stepping = true;
    try {
      const result = decoded.translated ? this.#stepTranslated() : this.#guarded(() => {
        // What neither part of the CPU knows, CPUID does not announce either.
        if (!isSlow(decoded.insn)) throw new GuestFault(VECTOR.UD);
        const effect = execute(cpu, decoded.insn);
        this.#budget--;
        return effect;
      });
      if (result instanceof DeviceAccess) return result;
      this.#physical.done();
      return result === "next" ? "done" : result === "halt" ? "idle" : result;
    } finally {
      this.#physical.stepping = false;
      this.#stepping = false;
    }
  }

  #region(stops: ReadonlySet<bigint>, limit: number | undefined) {
    const context = this.#currentContext();
    return this.#guarded(() =>
      this.#code.region(context, this.#state.rip, stops, () => this.#place(), limit)
    );
  }

  #stepTranslated(): "next" | GuestFault | DeviceAccess {
    const region = this.#region(NO_STOPS, ALONE);
    if (region instanceof GuestFault || region instanceof DeviceAccess) return region;
    if (!region) throw new Error("An instruction is translated and is not");
    const why = region.run();
    if (why !== LEAVE.bail) return "next";
    const cause = this.#takeBail();
    if (cause === "step") throw new Error("A single step asks for a single step");
    return cause;
  }

  /** What comes of an instruction that could not be done. */
  #failed(
    cause: GuestFault | DeviceAccess,
    decoded: SlowInstruction | undefined,
  ): Stop | undefined {
    const at = decoded ?? this.#guarded(() => this.#decode());
    const instruction = at instanceof GuestFault || at instanceof DeviceAccess ? undefined : at;
    return cause instanceof GuestFault
      ? this.#fault(cause, instruction)
      : this.#device(cause, instruction);
  }

  #device(access: DeviceAccess, instruction: SlowInstruction | undefined): Stop {
    const { gpa, size, write, value } = access;
    const kind = write ? "write" : "read";
    const detail = {
      gpa,
      access: instruction ? kind : "execute",
      size,
      value: BigInt(value),
    } as const;
    if (this.#controls.paging === "nested") {
      return this.#exit("ept-violation", "vm-exit", detail, instruction);
    }
    const via = this.#callouts.has(this.#linearRip()) ? "callout" : this.#controls.exceptionVia;
    return this.#exit("mmio", via, detail, instruction);
  }

  #fault(fault: GuestFault, instruction: SlowInstruction | undefined): Stop | undefined {
    this.#physical.done();
    const { vector, errorCode, address } = fault;
    if (this.#callouts.get(this.#linearRip()) === "trace" && address !== undefined) {
      const gpa = this.translate(address);
      const isProtection = vector === VECTOR.PF && ((errorCode ?? 0) & 3) === 3;
      if (gpa !== undefined && isProtection) {
        return this.#exit("trace", "callout", { address, gpa }, instruction);
      }
    }
    if (this.#controls.exceptions & (1 << vector)) {
      const detail = { vector, ...optional({ errorCode, address }) };
      return this.#exit("exception", this.#controls.exceptionVia, detail, instruction);
    }
    this.#queued = { type: "exception", vector, ...optional({ errorCode, address }) };
    return undefined;
  }

  /** Delivers an event through the guest's tables; a fault on the way exits, or takes its place. */
  #deliverQueued(event: Event): Stop | undefined {
    const delivered = this.#guarded(() => deliver(this.#cpu, event));
    if (delivered instanceof DeviceAccess) {
      this.#queued = undefined;
      return this.#device(delivered, undefined);
    }
    if (!(delivered instanceof GuestFault)) {
      this.#queued = undefined;
      if (++this.#deliveries % MAX_DELIVERIES !== 0) return undefined;
      this.#yielded = true;
      return BUDGET_STOP;
    }
    if (this.#controls.exceptions & (1 << delivered.vector)) {
      // The event stays queued: the VMM mends what is in its way, or injects another one.
      return this.#fault(delivered, undefined);
    }
    return this.#replaceQueued(delivered);
  }

  /** A fault came up while the queued event was delivered: SDM vol. 3, table 6-5. */
  #replaceQueued(fault: GuestFault): Stop | undefined {
    const during = this.#queued;
    const next = during?.type === "exception" ? escalate(during.vector, fault) : fault;
    this.#queued = next &&
      {
        type: "exception",
        vector: next.vector,
        ...optional({ errorCode: next.errorCode, address: next.address }),
      };
    return next ? undefined : this.#exit("triple-fault", "vm-exit", {}, undefined);
  }

  #exit<K extends ExitKind>(
    kind: K,
    via: Exit["via"] | "execute" | "inline",
    detail: Extract<Exit, { kind: K }>["detail"],
    instruction: SlowInstruction | undefined,
  ): Stop {
    this.#exited = instruction;
    const exit = {
      kind,
      via,
      rip: this.#linearRip(),
      bytes: instruction?.bytes ?? new Uint8Array(),
      bitness: this.#state.bitness,
      detail,
    };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  // ---- After an exit -----------------------------------------------------------------------------------------------

  complete(value = 0n): void {
    const exited = this.#exited;
    if (!exited) throw new Error("Nothing to complete");
    if (exited.operation !== "port-io") {
      this.#physical.answer(Number(value));
      this.#restart = true;
      return;
    }
    this.#completion.value = Number(value);
    const step = this.#step(exited, this.#completing);
    if (step instanceof GuestFault) this.#queueFault(step);
  }

  #queueFault({ vector, errorCode, address }: GuestFault): void {
    this.#queued = { type: "exception", vector, ...optional({ errorCode, address }) };
  }

  skip(): void {
    const length = this.#exited?.insn.length ?? 0;
    this.#state.rip = BigInt.asUintN(this.#state.bitness, this.#state.rip + BigInt(length));
    this.#state.interruptShadow = false;
    this.#physical.done();
    this.#budget--;
  }

  emulate(): Event | undefined {
    const decoded = this.#guarded(() => this.#decode());
    if (decoded instanceof DeviceAccess) throw new Error("Code to emulate stands in device memory");
    const step = decoded instanceof GuestFault ? decoded : this.#step(decoded, this.#cpu);
    if (step instanceof GuestFault) {
      const { vector, errorCode, address } = step;
      return { type: "exception", vector, ...optional({ errorCode, address }) };
    }
    return undefined;
  }

  emulateStore(gpa: number): Event | undefined {
    this.#unprotected = gpa - gpa % 4096;
    try {
      return this.emulate();
    } finally {
      this.#unprotected = undefined;
      this.#tlb.flush();
    }
  }

  inject(event: Event): void {
    if (this.#queued && event.type === "exception") {
      const { vector, errorCode, address } = event;
      this.#shutdown = this.#replaceQueued(new GuestFault(vector, errorCode, address));
    } else this.#queued = event;
  }

  get interruptible(): boolean {
    return !this.#queued && !this.#state.interruptShadow && !this.#restart &&
      (this.#state.rflags & BigInt(RFLAGS.IF)) !== 0n;
  }

  requestInterruptWindow(wanted: boolean): void {
    this.#windowWanted = wanted;
  }

  // ---- Controls ----------------------------------------------------------------------------------------------------

  setControls(controls: ExecutionControls): void {
    if (controls === this.#controls) return;
    if (controls.paging !== this.#controls.paging) this.flush();
    this.#controls = controls;
    this.#contextKey = "";
  }

  setShadow(tables: ShadowTables): void {
    this.#shadow = tables;
    this.flush();
  }

  flush(page?: bigint): void {
    this.#tlb.flush(page);
    this.#code.translationsChanged();
  }

  callOutAt(rip: bigint, kind: ExitKind & ("trace" | "mmio")): void {
    this.#callouts.set(rip, kind);
    // Regions know RIP as an offset; callouts are asked for in flat code, where the two are one.
    this.#stops = new Set([...this.#callouts.keys()].map((linear) => linear - this.#codeBase()));
    this.#code.clear();
  }

  translate(linear: bigint): number | undefined {
    const state = this.#state;
    const read = (gpa: number, size: 4 | 8) =>
      this.#physical.isRam(gpa, size) ? this.#physical.read(gpa, size) : 0n;
    const [cr0, cr3, cr4, efer] = [
      state.control("cr0"),
      state.control("cr3"),
      state.control("cr4"),
      state.control("efer"),
    ];
    const walk = walkTables(cr0, cr3, cr4, efer, read, linear);
    return walk.mapped ? walk.gpa : undefined;
  }

  instructionBytes(): Uint8Array {
    const bytes = this.#guarded(() => this.#fetch());
    return bytes instanceof Uint8Array ? bytes : new Uint8Array();
  }

  #lookUpShadow(page: bigint) {
    const entry = this.#shadow?.lookup(page);
    return entry && entry.gpa === this.#unprotected ? { ...entry, writable: true } : entry;
  }

  // ---- Code --------------------------------------------------------------------------------------------------------

  #codeBase(): bigint {
    return this.#state.bitness === 64 ? 0n : this.#state.segment("cs").base;
  }

  #linearRip(): bigint {
    const linear = this.#codeBase() + this.#state.rip;
    return this.#state.bitness === 64 ? linear : BigInt.asUintN(32, linear);
  }

  /** The regions of the mode that the CPU is in. TLBs hold the rights of one privilege: they go when that changes. */
  #currentContext(): Context {
    const state = this.#state;
    const user = state.cpl === 3;
    if (user !== this.#tlbIsUser) {
      this.#tlbIsUser = user;
      this.#tlb.flush();
    }
    const { bitness } = state;
    const stackBits = bitness === 64 ? 64 : state.segment("ss").attributes & (1 << 14) ? 32 : 16;
    const countLookups =
      (user ? this.#controls.user : this.#controls.kernel)["indirect-branch"] === "inline";
    const key = `${bitness}/${stackBits}/${+user}/${+countLookups}/${this.#codeBase()}`;
    if (key !== this.#contextKey || !this.#context) {
      this.#contextKey = key;
      this.#context = this.#code.context(key, () => ({ bits: bitness, stackBits, countLookups }));
      this.#tlb.flushJumps();
    }
    return this.#context;
  }

  /** Where the code at RIP is; the first instruction is there as a whole, if its pages are. */
  #place(): CodePlace {
    const linear = this.#linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const bytes = this.#core.ram.subarray(gpa, gpa + inPage);
    const start = this.#state.rip;
    if (inPage >= MAX_INSTRUCTION) return { start, bytes, gpa };
    const decoded = this.#slow.decode(start, this.#state.bitness, bytes);
    if (!decoded.insn.isInvalid) return { start, bytes, gpa };
    const whole = this.#fetch();
    return { start, bytes: whole, gpa, nextGpa: this.#codeGpa(linear + BigInt(inPage)) };
  }

  /** Up to 15 bytes at RIP. A fault on the next page counts only if the instruction needs it. */
  #fetch(): Uint8Array {
    const linear = this.#linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const first = this.#core.ram.subarray(gpa, gpa + Math.min(inPage, MAX_INSTRUCTION));
    if (inPage >= MAX_INSTRUCTION) return first;
    if (!this.#slow.decode(this.#state.rip, this.#state.bitness, first).insn.isInvalid) {
      return first;
    }
    const next = this.#codeGpa(linear + BigInt(inPage));
    const bytes = new Uint8Array(MAX_INSTRUCTION);
    bytes.set(first);
    bytes.set(this.#core.ram.subarray(next, next + MAX_INSTRUCTION - inPage), inPage);
    return bytes;
  }

  #codeGpa(linear: bigint): number {
    const access: AccessType = { write: false, execute: true, user: this.#state.cpl === 3 };
    const gpa = this.#mmu.translate(linear, access);
    if (!this.#physical.isRam(gpa, 1)) throw new DeviceAccess(gpa, 1, false, 0);
    return gpa;
  }

  #decode(): SlowInstruction {
    const bytes = this.#fetch();
    return this.#slow.decode(this.#state.rip, this.#state.bitness, bytes);
  }

  // ---- Slow paths of regions -----------------------------------------------------------------------------------------

  read(linear: bigint, size: 1 | 2 | 4 | 8, intent: number): bigint {
    const value = this.#guarded(() => {
      if (crossesPage(linear, size)) return this.#readAcross(linear, size, intent === 1);
      const found = this.#mmu.walk(linear, {
        write: intent === 1,
        execute: false,
        user: this.#tlbIsUser,
      });
      if (!this.#stepping && this.#isWholePageRam(found.gpa)) {
        this.#tlb.fill(linear, found.gpa, true, found.writable && this.#mayCacheWrites(found.gpa));
      }
      return this.#physical.read(found.gpa, size);
    });
    if (typeof value === "bigint") return value;
    this.#bail(value);
    return 0n;
  }

  #readAcross(linear: bigint, size: number, write: boolean): bigint {
    // With intent to write, both pages must let it: the fault is a write's.
    if (write) {
      for (const at of [linear, linear + BigInt(size - 1)]) {
        this.#mmu.translate(at, { write, execute: false, user: this.#tlbIsUser });
      }
    }
    return this.#mmu.read(linear, size);
  }

  write(linear: bigint, value: bigint, size: 1 | 2 | 4 | 8): void {
    const result = this.#guarded(() => {
      if (crossesPage(linear, size)) return this.#writeAcross(linear, value, size);
      const found = this.#mmu.walk(linear, { write: true, execute: false, user: this.#tlbIsUser });
      if (!this.#stepping && this.#physical.isRam(found.gpa, size)) {
        if (this.#code.touchesCode(found.gpa, size)) return "step";
        if (this.#isWholePageRam(found.gpa)) {
          this.#tlb.fill(linear, found.gpa, false, this.#mayCacheWrites(found.gpa));
        }
      }
      return this.#physical.write(found.gpa, size, value);
    });
    if (result !== undefined) this.#bail(result);
  }

  /** Code under the running region must not change: such stores, and all that cross pages into code, are single-stepped. */
  #writeAcross(linear: bigint, value: bigint, size: number): "step" | undefined {
    if (!this.#stepping) {
      for (const at of [linear, linear + BigInt(size - 1)]) {
        const gpa = this.#mmu.translate(at, { write: true, execute: false, user: this.#tlbIsUser });
        if (this.#code.isCode(gpa)) return "step";
      }
    }
    this.#mmu.write(linear, size, value);
    return undefined;
  }

  /** Only code and the page that is unprotected for one store stay out of the write TLB. */
  #mayCacheWrites(gpa: number): boolean {
    return !this.#code.isCode(gpa) && this.#unprotected === undefined;
  }

  #isWholePageRam(gpa: number): boolean {
    return this.#physical.isRam(gpa - gpa % 4096, 4096);
  }

  raise(vector: number): void {
    this.#bail(new GuestFault(vector));
  }

  divide(upper: bigint, lower: bigint, divisor: bigint, signed: number): void {
    const bits = signed
      ? (n: bigint) => BigInt.asIntN(64, n)
      : (n: bigint) => BigInt.asUintN(64, n);
    const dividend = bits(upper) << 64n | BigInt.asUintN(64, lower);
    const quotient = dividend / bits(divisor);
    if (bits(quotient) !== quotient) return this.raise(VECTOR.DE);
    this.#state.view.setBigUint64(L.DIVISION, BigInt.asUintN(64, quotient), true);
    this.#state.view.setBigUint64(
      L.DIVISION + 8,
      BigInt.asUintN(64, dividend % bits(divisor)),
      true,
    );
  }

  #bail(cause: GuestFault | DeviceAccess | "step"): void {
    // A device is reached instruction by instruction: regions only find out that it is one.
    this.#bailed = cause instanceof DeviceAccess && !this.#stepping ? "step" : cause;
    this.#state.view.setInt32(L.BAIL, 1, true);
  }

  #takeBail(): GuestFault | DeviceAccess | "step" {
    const cause = this.#bailed;
    if (!cause) throw new Error("A region bailed for no reason");
    this.#bailed = undefined;
    this.#state.view.setInt32(L.BAIL, 0, true);
    return cause;
  }

  /** Faults and device accesses are results here, not exceptions. */
  #guarded<T>(work: () => T): T | GuestFault | DeviceAccess {
    try {
      return work();
    } catch (thrown) {
      if (thrown instanceof GuestFault || thrown instanceof DeviceAccess) return thrown;
      throw thrown;
    }
  }
}

function crossesPage(linear: bigint, size: number): boolean {
  return Number(linear & 0xfffn) + size > 4096;
}

/** Without the keys that have no value. */
function optional(fields: { errorCode: number | undefined; address: bigint | undefined }) {
  return {
    ...(fields.errorCode === undefined ? {} : { errorCode: fields.errorCode }),
    ...(fields.address === undefined ? {} : { address: fields.address }),
  };
}

/** The greatest power of two in a budget that a whole block might overrun: few lengths, so that regions are met again. */
function shortRegion(budget: number): number | undefined {
  return budget >= MAX_BLOCK ? undefined : 1 << Math.floor(Math.log2(Math.max(1, budget)));
}
