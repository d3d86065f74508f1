import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { ByteMemory } from "../../machine/memory.ts";
import { ERRNO } from "./abi.ts";
import { ENTRIES, entryOf, frameOf, PTE } from "./page_tables.ts";
import { FRAME_TYPE, type Level, PageTypes } from "./page_types.ts";
import { Refused } from "./refused.ts";

const FRAMES = 16;
const RW = PTE.P | PTE.W | PTE.U;
const RO = PTE.P | PTE.U;

/** A machine of a few frames: 1 is a top-level table leading through 2 and 3 to the level-1 table 4. */
function machine() {
  const memory = new ByteMemory(new Uint8Array(FRAMES * PAGE_SIZE));
  let flushes = 0;
  const types = new PageTypes(memory, {
    flush: () => flushes++,
    adoptTopLevel: () => {},
    checkDescriptors: () => {},
  });
  const set = (table: number, slot: number, entry: bigint) =>
    memory.writeU64(table * PAGE_SIZE + 8 * slot as Gpa, entry);
  const read = (table: number, slot: number) => memory.readU64(table * PAGE_SIZE + 8 * slot as Gpa);
  const update = (table: number, slot: number, entry: bigint) =>
    types.update(table * PAGE_SIZE + 8 * slot, entry);
  set(1, 0, entryOf(2, RW));
  set(2, 0, entryOf(3, RW));
  set(3, 0, entryOf(4, RW));
  return { memory, types, set, read, update, flushes: () => flushes };
}

function errorOf(action: () => void): number {
  try {
    action();
  } catch (refused) {
    if (refused instanceof Refused) return refused.errno;
    throw refused;
  }
  return 0;
}

Deno.test("pin() types every table below, and unpin() gives them back", () => {
  const { types, set } = machine();
  set(4, 5, entryOf(6, RW));
  set(4, 7, entryOf(6, RW));
  types.pin(1, 4);
  const typed = (frame: number) => [types.typeOf(frame), types.uses(frame)];
  assertEquals([1, 2, 3, 4, 6].map(typed), [[4, 1], [3, 1], [2, 1], [1, 1], [5, 2]]);
  types.unpin(1);
  assertEquals([1, 2, 3, 4, 6].map(typed), Array(5).fill([0, 0]));
});

Deno.test("pin() makes what it maps accessible to user mode, where a PV kernel runs", () => {
  const { types, set, read } = machine();
  set(4, 0, entryOf(6, PTE.P));
  types.pin(1, 4);
  assertEquals(read(4, 0), entryOf(6, RO));
});

const REFUSED: readonly [
  why: string,
  entry: [table: number, slot: number, bigint],
  errno: number,
][] = [
  ["a level-1 table maps itself writable", [4, 0, entryOf(4, RW)], ERRNO.EBUSY],
  ["a table above it is mapped writable", [4, 0, entryOf(2, RW)], ERRNO.EBUSY],
  ["memory beyond the domain's is mapped", [4, 0, entryOf(FRAMES, RO)], ERRNO.EPERM],
  ["a table leads to a frame beyond the domain's", [3, 1, entryOf(FRAMES + 5, RW)], ERRNO.EINVAL],
  ["a table leads to one of its own level", [2, 1, entryOf(2, RW)], ERRNO.EINVAL],
  ["a top-level table leads to itself", [1, 1, entryOf(1, RW)], ERRNO.EINVAL],
  ["an entry maps a large page", [3, 1, entryOf(0, RW | PTE.PS)], ERRNO.EINVAL],
  ["an entry has reserved bits", [4, 1, entryOf(6, RW) | 1n << 55n], ERRNO.EINVAL],
];

for (const [why, [table, slot, entry], errno] of REFUSED) {
  Deno.test(`pin() and update() refuse when ${why}`, () => {
    const before = machine();
    before.set(table, slot, entry);
    assertEquals(errorOf(() => before.types.pin(1, 4)), errno);
    assertEquals([1, 2, 3, 4, 6].map((frame) => before.types.uses(frame)), [0, 0, 0, 0, 0]);

    const after = machine();
    after.types.pin(1, 4);
    assertEquals(errorOf(() => after.update(table, slot, entry)), errno);
    assertEquals(after.read(table, slot), 0n);
  });
}

