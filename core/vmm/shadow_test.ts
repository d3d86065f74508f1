import { assert, assertEquals } from "@std/assert";
import { gpa } from "../base/address.ts";
import { CR0, CR4, EFER, RFLAGS } from "../base/registers.ts";
import { PAGE_FAULT } from "../cpu/mmu.ts";
import { ENTRY } from "../cpu/walk.ts";
import { type Resolution, ShadowPaging } from "./shadow.ts";
import { FakeVcpu } from "./testing.ts";

const { P, RW, US, NX, A, D } = ENTRY;
const { W, U, I, RSVD } = PAGE_FAULT;
const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000;
const LINEAR = 0x40_0000n;
const FRAME = 0x9000;
/** Entry of `LINEAR`'s page in PT: index 0, as PD's entry 2 leads to PT. */
const PTE = PT;

/** A CPU in long mode whose LINEAR page has this entry; PT itself is mapped at the next page. */
function longMode(entry: bigint, special: Partial<Record<"cr0" | "cr4" | "rflags", number>> = {}) {
  const vcpu = new FakeVcpu(0x10000);
  const { memory } = vcpu;
  memory.writeU64(gpa(PML4), BigInt(PDPT) | P | RW | US);
  memory.writeU64(gpa(PDPT), BigInt(PD) | P | RW | US);
  memory.writeU64(gpa(PD + 16), BigInt(PT) | P | RW | US);
  memory.writeU64(gpa(PTE), entry);
  memory.writeU64(gpa(PTE + 8), BigInt(PT) | P | RW);
  vcpu.set("cr0", BigInt(CR0.PG) | BigInt(CR0.PE | (special.cr0 ?? CR0.WP)));
  vcpu.set("cr3", BigInt(PML4));
  vcpu.set("cr4", BigInt(CR4.PAE | (special.cr4 ?? 0)));
  vcpu.set("efer", BigInt(EFER.LMA | EFER.LME | EFER.NXE));
  vcpu.set("rflags", BigInt(special.rflags ?? 2));
  const shadow = new ShadowPaging(vcpu);
  shadow.start();
  return { vcpu, memory, shadow };
}

function fill(shadow: ShadowPaging, resolution: Resolution): void {
  assert(resolution.is === "fill", `a fill, not ${resolution.is}`);
  shadow.fill(resolution);
}

const frame = BigInt(FRAME);
interface Row {
  readonly entry: bigint;
  readonly access: number;
  readonly special?: Parameters<typeof longMode>[1];
  /** Rights of the shadow entry, or the error code that the guest gets. */
  readonly becomes: string | number;
}
const NOT_DIRTY = frame | P | RW, DIRTY = NOT_DIRTY | D;
const ROWS: Record<string, Row> = {
  "a read of a clean page": { entry: NOT_DIRTY, access: 0, becomes: "r-x kernel" },
  "a read of a dirty page": { entry: DIRTY, access: 0, becomes: "rwx kernel" },
  "a write": { entry: NOT_DIRTY, access: W, becomes: "rwx kernel" },
  "a user's read": { entry: frame | P | US, access: U, becomes: "r-x user" },
  "a page that may not be executed": { entry: DIRTY | NX, access: 0, becomes: "rw- kernel" },
  "nothing mapped": { entry: 0n, access: W, becomes: W },
  "a write of a read-only page": { entry: frame | P, access: W, becomes: P_(W) },
  "a user in the kernel's page": { entry: DIRTY, access: U, becomes: P_(U) },
  "a fetch of data": { entry: DIRTY | NX, access: I, becomes: P_(I) },
  "a reserved bit": { entry: DIRTY | 1n << 51n, access: 0, becomes: P_(RSVD) },
  "a kernel's write with WP clear": {
    entry: frame | P | US,
    access: W,
    special: { cr0: 0 },
    becomes: "rwx kernel",
  },
  "a user's write with WP clear": {
    entry: frame | P | US,
    access: W | U,
    special: { cr0: 0 },
    becomes: P_(W | U),
  },
  "a kernel's fetch under SMEP": {
    entry: frame | P | US,
    access: I,
    special: { cr4: CR4.SMEP },
    becomes: P_(I),
  },
  "a kernel's read under SMAP": {
    entry: frame | P | US,
    access: 0,
    special: { cr4: CR4.SMAP },
    becomes: P_(0),
  },
  "a kernel's read under SMAP with AC": {
    entry: frame | P | US,
    access: 0,
    special: { cr4: CR4.SMAP, rflags: RFLAGS.AC },
    becomes: "r-x user",
  },
};

