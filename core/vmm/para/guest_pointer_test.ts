import { assertEquals, assertThrows } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { HYPERVISOR_VIRT_START, MACH2PHYS_VIRT_START } from "./abi.ts";
import { MAX_OBJECT } from "./guest_pointer.ts";
import { leafEntry } from "./page_tables.ts";
import { Refused } from "./refused.ts";
import { SCRATCH, testDomain } from "./testing.ts";

/** Runs and tells the error number of what is refused. */
function errno(action: () => unknown): number | undefined {
  try {
    action();
    return undefined;
  } catch (refused) {
    if (refused instanceof Refused) return refused.errno;
    throw refused;
  }
}

Deno.test("read() and write() follow the page tables, across pages", () => {
  const { domain, vcpu } = testDomain();
  const { pointers, memory, types } = domain;
  const linear = BigInt(SCRATCH);
  const second = leafEntry(memory, domain.table, linear + BigInt(PAGE_SIZE));
  // The second page of SCRATCH now leads to another frame.
  types.update(second ?? 0, BigInt(SCRATCH + 5 * PAGE_SIZE) | 7n);
  const bytes = Uint8Array.from({ length: 32 }, (_, i) => i);
  pointers.write(linear + 4080n, bytes);
  assertEquals(vcpu.memory.read(SCRATCH + 4080 as Gpa, 16), bytes.subarray(0, 16));
  assertEquals(vcpu.memory.read(SCRATCH + 5 * PAGE_SIZE as Gpa, 16), bytes.subarray(16));
  assertEquals(pointers.read(linear + 4080n, 32), bytes);
});

const REFUSED: readonly [what: string, pointer: bigint, length: number, write: boolean][] = [
  ["an unmapped page", 0x4000_0000n, 1, false],
  ["a page after the last mapped one", BigInt((4 << 20) - 4), 8, false],
  ["a non-canonical address", 0x8000_0000_0000n, 8, false],
  ["Xen's hole", HYPERVISOR_VIRT_START, 8, false],
  ["Xen's hole, though the guest may read there", MACH2PHYS_VIRT_START + 8n, 8, false],
  ["an end beyond the last address", 0xffff_ffff_ffff_fffcn, 8, false],
  ["a read-only page, for writing", 0xa0000n, 8, true],
  ["more than one object may have", BigInt(SCRATCH), MAX_OBJECT + 1, false],
];

for (const [what, pointer, length, write] of REFUSED) {
  Deno.test(`${write ? "write" : "read"}() refuses ${what}`, () => {
    const { pointers } = testDomain().domain;
    const action = () =>
      write ? pointers.write(pointer, new Uint8Array(length)) : pointers.read(pointer, length);
    assertEquals(errno(action), 14);
  });
}

Deno.test("write() leaves everything as it was when its end is refused", () => {
  const { domain, vcpu } = testDomain();
  const at = (4 << 20) - 4;
  assertThrows(() => domain.pointers.write(BigInt(at), new Uint8Array(8).fill(1)));
  assertEquals(vcpu.memory.readU32(at as Gpa), 0);
});
