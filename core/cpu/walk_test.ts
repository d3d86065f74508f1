import { assertEquals } from "@std/assert";
import { hex } from "../base/hex.ts";
import { CR0, CR4, EFER } from "../base/registers.ts";
import { isCanonical, type Walk, walkTables } from "./walk.ts";

const PG = BigInt(CR0.PG) | 1n;
const PAE = BigInt(CR4.PAE);
const PSE = BigInt(CR4.PSE);
const LONG = BigInt(EFER.LMA);
const NXE = BigInt(EFER.NXE);
const NX = 1n << 63n;

/** Memory that holds the given entries, and nothing else. */
function reader(entries: Readonly<Record<number, bigint>>) {
  return (address: number) => entries[address] ?? 0n;
}

function outcome(walk: Walk): string {
  if (!walk.mapped) return walk.reserved ? "reserved" : "missing";
  const { gpa, pageSize, writable, user, executable } = walk;
  const rights = `${writable ? "w" : "-"}${user ? "u" : "-"}${executable ? "x" : "-"}`;
  return `${gpa.toString(16)} ${pageSize.toString(16)} ${rights}`;
}

interface Row {
  name: string;
  /** Where the tables are; 0x1000 if absent. */
  cr3?: bigint;
  cr4: bigint;
  efer: bigint;
  linear: bigint;
  entries: Record<number, bigint>;
  expected: string;
}

const four = (pte: bigint, pde = 0x4027n, pdpte = 0x3027n, pml4e = 0x2027n) => ({
  [0x1000 + 8 * 1]: pml4e,
  [0x2000 + 8 * 2]: pdpte,
  [0x3000 + 8 * 3]: pde,
  [0x4000 + 8 * 4]: pte,
});
/** Indices 1, 2, 3, 4 and offset 0x567. */
const FOUR = (1n << 39n) | (2n << 30n) | (3n << 21n) | (4n << 12n) | 0x567n;
const long = { cr4: PAE, efer: LONG | NXE, linear: FOUR };
const LA57 = BigInt(CR4.LA57);
/** Index 511 of the fifth level, which lies at 0x7000. */
const five = { cr3: 0x7000n, cr4: PAE | LA57, efer: LONG | NXE, linear: FOUR | (0x1ffn << 48n) };
const fiveEntries = (pml5e: bigint) => ({ ...four(0x9027n), [0x7000 + 8 * 511]: pml5e });
const pae = { cr4: PAE, efer: NXE, linear: (2n << 30n) | (3n << 21n) | (4n << 12n) | 0x567n };
const paeEntries = (pte: bigint, pde = 0x4027n, pdpte = 0x3001n) => ({
  [0x1000 + 16]: pdpte,
  [0x3000 + 24]: pde,
  [0x4000 + 32]: pte,
});
const legacy = { cr4: PSE, efer: 0n, linear: (3n << 22n) | (4n << 12n) | 0x567n };
const legacyEntries = (pte: bigint, pde = 0x4027n) => ({ [0x1000 + 12]: pde, [0x4000 + 16]: pte });