function P_(code: number): number {
  return code | PAGE_FAULT.P;
}

for (const [name, { entry, access, special, becomes }] of Object.entries(ROWS)) {
  Deno.test(`resolve() gives ${becomes} for ${name}`, () => {
    const { shadow } = longMode(entry, special);
    const resolution = shadow.resolve(LINEAR + 5n, access);
    if (typeof becomes === "number") {
      assert(resolution.is === "guest", resolution.is);
      const { errorCode, address } = resolution.event;
      assertEquals([errorCode, address], [becomes, LINEAR + 5n]);
      return;
    }
    assert(resolution.is === "fill", resolution.is);
    const { gpa, writable, user, executable } = resolution.mapping.entry;
    assertEquals(gpa, FRAME);
    const rights = `r${writable ? "w" : "-"}${executable ? "x" : "-"}`;
    assertEquals(`${rights} ${user ? "user" : "kernel"}`, becomes);
  });
}

Deno.test("fill() sets the bits that the MMU would set", () => {
  const { memory, shadow } = longMode(NOT_DIRTY);
  fill(shadow, shadow.resolve(LINEAR, 0));
  assertEquals(memory.readU64(gpa(PTE)), NOT_DIRTY | A);
  assertEquals(memory.readU64(gpa(PD + 16)) & (A | D), A);
  fill(shadow, shadow.resolve(LINEAR, W | PAGE_FAULT.P));
  assertEquals(memory.readU64(gpa(PTE)), NOT_DIRTY | A | D);
  assertEquals(shadow.lookup(LINEAR)?.writable, true);
});

Deno.test("resolve() calls a store to a walked page table a trace, mapped or not", () => {
  const { shadow } = longMode(NOT_DIRTY);
  const table = LINEAR + 0x1000n;
  // Unknown yet, but it maps itself.
  assertEquals(shadow.resolve(table, W).is, "trace");
  fill(shadow, shadow.resolve(table, 0));
  assertEquals(shadow.lookup(table)?.writable, false);
  const resolution = shadow.resolve(table + 8n, W | PAGE_FAULT.P);
  assert(resolution.is === "trace");
  assertEquals(resolution.gpa, PT + 8);
});

Deno.test("trace() drops what was derived from the entries that the store changed", () => {
  const { vcpu, memory, shadow } = longMode(DIRTY);
  fill(shadow, shadow.resolve(LINEAR, 0));
  vcpu.emulation = (at) => {
    memory.writeU64(gpa(at ?? 0), BigInt(0xa000) | P | RW);
    return undefined;
  };
  const resolution = shadow.resolve(LINEAR + 0x1000n, W);
  assert(resolution.is === "trace");
  assertEquals(shadow.trace(resolution), undefined);
  assertEquals(shadow.lookup(LINEAR), undefined);
  assert(shadow.lookup(LINEAR + 0x1000n));
  assert(vcpu.calls.includes(`flush 0x${LINEAR.toString(16)}`));
  fill(shadow, shadow.resolve(LINEAR, 0));
  assertEquals(shadow.lookup(LINEAR)?.gpa, 0xa000);
});

