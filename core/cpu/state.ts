// The CPU's state as TypeScript sees it: named accessors over the WebAssembly memory.
import {
  CR0,
  CR4,
  type DescriptorTable,
  EFER,
  GENERAL_REGISTERS,
  type RegisterName,
  type Registers,
  RFLAGS,
  type Segment,
  SEGMENT_REGISTERS,
  type SegmentName,
  SPECIAL_REGISTERS,
} from "../base/registers.ts";
import { Breakpoints } from "./debug.ts";
import * as L from "./layout.ts";
import { CC, STATUS_FLAGS, statusFlags } from "./lazy_flags.ts";
import { FOUR_LEVEL_BITS, LINEAR_ADDRESS_BITS } from "./walk.ts";

const CONTROL_OFFSETS = {
  cr0: L.CR0,
  cr2: L.CR2,
  cr3: L.CR3,
  cr4: L.CR4,
  cr8: L.CR8,
  efer: L.EFER,
} as const;

const attributesOf = (name: SegmentName): number =>
  L.SEGMENTS + L.SEGMENT_STRIDE * SEGMENT_REGISTERS.indexOf(name) + L.SEGMENT_ATTRIBUTES;
const CS_ATTRIBUTES = attributesOf("cs"), SS_ATTRIBUTES = attributesOf("ss");

/** Attribute bits of a segment (see `Segment.attributes`). */
export const ATTRIBUTE = { S: 1 << 4, P: 1 << 7, L: 1 << 13, DB: 1 << 14, G: 1 << 15 } as const;

/** Everything a guest program can name, except MSRs that are not segment bases. */
export class CpuState {
  readonly view: DataView;
  /** State of MSRs with no place in the layout, by number. Reset values are the accessor's business. */
  readonly msrs = new Map<number, bigint>();
  /**
   * Interrupts are held back until one more instruction has retired: after STI; and after MOV SS or POP SS, which hold back NMI
   * and debug exceptions too (SDM vol. 3, 6.8.3).
   */
  interruptShadow: false | "sti" | "mov-ss" = false;
  /** What DR0 to DR3 and DR7 watch. */
  readonly breakpoints = new Breakpoints();
  /** Causes of a debug trap that is due before the next instruction, as DR6 has them; 0 for none. */
  pendingDebug = 0;
  /** An NMI has come and not been delivered; none is until IRET has ended the handler of the last (SDM vol. 3, 6.7.1). */
  nmiPending = false;
  nmiBlocked = false;
  /** XCR0: which state XSAVE and XRSTOR manage. */
  xcr0 = 1n;
  /** What MOV CR3 and the like have loaded of the page-directory pointers of PAE paging (SDM vol. 3, 4.4.1). */
  pagePointers: readonly bigint[] = [0n, 0n, 0n, 0n];

  constructor(readonly buffer: ArrayBuffer) {
    this.view = new DataView(buffer);
  }

  gpr(index: number): bigint {
    return this.view.getBigUint64(L.GPR + 8 * index, true);
  }
  setGpr(index: number, value: bigint): void {
    this.view.setBigUint64(L.GPR + 8 * index, BigInt.asUintN(64, value), true);
  }
  get rip(): bigint {
    return this.view.getBigUint64(L.RIP, true);
  }
  set rip(value: bigint) {
    this.view.setBigUint64(L.RIP, BigInt.asUintN(64, value), true);
  }
  get rflags(): bigint {
    const op = this.view.getInt32(L.CC_OP, true);
    const dst = this.view.getBigUint64(L.CC_DST, true);
    const src = this.view.getBigUint64(L.CC_SRC, true);
    const aux = this.view.getInt32(L.CC_AUX, true);
    return this.view.getBigUint64(L.FLAGS_REST, true) | statusFlags(op, dst, src, aux);
  }
  set rflags(value: bigint) {
    this.view.setInt32(L.CC_OP, CC.FLAGS, true);
    this.view.setBigUint64(L.CC_SRC, value & STATUS_FLAGS, true);
    this.view.setBigUint64(L.FLAGS_REST, (value & ~STATUS_FLAGS) | 2n, true);
  }
  /** RFLAGS as far as it is at hand: without the six status flags, which take working out. 32 bits. */
  get systemFlags(): number {
    return this.view.getUint32(L.FLAGS_REST, true);
  }
  control(name: keyof typeof CONTROL_OFFSETS): bigint {
    return this.view.getBigUint64(CONTROL_OFFSETS[name], true);
  }
  setControl(name: keyof typeof CONTROL_OFFSETS, value: bigint): void {
    this.view.setBigUint64(CONTROL_OFFSETS[name], BigInt.asUintN(64, value), true);
  }
  debug(index: number): bigint {
    return this.view.getBigUint64(L.DR + 8 * index, true);
  }
  setDebug(index: number, value: bigint): void {
    this.view.setBigUint64(L.DR + 8 * index, BigInt.asUintN(64, value), true);
    if (index === 6) return;
    this.breakpoints.load([0, 1, 2, 3].map((n) => this.debug(n)), this.debug(7));
  }
  /** RFLAGS.RF: the next instruction meets no instruction breakpoint. */
  get resuming(): boolean {
    return (this.systemFlags & RFLAGS.RF) !== 0;
  }
  set resuming(on: boolean) {
    const flags = on ? this.systemFlags | RFLAGS.RF : this.systemFlags & ~RFLAGS.RF;
    this.view.setUint32(L.FLAGS_REST, flags, true);
  }
  /** Does a data access of user mode have to be aligned (SDM vol. 3, 6.15, #AC)? */
  get checksAlignment(): boolean {
    return (this.systemFlags & RFLAGS.AC) !== 0 &&
      (this.view.getUint32(L.CR0, true) & CR0.AM) !== 0 && this.cpl === 3;
  }

