// A CPU over plain memory, for tests of instruction semantics: RAM from physical address 0, a record of what it counted,
// and instructions given as bytes.
import { Decoder, DecoderOptions, type Instruction } from "iced-x86";
import { DEFAULT_SEED, entropy } from "../base/entropy.ts";
import { CR0, CR4, EFER, type SegmentName } from "../base/registers.ts";
import { Bus } from "../machine/bus.ts";
import type { Device } from "../machine/device.ts";
import { cpuid } from "./cpuid.ts";
import type { Cpu, PhysicalMemory, Surroundings } from "./cpu.ts";
import { type Effect, execute } from "./execute/execute.ts";
import { GuestFault } from "./fault.ts";
import * as L from "./layout.ts";
import { Mmu, type ShadowLookup } from "./mmu.ts";
import { reset } from "./reset.ts";
import { CpuState } from "./state.ts";

/** RAM of a test CPU: 1 MiB. */
const MEMORY = 0x10_0000;

/** A device that answers with what was written last, and remembers everything. */
export class EchoDevice implements Device {
  value = 0;
  readonly log: string[] = [];
  read(offset: number, size: number): number {
    this.log.push(`read ${offset} ${size}`);
    return this.value;
  }
  write(offset: number, size: number, value: number): void {
    this.log.push(`write ${offset} ${size} ${value.toString(16)}`);
    this.value = value;
  }
  save() {
    return {};
  }
  restore() {}
}

/** A CPU with everything that a test looks at. */
export class TestCpu implements Cpu {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly memory: Mmu;
  readonly surroundings: Surroundings;
  readonly ram: DataView;
  readonly echo = new EchoDevice();
  /** What `count` was told. */
  readonly counts: Record<string, number> = {};
  /** What was flushed: addresses, or the kind of flush. */
  readonly flushed: (bigint | string)[] = [];
  time = 1000n;
  shadow: ShadowLookup | undefined;

  constructor() {
    const buffer = new ArrayBuffer(L.RAM + MEMORY);
    this.state = new CpuState(buffer);
    this.ram = new DataView(buffer, L.RAM, MEMORY);
    this.physical = new TestMemory(this.ram);
    this.memory = new Mmu(this.state, this.physical, {
      shadow: () => this.shadow,
    });
    const bus = new Bus();
    bus.attach("port", 0x80, 8, "echo", this.echo);
    this.surroundings = {
      bus,
      timestamp: () => this.time,
      cpuid,
      random: entropy(DEFAULT_SEED),
      flushTranslations: (flush) => {
        this.flushed.push(flush.of === "page" ? flush.linear : flush.of);
      },
      count: (what) => this.counts[what] = (this.counts[what] ?? 0) + 1,
    };
    reset(this.state);
    this.#flatSegments(0, 0, 0x93, 0x93);
    this.state.rip = 0x1000n;
  }

  #flatSegments(cs: number, data: number, codeAttributes: number, dataAttributes: number): void {
    const limit = codeAttributes & 0x8000 ? 0xffff_ffff : 0xffff;
    const names: SegmentName[] = ["es", "ss", "ds", "fs", "gs"];
    for (const name of names) {
      this.state.setSegment(name, { selector: data, base: 0n, limit, attributes: dataAttributes });
    }
    this.state.setSegment("cs", { selector: cs, base: 0n, limit, attributes: codeAttributes });
  }

  /** Sets general registers and control registers by name. */
  set(values: Partial<Record<Parameters<CpuState["set"]>[0], bigint | number>>): this {
    for (const [name, value] of Object.entries(values)) {
      this.state.set(name as Parameters<CpuState["set"]>[0], BigInt(value));
    }
    return this;
  }

  /** Writes bytes to RAM. */
  poke(address: number, bytes: readonly number[]): this {
    for (const [i, byte] of bytes.entries()) this.ram.setUint8(address + i, byte);
    return this;
  }
  poke64(address: number, ...values: (bigint | number)[]): this {
    for (const [i, value] of values.entries()) {
      this.ram.setBigUint64(address + 8 * i, BigInt.asUintN(64, BigInt(value)), true);
    }
    return this;
  }
  peek64(address: number): bigint {
    return this.ram.getBigUint64(address, true);
  }
  peek32(address: number): number {
    return this.ram.getUint32(address, true);
  }
  peek16(address: number): number {
    return this.ram.getUint16(address, true);
  }

  /** Executes the instruction with these bytes at RIP; the bytes need not be in memory. */
  run(...bytes: number[]): Effect {
    return execute(this, decode(this.state.bitness, this.state.rip, bytes));
  }

  /** Executes, and returns the fault that this throws: vector, error code, address. Fails the test if there is none. */
  fault(...bytes: number[]): (number | bigint | undefined)[] {
    return caught(() => this.run(...bytes));
  }
}