Deno.test("update() keeps accessed and dirty bits when asked to", () => {
  const { types, update, read, set } = machine();
  set(4, 0, entryOf(6, RW | PTE.A | PTE.D));
  types.pin(1, 4);
  types.update(4 * PAGE_SIZE, entryOf(6, RO), true);
  assertEquals(read(4, 0), entryOf(6, RO | PTE.A | PTE.D));
  update(4, 0, entryOf(6, RO));
  assertEquals(read(4, 0), entryOf(6, RO));
});

Deno.test("update() writes a plain word when the frame is no page table", () => {
  const { types, read } = machine();
  types.update(9 * PAGE_SIZE + 16, 0x1234n);
  assertEquals(read(9, 2), 0x1234n);
  assertEquals(types.typeOf(9), FRAME_TYPE.none);
});

Deno.test("a frame can become a page table as soon as nothing maps it writable, and translations are dropped", () => {
  const { types, set, update, flushes } = machine();
  set(4, 6, entryOf(6, RW));
  types.pin(1, 4);
  const before = flushes();
  assertEquals(errorOf(() => update(3, 1, entryOf(6, RW))), ERRNO.EINVAL);
  update(4, 6, entryOf(6, RO));
  update(3, 1, entryOf(6, RW));
  assertEquals(flushes() > before, true);
  assertEquals(errorOf(() => update(4, 6, entryOf(6, RW))), ERRNO.EBUSY);
});

Deno.test("update() refuses entries in Xen's slots of a top-level table", () => {
  const { types, update } = machine();
  types.pin(1, 4);
  assertEquals([255, 256, 271, 272].map((slot) => errorOf(() => update(1, slot, 0n))), [
    0,
    ERRNO.EINVAL,
    ERRNO.EINVAL,
    0,
  ]);
});

Deno.test("pin() and unpin() refuse to be done twice", () => {
  const { types } = machine();
  types.pin(1, 4);
  assertEquals(errorOf(() => types.pin(1, 4)), ERRNO.EINVAL);
  types.unpin(1);
  assertEquals(errorOf(() => types.unpin(1)), ERRNO.EINVAL);
});

Deno.test("put() throws when there is no use to end: a defect of ours", () => {
  assertThrows(() => machine().types.put(3), Error, "released more often");
});

// Whatever a guest asks for, no frame is ever a page table and writable at once, and counts stay exact.
Deno.test("no sequence of requests makes a page table writable", () => {
  const frame = fc.nat(FRAMES);
  const request = fc.oneof(
    fc.record({
      op: fc.constant("update" as const),
      frame,
      slot: fc.nat(3),
      to: frame,
      flags: fc.nat(7),
    }),
    fc.record({ op: fc.constant("pin" as const), frame, level: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ op: fc.constant("unpin" as const), frame }),
  );
  fc.assert(
    fc.property(fc.array(request, { maxLength: 60 }), (requests) => {
      const { types, update, read } = machine();
      const pinned = new Map<number, Level>();
      for (const r of requests) {
        const refused = errorOf(() => {
          if (r.op === "update") update(r.frame, r.slot, entryOf(r.to, BigInt(r.flags)));
          else if (r.op === "pin") types.pin(r.frame, r.level as Level);
          else types.unpin(r.frame);
        });
        if (refused) continue;
        if (r.op === "pin") pinned.set(r.frame, r.level as Level);
        if (r.op === "unpin") pinned.delete(r.frame);
      }
      const uses = new Map<number, number>();
      const typed = new Map<number, number>();
      const use = (target: number, type: number) => {
        uses.set(target, (uses.get(target) ?? 0) + 1);
        const first = !typed.has(target);
        assertEquals(typed.get(target) ?? type, type, `frame ${target} has two types`);
        typed.set(target, type);
        if (first && type <= 4) walkTable(target, type);
      };
      const walkTable = (table: number, level: number) => {
        for (let slot = 0; slot < ENTRIES; slot++) {
          const entry = read(table, slot);
          if ((entry & PTE.P) === 0n) continue;
          if (level > 1) use(frameOf(entry), level - 1);
          else if ((entry & PTE.W) !== 0n) use(frameOf(entry), FRAME_TYPE.writable);
        }
      };
      for (const [table, level] of pinned) use(table, level);
      for (let f = 0; f < FRAMES; f++) assertEquals(types.uses(f), uses.get(f) ?? 0, `frame ${f}`);
    }),
    { seed: 20260801, numRuns: 300 },
  );
});
