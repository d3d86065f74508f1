// The state in which a guest's first instruction runs: what a boot loader leaves behind. For every back end that shows its
// guest a bare machine; the domain builder of `para` has its own.
import {
  CR0,
  CR4,
  type DescriptorTable,
  EFER,
  GENERAL_REGISTERS,
  type GeneralRegister,
  RFLAGS,
  type Segment,
  type SegmentName,
  SPECIAL_REGISTERS,
  type SpecialRegister,
} from "../base/registers.ts";
import type { GuestImage, Placed } from "./image.ts";
import {
  GDT_BASE,
  IDT_BASE,
  IST1_TOP,
  REAL_STACK_TOP,
  RSP0_TOP,
  SELECTOR,
  STACK_TOP,
  TSS_BASE,
} from "./layout.ts";
import { BOOT_CR3, identityPageTables } from "./page_tables.ts";

/** Memory and registers of the first entry. */
export interface BootState {
  /** All there is to put into memory: the image's own bytes, then the tables. The rest is zero. */
  readonly placed: readonly Placed[];
  /** Registers that are not named are zero. */
  readonly general: Partial<Record<GeneralRegister, bigint>>;
  readonly special: Partial<Record<SpecialRegister, bigint>>;
  readonly segments: Record<SegmentName, Segment>;
  readonly gdtr: DescriptorTable;
  readonly idtr: DescriptorTable;
}

/** Segment attributes, as `Segment` has them; all present, code readable, data writable, both accessed. */
const ATTRIBUTES = {
  code16: 0x009b,
  data16: 0x0093,
  code32: 0xc09b,
  code64: 0xa09b,
  data: 0xc093,
  userData: 0xc0f3,
  userCode64: 0xa0fb,
  /** Busy, as LTR leaves it: 32-bit or 64-bit by mode. */
  tss: 0x008b,
  ldt: 0x0082,
} as const;

const FLAT_LIMIT = 0xffffffff;
const REAL_LIMIT = 0xffff;
/** F000:0000. */
const ROM_SEGMENT = 0xf0000;
/** CR0.CD and CR0.NW, set by reset. */
const CR0_CACHE_OFF = 0x6000_0000n;
/** Base of CS after reset. */
const RESET_BASE = 0xffff_0000n;
/** What reset leaves in EDX: CPUID leaf 1, EAX. */
const CPU_SIGNATURE = 0x601n;
/** Highest byte offset of a TSS with no I/O map, 32-bit and 64-bit alike (SDM vol. 3, 8.2.1 and 8.7). */
const TSS_LIMIT = 0x67;

/** The state of the first entry of an image for bare hardware or KVM. */
export function bootState(image: GuestImage): BootState {
  const state = entryState(image);
  const general: Partial<Record<GeneralRegister, bigint>> = { ...state.general };
  const special: Partial<Record<SpecialRegister, bigint>> = { ...state.special };
  for (const name of GENERAL_REGISTERS) {
    const value = image.registers[name];
    if (value !== undefined) general[name] = value;
  }
  for (const name of SPECIAL_REGISTERS) {
    const value = image.registers[name];
    if (value !== undefined) special[name] = value;
  }
  return { ...state, placed: [...image.placed, ...state.placed], general, special };
}

function entryState(image: GuestImage): BootState {
  switch (image.format) {
    case "multiboot":
    case "pvh":
      return bootLoaderState(image);
    case "rom":
      return resetState(image);
  }
  switch (image.entry) {
    case "real16":
      return realMode(image);
    case "protected32":
      return protectedMode(image);
    case "long64":
      return longMode(image);
    default:
      return image.entry satisfies never;
  }
}

function realMode(image: GuestImage): BootState {
  const data = { selector: 0, base: 0n, limit: REAL_LIMIT, attributes: ATTRIBUTES.data16 };
  return {
    placed: [],
    general: { rsp: BigInt(REAL_STACK_TOP) },
    special: entryRegisters(image, BigInt(CR0.ET)),
    segments: {
      ...dataSegments(data),
      cs: { ...data, attributes: ATTRIBUTES.code16 },
      ldtr: { ...data, attributes: ATTRIBUTES.ldt },
      tr: { ...data, attributes: ATTRIBUTES.tss },
    },
    gdtr: { base: 0n, limit: REAL_LIMIT },
    // The interrupt vector table at 0, where reset puts it: 256 far pointers, all zero.
    idtr: { base: 0n, limit: 256 * 4 - 1 },
  };
}

function protectedMode(image: GuestImage): BootState {
  const tss = new DataView(new ArrayBuffer(TSS_LIMIT + 1));
  tss.setUint32(4, RSP0_TOP, true); // ESP0, SS0, I/O map base: SDM vol. 3, figure 8-2
  tss.setUint16(8, SELECTOR.data, true);
  tss.setUint16(102, TSS_LIMIT + 1, true);
  return {
    placed: [{ address: TSS_BASE, bytes: new Uint8Array(tss.buffer) }, globalDescriptors()],
    general: { rsp: BigInt(STACK_TOP) },
    special: entryRegisters(image, BigInt(CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP)),
    segments: flatSegments(SELECTOR.code32, ATTRIBUTES.code32),
    gdtr: GDTR,
    idtr: { base: BigInt(IDT_BASE), limit: 256 * 8 - 1 },
  };
}