  /** An XMM register: 128 bits. */
  xmm(index: number): bigint {
    const at = L.XMM + 16 * index;
    return this.view.getBigUint64(at, true) | this.view.getBigUint64(at + 8, true) << 64n;
  }
  setXmm(index: number, value: bigint): void {
    const at = L.XMM + 16 * index;
    this.view.setBigUint64(at, BigInt.asUintN(64, value), true);
    this.view.setBigUint64(at + 8, BigInt.asUintN(64, value >> 64n), true);
  }
  /** Control and status of the SSE instructions. */
  get mxcsr(): number {
    return this.view.getUint32(L.MXCSR, true);
  }
  set mxcsr(value: number) {
    this.view.setUint32(L.MXCSR, value, true);
  }

  segment(name: SegmentName): Segment {
    const at = L.SEGMENTS + L.SEGMENT_STRIDE * SEGMENT_REGISTERS.indexOf(name);
    return {
      selector: this.view.getUint32(at + L.SEGMENT_SELECTOR, true),
      base: this.view.getBigUint64(at + L.SEGMENT_BASE, true),
      limit: this.view.getUint32(at + L.SEGMENT_LIMIT, true),
      attributes: this.view.getUint32(at + L.SEGMENT_ATTRIBUTES, true),
    };
  }
  setSegment(name: SegmentName, segment: Segment): void {
    const at = L.SEGMENTS + L.SEGMENT_STRIDE * SEGMENT_REGISTERS.indexOf(name);
    this.view.setUint32(at + L.SEGMENT_SELECTOR, segment.selector, true);
    this.view.setBigUint64(at + L.SEGMENT_BASE, BigInt.asUintN(64, segment.base), true);
    this.view.setUint32(at + L.SEGMENT_LIMIT, segment.limit, true);
    this.view.setUint32(at + L.SEGMENT_ATTRIBUTES, segment.attributes, true);
  }
  get gdtr(): DescriptorTable {
    return {
      base: this.view.getBigUint64(L.GDTR_BASE, true),
      limit: this.view.getUint32(L.GDTR_LIMIT, true),
    };
  }
  set gdtr(table: DescriptorTable) {
    this.view.setBigUint64(L.GDTR_BASE, BigInt.asUintN(64, table.base), true);
    this.view.setUint32(L.GDTR_LIMIT, table.limit, true);
  }
  get idtr(): DescriptorTable {
    return {
      base: this.view.getBigUint64(L.IDTR_BASE, true),
      limit: this.view.getUint32(L.IDTR_LIMIT, true),
    };
  }
  set idtr(table: DescriptorTable) {
    this.view.setBigUint64(L.IDTR_BASE, BigInt.asUintN(64, table.base), true);
    this.view.setUint32(L.IDTR_LIMIT, table.limit, true);
  }

  /** Current privilege level: 0 in real mode, 3 in virtual-8086 mode, else DPL of SS (SDM vol. 3, 25.3.1.5 note). */
  get cpl(): number {
    if (!(this.view.getUint32(L.CR0, true) & CR0.PE)) return 0;
    if (this.systemFlags & RFLAGS.VM) return 3;
    return (this.view.getUint32(SS_ATTRIBUTES, true) >> 5) & 3;
  }
  /** Bits of a linear address that can be translated: 57 with 5-level paging. */
  get linearBits(): number {
    return this.view.getUint32(L.CR4, true) & CR4.LA57 ? LINEAR_ADDRESS_BITS : FOUR_LEVEL_BITS;
  }
  /** Which context CR3 names: 0 without CR4.PCIDE. */
  get pcid(): number {
    if (!(this.view.getUint32(L.CR4, true) & CR4.PCIDE)) return 0;
    return this.view.getUint32(L.CR3, true) & 0xfff;
  }
  /** Size of code: what CS and EFER.LMA make of it. */
  get bitness(): 16 | 32 | 64 {
    const attributes = this.view.getUint32(CS_ATTRIBUTES, true);
    if (this.view.getUint32(L.EFER, true) & EFER.LMA && attributes & ATTRIBUTE.L) return 64;
    return attributes & ATTRIBUTE.DB ? 32 : 16;
  }

  /** A register by name. */
  get(name: RegisterName): bigint {
    switch (name) {
      case "rip":
        return this.rip;
      case "rflags":
        return this.rflags;
      case "cr0":
      case "cr2":
      case "cr3":
      case "cr4":
      case "cr8":
      case "efer":
        return this.control(name);
      default:
        return this.gpr(GENERAL_REGISTERS.indexOf(name));
    }
  }
  set(name: RegisterName, value: bigint): void {
    switch (name) {
      case "rip":
        this.rip = value;
        break;
      case "rflags":
        this.rflags = value;
        break;
      case "cr0":
      case "cr2":
      case "cr3":
      case "cr4":
      case "cr8":
      case "efer":
        this.setControl(name, value);
        break;
      default:
        this.setGpr(GENERAL_REGISTERS.indexOf(name), value);
    }
  }

  /** A copy of the whole register file. */
  snapshot(): Registers {
    const pick = <K extends string, V>(names: readonly K[], value: (name: K) => V): Record<K, V> =>
      Object.fromEntries(names.map((name) => [name, value(name)])) as Record<K, V>;
    return {
      general: pick(GENERAL_REGISTERS, (name) => this.get(name)),
      special: pick(SPECIAL_REGISTERS, (name) => this.get(name)),
      segments: pick(SEGMENT_REGISTERS, (name) => this.segment(name)),
      gdtr: this.gdtr,
      idtr: this.idtr,
    };
  }
}