/** The parts of the `GuestFault` that `work` throws. */
export function caught(work: () => unknown): (number | bigint | undefined)[] {
  try {
    work();
  } catch (thrown) {
    if (!(thrown instanceof GuestFault)) throw thrown;
    const { vector, errorCode, address } = thrown;
    return address === undefined
      ? errorCode === undefined ? [vector] : [vector, errorCode]
      : [vector, errorCode, address];
  }
  throw new Error("No fault was raised");
}

/** Decodes one instruction. */
export function decode(
  bits: 16 | 32 | 64,
  rip: bigint,
  bytes: readonly number[],
): Instruction {
  const decoder = new Decoder(bits, Uint8Array.from(bytes), DecoderOptions.None);
  decoder.ip = rip;
  const instruction = decoder.decode();
  decoder.free();
  return instruction;
}

class TestMemory implements PhysicalMemory {
  a20 = true;
  constructor(readonly ram: DataView) {}
  isRam(address: number, length: number): boolean {
    return address + length <= this.ram.byteLength;
  }
  isWritable(address: number, length: number): boolean {
    return this.isRam(address, length);
  }
  read(address: number, size: 1 | 2 | 4 | 8): bigint {
    if (!this.isRam(address, size)) return (1n << BigInt(8 * size)) - 1n;
    switch (size) {
      case 1:
        return BigInt(this.ram.getUint8(address));
      case 2:
        return BigInt(this.ram.getUint16(address, true));
      case 4:
        return BigInt(this.ram.getUint32(address, true));
      case 8:
        return this.ram.getBigUint64(address, true);
    }
  }
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (!this.isRam(address, size)) return;
    switch (size) {
      case 1:
        return this.ram.setUint8(address, Number(value));
      case 2:
        return this.ram.setUint16(address, Number(value), true);
      case 4:
        return this.ram.setUint32(address, Number(value), true);
      case 8:
        return this.ram.setBigUint64(address, value, true);
    }
  }
}

/** Where a test CPU's tables are. */
export const TABLES = {
  gdt: 0x2000,
  idt: 0x3000,
  tss: 0x4000,
  ldt: 0x5000,
  pages: 0x8000,
} as const;

/** Selectors of the GDT that protected and long mode set up. */
export const SELECTORS = {
  code0: 0x08,
  data0: 0x10,
  code3: 0x18 | 3,
  data3: 0x20 | 3,
  /** The other code size at level 0: 16-bit in protected mode, compatibility in long mode. */
  other0: 0x28,
  /** Two slots: 16 bytes in long mode. */
  tss: 0x30,
  ldt: 0x40,
  conforming0: 0x50,
  absent0: 0x58,
  gate: 0x60,
} as const;

/** An eight-byte descriptor, by attributes as in `Segment`. */
export function descriptor(base: number, limit: number, attributes: number): bigint {
  const low = (BigInt(base & 0xffff) << 16n) | BigInt(limit & 0xffff);
  const high = BigInt((base >>> 16) & 0xff) | (BigInt(attributes & 0xff) << 8n) |
    BigInt(limit & 0xf0000) | (BigInt(attributes >> 12) << 20n) |
    (BigInt((base >>> 24) & 0xff) << 24n);
  return (high << 32n) | low;
}

/** A gate: type and DPL in `access` as the descriptor's byte 5 has them. */
export function gate(selector: number, offset: number, access: number, low = 0): bigint {
  return BigInt(offset & 0xffff) | (BigInt(selector) << 16n) | (BigInt(low) << 32n) |
    (BigInt(access) << 40n) | (BigInt(offset >>> 16) << 48n);
}

/** Code of the level that a mode starts at; `level` 3 enters user mode. */
interface ModeOptions {
  readonly level?: 0 | 3;
}

