import { assert, assertEquals } from "@std/assert";
import { MAX_MAPPINGS, MAX_SPACES, ShadowMap, type ShadowMapping } from "./shadow_map.ts";

const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, OTHER_PT = 0x5000;

function mapping(page: bigint, gpa: number, options: {
  root?: number;
  pt?: number;
  writable?: boolean;
} = {}): ShadowMapping {
  const { root = PML4, pt = PT, writable = true } = options;
  const index = Number(page / 0x1000n) % 512;
  return {
    root,
    page,
    entry: { gpa, writable, user: false, executable: true },
    links: [root, PDPT, pt === PT ? PD : PD + 8, pt + 8 * index],
  };
}

Deno.test("add() protects the tables that a mapping came from, and drops writable mappings of them", () => {
  const gone: bigint[] = [];
  const map = new ShadowMap(({ page }) => gone.push(page));
  map.add(mapping(0x10000n, PT, { pt: OTHER_PT }));
  map.add(mapping(0x11000n, PT, { pt: OTHER_PT, writable: false }));
  assert(!map.isTable(PT));
  map.add(mapping(0x20000n, 0x9000));
  assert(map.isTable(PT) && map.isTable(PML4));
  assertEquals(gone, [0x10000n]);
  assertEquals(map.lookup(PML4, 0x11000n)?.entry.gpa, PT);
});

Deno.test("add() replaces the mapping of the same page", () => {
  const map = new ShadowMap();
  map.add(mapping(0x10000n, 0x9000));
  map.add(mapping(0x10000n, 0xa000));
  assertEquals(map.size, 1);
  assertEquals(map.lookup(PML4, 0x10000n)?.entry.gpa, 0xa000);
  assertEquals(map.dependents(PT), 1);
});

Deno.test("entryChanged() drops what a leaf entry mapped, and keeps its table protected", () => {
  const map = new ShadowMap();
  map.add(mapping(0x10000n, 0x9000));
  map.add(mapping(0x11000n, 0xa000));
  map.entryChanged(PT + 8 * 0x10);
  assertEquals(map.lookup(PML4, 0x10000n), undefined);
  assert(map.lookup(PML4, 0x11000n));
  map.entryChanged(PT + 8 * 0x11);
  assertEquals(map.size, 0);
  assert(map.isTable(PT));
});

Deno.test("entryChanged() lets go of the tables below an entry that pointed at them", () => {
  const map = new ShadowMap();
  map.add(mapping(0x10000n, 0x9000));
  map.add(mapping(0x11000n, 0xa000));
  map.add(mapping(0x200000n, 0xb000, { pt: OTHER_PT }));
  map.entryChanged(PD);
  assert(!map.isTable(PT));
  assert(map.isTable(OTHER_PT) && map.isTable(PD) && map.isTable(PML4));
  assertEquals(map.size, 1);
});

Deno.test("entryChanged() keeps a table that another entry points at too", () => {
  const map = new ShadowMap();
  const shared = mapping(0x200000n, 0xb000, { pt: OTHER_PT });
  map.add(shared);
  map.add({ ...shared, page: 0x400000n, links: [PML4, PDPT, PD, OTHER_PT] });
  map.entryChanged(PD);
  assertEquals(map.size, 1);
  assert(map.isTable(OTHER_PT));
});

Deno.test("release() drops everything that was derived from a table", () => {
  const map = new ShadowMap();
  map.add(mapping(0x10000n, 0x9000));
  map.add(mapping(0x11000n, 0xa000));
  map.release(PT);
  assertEquals(map.size, 0);
  assert(!map.isTable(PT));
});

Deno.test("use() keeps the address spaces that were used last", () => {
  const map = new ShadowMap();
  for (let i = 0; i <= MAX_SPACES; i++) {
    const root = 0x100000 + i * 0x1000;
    map.use(root);
    map.add(mapping(0x10000n, 0x9000, { root }));
  }
  assertEquals(map.size, MAX_SPACES);
  assertEquals(map.lookup(0x100000, 0x10000n), undefined);
  assert(!map.isTable(0x100000) && map.isTable(0x101000));
});

Deno.test("add() starts anew when there are too many mappings", () => {
  const map = new ShadowMap();
  for (let i = 0; i <= MAX_MAPPINGS; i++) map.add(mapping(BigInt(i) * 0x1000n, 0x9000));
  assertEquals(map.size, 1);
});
