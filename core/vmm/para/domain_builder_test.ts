import { assert, assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import {
  PV_FRAMES_END,
  UNMAPPED_BASE,
  XEN_HYPERCALL_PAGE,
  XEN_SHARED_INFO,
  XEN_START_INFO,
} from "../../guest/layout.ts";
import { ByteMemory } from "../../machine/memory.ts";
import { GDT_VIRT_START, MACH2PHYS_VIRT_START, START_INFO, VCPU_INFO } from "./abi.ts";
import { buildDomain, DomainBuildError } from "./domain_builder.ts";
import { leafEntry, PTE, walk } from "./page_tables.ts";
import { FRAME_TYPE } from "./page_types.ts";
import { emptyImage, testDomain } from "./testing.ts";

const MIB = 1 << 20;

Deno.test("buildDomain() maps RAM at its own addresses: tables read-only, Xen's frames not at all", () => {
  for (const size of [2 * MIB, 4 * MIB, 130 * MIB, 200 * MIB, 200 * MIB + PAGE_SIZE]) {
    const memory = new ByteMemory(new Uint8Array(size));
    const built = buildDomain(memory, emptyImage(size));
    const xen = new Set(built.xenFrames);
    const tables = Number(memory.readU64(XEN_START_INFO + START_INFO.nr_pt_frames as Gpa));
    const first = built.topTable / PAGE_SIZE;
    for (let frame = 0; frame < size / PAGE_SIZE; frame++) {
      const leaf = walk(memory, built.topTable, BigInt(frame * PAGE_SIZE));
      const isTable = frame >= first && frame < first + tables;
      const expected = xen.has(frame)
        ? undefined
        : { address: frame * PAGE_SIZE, writable: !isTable };
      assertEquals(leaf, expected, `frame ${frame} of ${size}`);
    }
    assertEquals(walk(memory, built.topTable, BigInt(size)), undefined);
  }
});

Deno.test("buildDomain() builds tables that Xen accepts, whatever the size", () => {
  for (const size of [2 * MIB, 4 * MIB, 200 * MIB]) {
    const { domain } = testDomain(size);
    const top = domain.built.topTable / PAGE_SIZE;
    assertEquals(domain.types.typeOf(top), FRAME_TYPE.l4);
    // Pinned, and in CR3.
    assertEquals(domain.types.uses(top), 2);
  }
});

Deno.test("buildDomain() ends the frames that a guest may have where its tables begin", () => {
  const size = 512 * MIB;
  const memory = new ByteMemory(new Uint8Array(size));
  const built = buildDomain(memory, emptyImage(size));
  assertEquals(memory.readU64(PV_FRAMES_END as Gpa), BigInt(built.topTable));
  assertGreaterOrEqual(built.topTable, size - 4 * MIB);
});

Deno.test("buildDomain() leaves what lies at 1 GiB unmapped", () => {
  const memory = new ByteMemory(new Uint8Array(UNMAPPED_BASE + MIB));
  const built = buildDomain(memory, emptyImage(memory.size));
  assertEquals(walk(memory, built.topTable, BigInt(UNMAPPED_BASE)), undefined);
  assert(walk(memory, built.topTable, 0n));
});

Deno.test("buildDomain() refuses an image that leaves no room for tables", () => {
  for (const [size, free] of [[0x80000, 0x2000], [200 * MIB, 200 * MIB]] as const) {
    const memory = new ByteMemory(new Uint8Array(size));
    const image = { ...emptyImage(size), free, placed: [] };
    assertThrows(() => buildDomain(memory, image), DomainBuildError, "no room");
  }
});

Deno.test("buildDomain() fills in start_info as a guest reads it", () => {
  const { vcpu, domain } = testDomain();
  const u64 = (offset: number) => vcpu.memory.readU64(XEN_START_INFO + offset as Gpa);
  const magic = vcpu.memory.read(XEN_START_INFO as Gpa, 16);
  assertEquals(new TextDecoder().decode(magic).replaceAll("\0", ""), "xen-4.17-x86_64");
  assertEquals(u64(START_INFO.nr_pages), 1024n);
  assertEquals(u64(START_INFO.shared_info), BigInt(XEN_SHARED_INFO));
  assertEquals(u64(START_INFO.pt_base), BigInt(domain.built.topTable));
  const p2m = Number(u64(START_INFO.mfn_list));
  assertEquals(vcpu.memory.readU64(p2m + 8 * 77 as Gpa), 77n);
  assertEquals(vcpu.get("rsi"), BigInt(XEN_START_INFO));
  // Events are held back at entry, by the virtual flag; the real one is set.
  assertEquals(
    vcpu.memory.read(XEN_SHARED_INFO + VCPU_INFO.evtchn_upcall_mask as Gpa, 1),
    Uint8Array.of(1),
  );
  assertEquals(vcpu.get("rflags"), 0x202n);
});

Deno.test("buildDomain() shows every guest the M2P, and the GDT to the CPU only", () => {
  const { vcpu, domain } = testDomain();
  const { topTable } = domain.built;
  const m2p = walk(vcpu.memory, topTable, MACH2PHYS_VIRT_START + 8n * 99n);
  assertEquals(m2p?.writable, false);
  assertEquals(vcpu.memory.readU64((m2p?.address ?? 0) as Gpa), 99n);
  const gdt = GDT_VIRT_START + 0xe000n;
  assertEquals(walk(vcpu.memory, topTable, gdt), undefined);
  const entry = vcpu.memory.readU64((leafEntry(vcpu.memory, topTable, gdt) ?? 0) as Gpa);
  assertEquals(entry & (PTE.P | PTE.U), PTE.P);
  // Descriptors at selectors 0xe020, 0xe028, 0xe030: code 32, data, code 64, all DPL 3.
  const at = Number(entry & 0xffff_f000n) + 0x20;
  const access = [0, 8, 16].map((i) => vcpu.memory.readU64(at + i as Gpa) >> 40n & 0xffn);
  assertEquals(access, [0xfbn, 0xf3n, 0xfbn]);
});

Deno.test("buildDomain() puts the hypercall page where the library calls it", () => {
  const { vcpu } = testDomain();
  const stub = vcpu.memory.read(XEN_HYPERCALL_PAGE + 32 * 18 as Gpa, 13);
  assertEquals(
    stub,
    Uint8Array.of(0x51, 0x41, 0x53, 0xb8, 18, 0, 0, 0, 0x0f, 0x05, 0x41, 0x5b, 0x59),
  );
});