Deno.test("trace() lets a table go that is stored to when nothing depends on it", () => {
  const { vcpu, memory, shadow } = longMode(DIRTY);
  // Another page table in FRAME, reached by the next entry of PD, and mapped at LINEAR as data.
  const other = LINEAR + 0x20_0000n;
  memory.writeU64(gpa(PD + 24), frame | P | RW);
  memory.writeU64(gpa(FRAME), BigInt(0xb000) | P | RW);
  fill(shadow, shadow.resolve(other, 0));
  const stores = [0n, 1n, 2n].map((value) => {
    vcpu.emulation = () => {
      memory.writeU64(gpa(FRAME), value);
      return undefined;
    };
    const resolution = shadow.resolve(LINEAR, W);
    if (resolution.is === "trace") shadow.trace(resolution);
    return resolution.is;
  });
  assertEquals(stores, ["trace", "trace", "fill"]);
});

Deno.test("emulate() fills what the instruction needs, and returns the guest's own fault", () => {
  const { vcpu, shadow } = longMode(NOT_DIRTY);
  vcpu.emulation = () =>
    shadow.lookup(LINEAR)?.writable
      ? undefined
      : { type: "exception", vector: 14, errorCode: W, address: LINEAR };
  assertEquals(shadow.emulate(), undefined);
  assert(shadow.lookup(LINEAR)?.writable);
  const unmapped = LINEAR + 0x5000n;
  vcpu.emulation = () => ({ type: "exception", vector: 14, errorCode: U, address: unmapped });
  assertEquals(shadow.emulate(), {
    type: "exception",
    vector: 14,
    errorCode: U,
    address: unmapped,
  });
});

Deno.test("emulate() opens a page table that the instruction writes besides, and closes it again", () => {
  const { vcpu, memory, shadow } = longMode(DIRTY);
  const table = LINEAR + 0x1000n;
  fill(shadow, shadow.resolve(LINEAR, 0));
  vcpu.emulation = () => {
    if (!shadow.lookup(table)?.writable) {
      return { type: "exception", vector: 14, errorCode: W, address: table };
    }
    memory.writeU64(gpa(PTE), BigInt(0xa000) | P | RW);
    return undefined;
  };
  assertEquals(shadow.emulate(), undefined);
  assertEquals(shadow.lookup(table), undefined);
  assertEquals(shadow.lookup(LINEAR), undefined);
});

Deno.test("sync() keeps an address space that CR3 leaves and comes back to", () => {
  const { vcpu, memory, shadow } = longMode(DIRTY);
  fill(shadow, shadow.resolve(LINEAR, 0));
  memory.write(gpa(0x5000), memory.read(gpa(PML4), 4096));
  vcpu.set("cr3", 0x5000n);
  shadow.sync();
  assertEquals(shadow.lookup(LINEAR), undefined);
  vcpu.set("cr3", BigInt(PML4));
  shadow.sync();
  assert(shadow.lookup(LINEAR));
  assertEquals(vcpu.calls.at(-1), "flush");
});

Deno.test("sync() starts anew when the meaning of page tables changes", () => {
  const { vcpu, shadow } = longMode(DIRTY);
  fill(shadow, shadow.resolve(LINEAR, 0));
  vcpu.set("cr0", BigInt(CR0.PG) | BigInt(CR0.PE));
  shadow.sync();
  assertEquals(shadow.size, 0);
});

Deno.test("resolve() maps every page to itself when paging is off", () => {
  const { vcpu, shadow } = longMode(DIRTY);
  vcpu.set("cr0", 0n);
  vcpu.set("efer", 0n);
  shadow.sync();
  fill(shadow, shadow.resolve(0x1234n, W));
  assertEquals(shadow.lookup(0x1000n), {
    gpa: 0x1000,
    writable: true,
    user: true,
    executable: true,
  });
});

Deno.test("invalidate() drops one page", () => {
  const { shadow } = longMode(DIRTY);
  fill(shadow, shadow.resolve(LINEAR, 0));
  shadow.invalidate(LINEAR + 7n);
  assertEquals(shadow.lookup(LINEAR), undefined);
});
