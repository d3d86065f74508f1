import { assertEquals } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../../base/address.ts";
import { MMUEXT } from "../abi.ts";
import { leafEntry } from "../page_tables.ts";
import { FRAME_TYPE } from "../page_types.ts";
import { SCRATCH, type TestDomain, testDomain } from "../testing.ts";

const SELF = 0x7ff0;
const REQUESTS = SCRATCH;
const DONE = SCRATCH + 0x800;
const RW = 7;
const RO = 5;

/** Address of the entry that maps a linear address. */
function entryFor({ domain }: TestDomain, linear: number): number {
  return leafEntry(domain.memory, domain.table, BigInt(linear)) ?? 0;
}

function mmuUpdate(test: TestDomain, ...words: (number | bigint)[]) {
  test.put(REQUESTS, ...words);
  return test.call("mmu_update", REQUESTS, words.length / 2, DONE, SELF);
}

function mmuext(
  test: TestDomain,
  command: number,
  arg1: number | bigint,
  arg2: number | bigint = 0,
) {
  test.put(REQUESTS, command, arg1, arg2);
  return test.call("mmuext_op", REQUESTS, 1, DONE, SELF);
}

Deno.test("mmu_update does what it can and tells how much that was", () => {
  const test = testDomain();
  const [a, b] = [entryFor(test, SCRATCH + 0x4000), entryFor(test, SCRATCH + 0x5000)];
  const frame = SCRATCH + 0x6000;
  // The second request asks for a writable page table.
  const top = test.domain.kernelTable;
  assertEquals(mmuUpdate(test, a, frame | RW, b, top | RW, b, 0), -16n);
  assertEquals(test.vcpu.memory.readU32(DONE as Gpa), 1);
  assertEquals(test.vcpu.memory.readU64(a as Gpa), BigInt(frame | RW));
  assertEquals(test.vcpu.memory.readU64(b as Gpa) & 0xfffn, 0x67n);
});

Deno.test("mmu_update hooks in a new table once it is read-only, and not before", () => {
  const test = testDomain();
  const table = SCRATCH + 0x7000;
  const level3 = Number(test.vcpu.memory.readU64(test.domain.kernelTable as Gpa) & ~0xfffn);
  const hook = [level3 + 8, table | RW] as const;
  assertEquals(mmuUpdate(test, ...hook), -22n);
  assertEquals(mmuUpdate(test, entryFor(test, table), table | RO, ...hook), 0n);
  assertEquals(test.domain.types.typeOf(table / PAGE_SIZE), FRAME_TYPE.l2);
  assertEquals(mmuUpdate(test, entryFor(test, table), table | RW), -16n);
});

const REFUSED_UPDATES: readonly [what: string, pointer: number | bigint, errno: bigint][] = [
  ["an unknown command", 3, -38n],
  ["an address that is not RAM", 1n << 40n, -22n],
];

for (const [what, pointer, errno] of REFUSED_UPDATES) {
  Deno.test(`mmu_update refuses ${what}`, () => {
    const test = testDomain();
    assertEquals(mmuUpdate(test, pointer, 0), errno);
  });
}

Deno.test("mmu_update refuses Xen's frames, foreign domains and endless lists", () => {
  const test = testDomain();
  const xen = (test.domain.built.xenFrames[0] ?? 0) * PAGE_SIZE;
  assertEquals(mmuUpdate(test, xen, 0), -22n);
  assertEquals(mmuUpdate(test, entryFor(test, SCRATCH), xen | RO), -1n);
  assertEquals(test.call("mmu_update", REQUESTS, 1, 0, 3), -1n);
  assertEquals(test.call("mmu_update", REQUESTS, 0xffff_ffff, 0, SELF), -22n);
  assertEquals(test.call("mmu_update", 0x4000_0000, 1, 0, SELF), -14n);
});

Deno.test("mmu_update keeps the pages that Xen writes to from becoming tables", () => {
  for (const shared of [0x41000, 0x42000, 0x45000, 0x46000]) {
    const test = testDomain();
    assertEquals(mmuUpdate(test, entryFor(test, shared), shared | RO), 0n);
    assertEquals(mmuext(test, MMUEXT.PIN_L1_TABLE, shared / PAGE_SIZE), -22n);
  }
});

Deno.test("mmu_update of the M2P changes what the guest reads there", () => {
  const test = testDomain();
  assertEquals(mmuUpdate(test, SCRATCH | 1, 42), 0n);
  const at = test.domain.built.m2p + 8 * SCRATCH / PAGE_SIZE;
  assertEquals(test.vcpu.memory.readU64(at as Gpa), 42n);
});

