// A deprivileged guest for tests, without a monitor: page tables as Xen's domain builder makes them, code at CPL 3.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { CR0, CR4, EFER, RFLAGS, type Segment } from "../../base/registers.ts";
import { cpuid } from "../../cpu/cpuid.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { assemble } from "../../guest/asm/assemble.ts";
import type { ExecutionControls, Vcpu, VcpuFactory } from "../vcpu.ts";

export const DEPRIVILEGED: ExecutionControls = {
  kernel: treatments("deprivileged"),
  user: treatments("deprivileged"),
  exceptionVia: "fault",
  exceptions: ~0,
  paging: "direct",
};

/** Guest-physical addresses; the first 2 MiB are mapped at their own addresses, for CPL 3, but for what is said here. */
export const AT = {
  top: 0x1000,
  level1: 0x4000,
  code: 0x10000,
  stack: 0x20000,
  data: 0x30000,
  readOnly: 0x50000,
  absent: 0x60000,
  supervisor: 0x61000,
} as const;
const TABLES = { level3: 0x2000, level2: 0x3000, gdtLevel3: 0x5000, gdtLevel2: 0x6000 } as const;
const GDT_LEVEL1 = 0x7000, NO_DESCRIPTORS = 0x8000, DESCRIPTORS = 0x9000;
export const RAM = 4 << 20;
/** In Xen's part of the address space, fourteen pages for the guest and one of Xen's own. */
export const GDT = 0xffff_8200_0000_0000n;
const XEN_PAGE = 14;
export const CS = 0xe033, SS = 0xe02b;

const P = 1n, W = 2n, U = 4n, A = 0x20n;

const CODE: Segment = { selector: CS, base: 0n, limit: 0xffff_ffff, attributes: 0xa0fb };
const DATA: Segment = { selector: SS, base: 0n, limit: 0xffff_ffff, attributes: 0xc0f3 };
const NULL: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };

/** Changes the level-1 entry of a page of the first 2 MiB. */
export function mapPage(vcpu: Vcpu, linear: number, entry: bigint): void {
  vcpu.memory.writeU64(AT.level1 + 8 * (linear / PAGE_SIZE) as Gpa, entry);
}

function assembled(text: string): Uint8Array {
  const span = { file: { name: "test", text }, start: 0, end: 0 };
  const done = assemble([{ text, span: () => span }], { bits: 64, origin: AT.code });
  if (!done.assembled) throw new Error(done.diagnostics.map(({ message }) => message).join("\n"));
  return done.assembled.bytes;
}

/** A guest at its first instruction. */
export function startDeprivileged(factory: VcpuFactory, text: string): Vcpu {
  const vcpu = factory.create({
    memory: RAM,
    controls: DEPRIVILEGED,
    timestamp: () => 0n,
    // KVM refuses a CPU what its CPUID does not tell of.
    cpuid,
    count: () => {},
  });
  const { memory } = vcpu;
  const put = (table: number, slot: number, entry: bigint) =>
    memory.writeU64(table + 8 * slot as Gpa, entry);
  put(AT.top, 0, BigInt(TABLES.level3) | P | W | U);
  put(TABLES.level3, 0, BigInt(TABLES.level2) | P | W | U);
  put(TABLES.level2, 0, BigInt(AT.level1) | P | W | U);
  for (let page = 0; page < 512; page++) {
    put(AT.level1, page, BigInt(page * PAGE_SIZE) | P | W | U | A);
  }
  mapPage(vcpu, AT.readOnly, BigInt(AT.readOnly) | P | U);
  mapPage(vcpu, AT.absent, 0n);
  mapPage(vcpu, AT.supervisor, BigInt(AT.supervisor) | P | W);
  put(AT.top, 260, BigInt(TABLES.gdtLevel3) | P | W);
  put(TABLES.gdtLevel3, 0, BigInt(TABLES.gdtLevel2) | P | W);
  put(TABLES.gdtLevel2, 0, BigInt(GDT_LEVEL1) | P | W);
  for (let page = 0; page < XEN_PAGE; page++) {
    put(GDT_LEVEL1, page, BigInt(NO_DESCRIPTORS) | P | W);
  }
  put(GDT_LEVEL1, XEN_PAGE, BigInt(DESCRIPTORS) | P | W);
  put(DESCRIPTORS, 5, 0x00cf_f300_0000_ffffn);
  put(DESCRIPTORS, 6, 0x00af_fb00_0000_ffffn);
  memory.write(AT.code as Gpa, assembled(text));

  vcpu.set("efer", BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE));
  vcpu.set("cr4", BigInt(CR4.PAE | CR4.OSFXSR | CR4.OSXMMEXCPT));
  vcpu.set("cr3", BigInt(AT.top));
  const protection = CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.PG;
  vcpu.set("cr0", BigInt(protection >>> 0));
  for (const name of ["ds", "es", "fs", "gs", "ldtr", "tr"] as const) vcpu.setSegment(name, NULL);
  vcpu.setSegment("cs", CODE);
  vcpu.setSegment("ss", DATA);
  vcpu.setDescriptorTable("gdtr", GDT, 0xffff);
  vcpu.setDescriptorTable("idtr", 0n, 0);
  vcpu.set("rflags", BigInt(RFLAGS.IF | RFLAGS.FIXED));
  vcpu.set("rsp", BigInt(AT.stack));
  vcpu.set("rip", BigInt(AT.code));
  return vcpu;
}