/**
 * What multiboot (0.6.96, 3.2) and PVH ask for alike: flat 32-bit segments, protection and nothing else in CR0. The GDT is a
 * courtesy; there is no IDT, and the stack is the kernel's own affair.
 */
function bootLoaderState(image: GuestImage): BootState {
  const state = protectedMode(image);
  return {
    ...state,
    general: {},
    special: entryRegisters(image, BigInt(CR0.PE | CR0.ET)),
    idtr: { base: 0n, limit: 0 },
  };
}

/** The CPU after reset (SDM vol. 3, table 10-1): CS counts from 0xffff0000, where the ROM is, until it is loaded. */
function resetState(image: GuestImage): BootState {
  const state = realMode(image);
  const { cs } = state.segments;
  return {
    ...state,
    general: { rdx: CPU_SIGNATURE },
    special: {
      ...state.special,
      rip: BigInt(image.start - ROM_SEGMENT),
      cr0: BigInt(CR0.ET) | CR0_CACHE_OFF,
    },
    segments: {
      ...state.segments,
      cs: { ...cs, selector: ROM_SEGMENT >> 4, base: RESET_BASE },
    },
    idtr: { base: 0n, limit: REAL_LIMIT },
  };
}

function longMode(image: GuestImage): BootState {
  const tss = new DataView(new ArrayBuffer(TSS_LIMIT + 1));
  tss.setBigUint64(4, BigInt(RSP0_TOP), true); // RSP0, IST1, I/O map base: SDM vol. 3, figure 8-11
  tss.setBigUint64(36, BigInt(IST1_TOP), true);
  tss.setUint16(102, TSS_LIMIT + 1, true);
  const cr0 = BigInt(CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP) | BigInt(CR0.PG);
  return {
    placed: [
      { address: TSS_BASE, bytes: new Uint8Array(tss.buffer) },
      globalDescriptors(),
      ...identityPageTables(image.memory),
    ],
    general: { rsp: BigInt(STACK_TOP) },
    special: {
      ...entryRegisters(image, cr0),
      cr3: BOOT_CR3,
      // SSE is what 64-bit code computes with. No bit that the CPU lacks: what is read here must be possible to write back.
      cr4: BigInt(CR4.PAE | CR4.OSFXSR | CR4.OSXMMEXCPT),
      efer: BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE),
    },
    segments: flatSegments(SELECTOR.code64, ATTRIBUTES.code64),
    gdtr: GDTR,
    idtr: { base: BigInt(IDT_BASE), limit: 256 * 16 - 1 },
  };
}

function entryRegisters(
  image: GuestImage,
  cr0: bigint,
): Partial<Record<SpecialRegister, bigint>> {
  return {
    rip: BigInt(image.start),
    rflags: BigInt(RFLAGS.FIXED),
    cr0,
    cr3: 0n,
    cr4: 0n,
    efer: 0n,
  };
}

function dataSegments(data: Segment) {
  return { es: data, ss: data, ds: data, fs: data, gs: data };
}

function flatSegments(code: number, attributes: number): Record<SegmentName, Segment> {
  return {
    ...dataSegments({
      selector: SELECTOR.data,
      base: 0n,
      limit: FLAT_LIMIT,
      attributes: ATTRIBUTES.data,
    }),
    cs: { selector: code, base: 0n, limit: FLAT_LIMIT, attributes },
    ldtr: { selector: 0, base: 0n, limit: 0, attributes: ATTRIBUTES.ldt },
    tr: {
      selector: SELECTOR.tss,
      base: BigInt(TSS_BASE),
      limit: TSS_LIMIT,
      attributes: ATTRIBUTES.tss,
    },
  };
}

/** Null, code64, data, code32, user data, user code64, and the TSS, which takes two entries in long mode. */
const GDT_ENTRIES = 8;
const GDTR: DescriptorTable = { base: BigInt(GDT_BASE), limit: GDT_ENTRIES * 8 - 1 };

/** The GDT, in the order of `SELECTOR`. */
function globalDescriptors(): Placed {
  const view = new DataView(new ArrayBuffer(GDT_ENTRIES * 8));
  const set = (selector: number, base: number, limit: number, attributes: number) =>
    view.setBigUint64(selector & ~7, descriptor(base, limit, attributes), true);
  set(SELECTOR.code64, 0, FLAT_LIMIT, ATTRIBUTES.code64);
  set(SELECTOR.data, 0, FLAT_LIMIT, ATTRIBUTES.data);
  set(SELECTOR.code32, 0, FLAT_LIMIT, ATTRIBUTES.code32);
  set(SELECTOR.userData, 0, FLAT_LIMIT, ATTRIBUTES.userData);
  set(SELECTOR.userCode64, 0, FLAT_LIMIT, ATTRIBUTES.userCode64);
  set(SELECTOR.tss, TSS_BASE, TSS_LIMIT, ATTRIBUTES.tss);
  return { address: GDT_BASE, bytes: new Uint8Array(view.buffer) };
}

/** An 8-byte descriptor (SDM vol. 3, figure 3-8). `attributes` as `Segment` has them, `limit` in bytes. */
export function descriptor(base: number, limit: number, attributes: number): bigint {
  const scaled = BigInt(attributes & 0x8000 ? Math.floor(limit / 4096) : limit);
  const start = BigInt(base);
  return (scaled & 0xffffn) | ((start & 0xff_ffffn) << 16n) | (BigInt(attributes) << 40n) |
    ((scaled >> 16n) << 48n) | ((start >> 24n) << 56n);
}