const ROWS: Row[] = [
  { name: "4-level, 4 KiB", ...long, entries: four(0x9027n), expected: "9567 1000 wux" },
  { name: "4-level, NX", ...long, entries: four(0x9027n | NX), expected: "9567 1000 wu-" },
  {
    name: "4-level, NX bit without EFER.NXE",
    ...long,
    efer: LONG,
    entries: four(0x9027n | NX),
    expected: "reserved",
  },
  { name: "4-level, read-only leaf", ...long, entries: four(0x9025n), expected: "9567 1000 -ux" },
  {
    name: "4-level, read-only table",
    ...long,
    entries: four(0x9027n, 0x4025n),
    expected: "9567 1000 -ux",
  },
  {
    name: "4-level, supervisor root",
    ...long,
    entries: four(0x9027n, 0x4027n, 0x3027n, 0x2023n),
    expected: "9567 1000 w-x",
  },
  {
    name: "4-level, 2 MiB",
    ...long,
    entries: four(0n, 0x60_00a7n),
    expected: `${(0x60_0000 + 0x4567).toString(16)} 200000 wux`,
  },
  {
    name: "4-level, 2 MiB unaligned",
    ...long,
    entries: four(0n, 0x60_20a7n),
    expected: "reserved",
  },
  {
    name: "4-level, 2 MiB with PAT",
    ...long,
    entries: four(0n, 0x60_10a7n),
    expected: "604567 200000 wux",
  },
  {
    name: "4-level, 1 GiB",
    ...long,
    entries: four(0n, 0n, 0x4000_00a7n),
    expected: `${(0x4000_0000 + 0x60_4567).toString(16)} 40000000 wux`,
  },
  {
    name: "4-level, PS in the root",
    ...long,
    entries: four(0x9027n, 0x4027n, 0x3027n, 0x20a7n),
    expected: "reserved",
  },
  {
    name: "4-level, address beyond 40 bits",
    ...long,
    entries: four(0x9027n | (1n << 40n)),
    expected: "reserved",
  },
  { name: "5-level", ...five, entries: fiveEntries(0x1027n), expected: "9567 1000 wux" },
  {
    name: "5-level, root supervisor",
    ...five,
    entries: fiveEntries(0x1023n),
    expected: "9567 1000 w-x",
  },
  { name: "5-level, PS in the root", ...five, entries: fiveEntries(0x10a7n), expected: "reserved" },
  { name: "5-level, empty root", ...five, entries: fiveEntries(0n), expected: "missing" },
  { name: "4-level, absent leaf", ...long, entries: four(0x9026n), expected: "missing" },
  { name: "4-level, empty root", ...long, entries: {}, expected: "missing" },
  {
    name: "4-level, absent wins over reserved",
    ...long,
    entries: four((1n << 50n) | 6n),
    expected: "missing",
  },
  { name: "PAE, 4 KiB", ...pae, entries: paeEntries(0x9027n), expected: "9567 1000 wux" },
  {
    name: "PAE, 2 MiB",
    ...pae,
    entries: paeEntries(0n, 0x60_00a7n),
    expected: "604567 200000 wux",
  },
  {
    name: "PAE, rights in a pointer are reserved",
    ...pae,
    entries: paeEntries(0x9027n, 0x4027n, 0x3003n),
    expected: "reserved",
  },
  {
    name: "PAE, a pointer above the fourth is not reached",
    ...pae,
    linear: pae.linear | (1n << 32n),
    entries: paeEntries(0x9027n),
    expected: "9567 1000 wux",
  },
  { name: "32-bit, 4 KiB", ...legacy, entries: legacyEntries(0x9027n), expected: "9567 1000 wux" },
  {
    name: "32-bit, supervisor read-only",
    ...legacy,
    entries: legacyEntries(0x9021n),
    expected: "9567 1000 --x",
  },
  {
    name: "32-bit, 4 MiB",
    ...legacy,
    entries: legacyEntries(0n, 0x40_00a7n),
    expected: "404567 400000 wux",
  },
  {
    name: "32-bit, 4 MiB by PSE-36",
    ...legacy,
    entries: legacyEntries(0n, 0x40_60a7n),
    expected: "300404567 400000 wux",
  },
  {
    name: "32-bit, PS without CR4.PSE is a table",
    ...legacy,
    cr4: 0n,
    entries: legacyEntries(0x9027n, 0x40a7n),
    expected: "9567 1000 wux",
  },
  {
    name: "32-bit, bit 21 of a 4-MiB page",
    ...legacy,
    entries: legacyEntries(0n, 0x60_00a7n),
    expected: "reserved",
  },
];

for (const { name, cr3 = 0x1000n, cr4, efer, linear, entries, expected } of ROWS) {
  Deno.test(`walkTables() gives ${expected} when ${name}`, () => {
    assertEquals(outcome(walkTables(PG, cr3, cr4, efer, reader(entries), linear)), expected);
  });
}

Deno.test("walkTables() maps an address to itself when paging is off", () => {
  assertEquals(outcome(walkTables(1n, 0n, 0n, 0n, reader({}), 0x1234_5678n)), "12345678 1000 wux");
});

Deno.test("walkTables() takes PAE's pointers as they were loaded, if they are given", () => {
  const { cr4, efer, linear } = pae;
  const entries = reader(paeEntries(0x9027n, 0x4027n, 0n));
  const walk = walkTables(PG, 0x1000n, cr4, efer, entries, linear, [0n, 0n, 0x3001n, 0n]);
  assertEquals(outcome(walk), "9567 1000 wux");
  const absent = walkTables(PG, 0x1000n, cr4, efer, reader(paeEntries(0x9027n)), linear, [
    0n,
    0n,
    0n,
    0n,
  ]);
  assertEquals(outcome(absent), "missing");
});

Deno.test("walkTables() lists the entries that it read when a leaf is absent", () => {
  const walk = walkTables(PG, 0x1000n, PAE, LONG, reader(four(0n)), FOUR);
  assertEquals(walk.steps.map((step) => step.address), [0x1008, 0x2010, 0x3018, 0x4020]);
});

Deno.test("isCanonical() wants the bits above the topmost one to be like it", () => {
  const cases: [bigint, four: boolean, five: boolean][] = [
    [0n, true, true],
    [0x7fff_ffff_ffffn, true, true],
    [0x8000_0000_0000n, false, true],
    [0xff_ffff_ffff_ffffn, false, true],
    [0x100_0000_0000_0000n, false, false],
    [0xffff_7fff_ffff_ffffn, false, true],
    [0xfeff_ffff_ffff_ffffn, false, false],
    [0xff00_0000_0000_0000n, false, true],
    [0xffff_8000_0000_0000n, true, true],
    [0xffff_ffff_ffff_ffffn, true, true],
  ];
  for (const [linear, four, five] of cases) {
    assertEquals([isCanonical(linear, 48), isCanonical(linear, 57)], [four, five], hex(linear));
  }
});