Deno.test("update_va_mapping maps, and flushes as far as it is asked to", () => {
  const test = testDomain();
  const linear = SCRATCH + 0x4000;
  const map = (flags: number) => test.call("update_va_mapping", linear, SCRATCH | RW, flags);
  const calls = (flags: number) => {
    test.vcpu.calls.length = 0;
    assertEquals(map(flags), 0n);
    return test.vcpu.calls;
  };
  assertEquals(calls(0), []);
  assertEquals(calls(1), ["flush"]);
  assertEquals(calls(2), [`flush 0x${linear.toString(16)}`]);
  assertEquals(test.vcpu.memory.readU64(entryFor(test, linear) as Gpa), BigInt(SCRATCH | RW));
});

Deno.test("update_va_mapping refuses addresses without a table, Xen's, and non-canonical ones", () => {
  const test = testDomain();
  for (const linear of [0x4000_0000n, 0xffff_8000_0000_0000n, 0x1_0000_0000_0000n]) {
    assertEquals(test.call("update_va_mapping", linear, SCRATCH | RW, 0), -22n);
  }
});

Deno.test("NEW_BASEPTR takes a validated top-level table, gives it Xen's slots, and lets the old one go", () => {
  const test = testDomain();
  const { domain, vcpu } = test;
  const table = SCRATCH + 0x8000;
  const old = domain.kernelTable;
  vcpu.memory.write(table as Gpa, vcpu.memory.read(old as Gpa, 8));
  assertEquals(mmuext(test, MMUEXT.NEW_BASEPTR, table / PAGE_SIZE), -22n, "still writable");
  assertEquals(mmuUpdate(test, entryFor(test, table), table | RO), 0n);
  assertEquals(mmuext(test, MMUEXT.NEW_BASEPTR, table / PAGE_SIZE), 0n);
  assertEquals(vcpu.get("cr3"), BigInt(table));
  assertEquals(domain.kernelTable, table);
  for (const { slot, entry } of domain.built.xenEntries) {
    assertEquals(vcpu.memory.readU64(table + 8 * slot as Gpa), entry);
  }
  assertEquals(domain.types.uses(old / PAGE_SIZE), 1, "only pinned");
});

Deno.test("NEW_USER_BASEPTR is kept until user mode is entered", () => {
  const test = testDomain();
  const top = test.domain.kernelTable;
  assertEquals(mmuext(test, MMUEXT.NEW_USER_BASEPTR, top / PAGE_SIZE), 0n);
  assertEquals(test.domain.userTable, top);
  assertEquals(mmuext(test, MMUEXT.NEW_USER_BASEPTR, 0), 0n);
  assertEquals(test.domain.userTable, undefined);
});

Deno.test("mmuext_op pins, clears, copies and flushes", () => {
  const test = testDomain();
  const { memory } = test.vcpu;
  const [from, to] = [SCRATCH + 0x8000, SCRATCH + 0x9000];
  memory.write(from as Gpa, new Uint8Array(PAGE_SIZE).fill(7));
  assertEquals(mmuext(test, MMUEXT.COPY_PAGE, to / PAGE_SIZE, from / PAGE_SIZE), 0n);
  assertEquals(memory.readU64(to + 8 as Gpa), 0x0707_0707_0707_0707n);
  assertEquals(mmuext(test, MMUEXT.CLEAR_PAGE, to / PAGE_SIZE), 0n);
  assertEquals(memory.readU64(to + 8 as Gpa), 0n);
  const top = test.domain.kernelTable / PAGE_SIZE;
  assertEquals(mmuext(test, MMUEXT.CLEAR_PAGE, top), -22n);
  assertEquals(mmuext(test, MMUEXT.PIN_L4_TABLE, top), -22n, "pinned at start");
  assertEquals(mmuext(test, MMUEXT.UNPIN_TABLE, top), 0n);
  assertEquals(mmuext(test, MMUEXT.PIN_L1_TABLE, 1n << 50n), -22n);
  test.vcpu.calls.length = 0;
  assertEquals(mmuext(test, MMUEXT.TLB_FLUSH_LOCAL, 0), 0n);
  assertEquals(mmuext(test, MMUEXT.INVLPG_LOCAL, 0x1234), 0n);
  assertEquals(test.vcpu.calls, ["flush", "flush 0x1000"]);
  assertEquals(mmuext(test, MMUEXT.SET_LDT, 0, 0), 0n);
  assertEquals(mmuext(test, 99, 0), -38n);
});