function tables(cpu: TestCpu, long: boolean): void {
  const code = long ? 0xa09b : 0xc09b;
  const entries: [number, bigint][] = [
    [SELECTORS.code0, descriptor(0, 0xfffff, code)],
    [SELECTORS.data0, descriptor(0, 0xfffff, 0xc093)],
    [SELECTORS.code3, descriptor(0, 0xfffff, code | 0x60)],
    [SELECTORS.data3, descriptor(0, 0xfffff, 0xc0f3)],
    [SELECTORS.other0, descriptor(0, 0xfffff, long ? 0xc09b : 0x809b)],
    [SELECTORS.tss, descriptor(TABLES.tss, 0x0fff, 0x89)],
    [SELECTORS.ldt, descriptor(TABLES.ldt, 0x00ff, 0x82)],
    [SELECTORS.conforming0, descriptor(0, 0xfffff, (long ? 0xa09e : 0xc09e) | 1)],
    [SELECTORS.absent0, descriptor(0, 0xfffff, code & ~0x80)],
  ];
  for (const [selector, raw] of entries) cpu.poke64(TABLES.gdt + (selector & ~7), raw);
  cpu.state.gdtr = { base: BigInt(TABLES.gdt), limit: 0x7f };
  cpu.state.idtr = { base: BigInt(TABLES.idt), limit: 0xfff };
  const tss = {
    selector: SELECTORS.tss,
    base: BigInt(TABLES.tss),
    limit: 0x0fff,
    attributes: 0x8b,
  };
  cpu.state.setSegment("tr", tss);
  // No I/O map: its base is beyond the limit.
  cpu.ram.setUint16(TABLES.tss + 0x66, 0x1000, true);
}

function segments(cpu: TestCpu, long: boolean, level: 0 | 3): void {
  const flat = { base: 0n, limit: 0xffff_ffff };
  const dpl = level << 5;
  const data = {
    ...flat,
    selector: level ? SELECTORS.data3 : SELECTORS.data0,
    attributes: 0xc093 | dpl,
  };
  for (const name of ["es", "ss", "ds", "fs", "gs"] as const) cpu.state.setSegment(name, data);
  const selector = level ? SELECTORS.code3 : SELECTORS.code0;
  cpu.state.setSegment("cs", { ...flat, selector, attributes: (long ? 0xa09b : 0xc09b) | dpl });
  cpu.state.set("rsp", 0x7000n);
}

/** A CPU in real mode, at 0:1000, stack at 0:7000. */
export function realMode(): TestCpu {
  return new TestCpu().set({ rsp: 0x7000n });
}

/** A CPU in 32-bit protected mode without paging. */
export function protectedMode({ level = 0 }: ModeOptions = {}): TestCpu {
  const cpu = new TestCpu();
  cpu.state.setControl("cr0", BigInt(CR0.PE | CR0.ET));
  tables(cpu, false);
  segments(cpu, false, level);
  // ESP0 and SS0.
  cpu.poke64(TABLES.tss, BigInt(0x6000) << 32n, SELECTORS.data0);
  return cpu;
}

/** A CPU in 64-bit mode: the first MiB identity-mapped for both levels, by 4-KiB pages. */
export function longMode({ level = 0 }: ModeOptions = {}): TestCpu {
  const cpu = new TestCpu();
  const [pml4, pdpt, pd, pt] = [0, 1, 2, 3].map((i) => TABLES.pages + 0x1000 * i) as [
    number,
    number,
    number,
    number,
  ];
  cpu.poke64(pml4, pdpt | 0x27).poke64(pdpt, pd | 0x27).poke64(pd, pt | 0x27);
  for (let page = 0; page < 256; page++) cpu.poke64(pt + 8 * page, (page << 12) | 0x67);
  cpu.state.setControl("cr3", BigInt(pml4));
  cpu.state.setControl("cr4", BigInt(CR4.PAE));
  cpu.state.setControl("efer", BigInt(EFER.LME | EFER.LMA | EFER.NXE | EFER.SCE));
  cpu.state.setControl("cr0", BigInt(CR0.PE | CR0.ET | CR0.WP) | BigInt(CR0.PG));
  tables(cpu, true);
  segments(cpu, true, level);
  // RSP0, and IST1.
  cpu.ram.setBigUint64(TABLES.tss + 4, 0x6000n, true);
  cpu.ram.setBigUint64(TABLES.tss + 0x24, 0x6800n, true);
  return cpu;
}
