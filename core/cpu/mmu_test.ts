import { assertEquals } from "@std/assert";
import { CR0, CR4, RFLAGS, VECTOR } from "../base/registers.ts";
import type { AccessType } from "./cpu.ts";
import { Mmu } from "./mmu.ts";
import { ATTRIBUTE } from "./state.ts";
import { caught, longMode, TABLES, type TestCpu } from "./testing.ts";

const PT = TABLES.pages + 0x3000;
const P = 1, W = 2, U = 4, RSVD = 8, I = 16;
const A = 0x20n, D = 0x40n;
const NX = 1n << 63n;

type Kind = "read" | "write" | "execute";

function access(kind: Kind, user: boolean, implicit = false): AccessType {
  return { write: kind === "write", execute: kind === "execute", user, implicit };
}

/** Page 0x20, mapped by this entry. */
function withEntry(entry: bigint, setUp: (cpu: TestCpu) => void = () => {}): TestCpu {
  const cpu = longMode();
  cpu.poke64(PT + 8 * 0x20, entry);
  setUp(cpu);
  return cpu;
}

interface Row {
  name: string;
  entry: bigint;
  kind: Kind;
  user: boolean;
  setUp?: (cpu: TestCpu) => void;
  implicit?: boolean;
  /** Error code of the page fault; undefined: the access is granted. */
  code?: number;
}

const bit = (cpu: TestCpu, register: "cr0" | "cr4", bits: number, on: boolean) => {
  const old = cpu.state.control(register);
  cpu.state.setControl(register, on ? old | BigInt(bits) : old & ~BigInt(bits));
};
const smep = (cpu: TestCpu) => bit(cpu, "cr4", CR4.SMEP, true);
const smap = (cpu: TestCpu) => bit(cpu, "cr4", CR4.SMAP, true);
const smapWithAc = (cpu: TestCpu) => {
  smap(cpu);
  cpu.state.rflags |= BigInt(RFLAGS.AC);
};
const noWp = (cpu: TestCpu) => bit(cpu, "cr0", CR0.WP, false);
const noNx = (cpu: TestCpu) => cpu.state.setControl("efer", 0x500n);

const RWU = 0x20067n, RW = 0x20063n, RU = 0x20065n, R = 0x20061n;

const ROWS: Row[] = [
  { name: "user reads a user page", entry: RU, kind: "read", user: true },
  { name: "user reads a kernel page", entry: RW, kind: "read", user: true, code: P | U },
  { name: "user writes a read-only page", entry: RU, kind: "write", user: true, code: P | W | U },
  { name: "kernel writes a read-only page", entry: R, kind: "write", user: false, code: P | W },
  {
    name: "kernel writes a read-only page, WP clear",
    entry: R,
    kind: "write",
    user: false,
    setUp: noWp,
  },
  {
    name: "user writes a read-only page, WP clear",
    entry: RU,
    kind: "write",
    user: true,
    setUp: noWp,
    code: P | W | U,
  },
  {
    name: "user executes an NX page",
    entry: RWU | NX,
    kind: "execute",
    user: true,
    code: P | U | I,
  },
  { name: "kernel executes an NX page", entry: RW | NX, kind: "execute", user: false, code: P | I },
  { name: "absent page is read", entry: 0n, kind: "read", user: false, code: 0 },
  { name: "absent page is written by user", entry: 0n, kind: "write", user: true, code: W | U },
  { name: "absent page is executed", entry: 0n, kind: "execute", user: false, code: I },
  {
    name: "absent page is executed without NXE",
    entry: 0n,
    kind: "execute",
    user: false,
    setUp: noNx,
    code: 0,
  },
  {
    name: "reserved bit",
    entry: RWU | (1n << 45n),
    kind: "write",
    user: true,
    code: P | W | U | RSVD,
  },
  { name: "SMEP", entry: RWU, kind: "execute", user: false, setUp: smep, code: P | I },
  { name: "SMEP, kernel page", entry: RW, kind: "execute", user: false, setUp: smep },
  { name: "no SMEP", entry: RWU, kind: "execute", user: false },
  { name: "SMAP", entry: RWU, kind: "read", user: false, setUp: smap, code: P },
  { name: "SMAP with AC", entry: RWU, kind: "read", user: false, setUp: smapWithAc },
  {
    name: "SMAP with AC, implicit access",
    entry: RWU,
    kind: "read",
    user: false,
    implicit: true,
    setUp: smapWithAc,
    code: P,
  },
  { name: "SMAP, user access", entry: RWU, kind: "read", user: true, setUp: smap },
];

for (const { name, entry, kind, user, setUp, implicit, code } of ROWS) {
  Deno.test(`Mmu.walk() ${code === undefined ? "grants" : `faults with ${code}`} when ${name}`, () => {
    const cpu = withEntry(entry, setUp);
    const translate = () => cpu.memory.translate(0x20123n, access(kind, user, implicit));
    if (code === undefined) assertEquals(translate(), 0x20123);
    else assertEquals(caught(translate), [VECTOR.PF, code, 0x20123n]);
  });
}

Deno.test("Mmu.walk() sets accessed bits at every level and dirty at the last when the access is granted", () => {
  const cpu = longMode();
  const levels = [0, 1, 2].map((i) => TABLES.pages + 0x1000 * i);
  for (const level of levels) cpu.poke64(level, cpu.peek64(level) & ~A);
  const leaf = PT + 8 * 0x20;
  cpu.poke64(leaf, 0x20007n);
  assertEquals(cpu.memory.walk(0x20000n, access("read", true)).writable, false);
  assertEquals([...levels, leaf].map((at) => cpu.peek64(at) & (A | D)), [A, A, A, A]);
  assertEquals(cpu.memory.walk(0x20000n, access("write", true)).writable, true);
  assertEquals(cpu.peek64(leaf), 0x20067n);
});

Deno.test("Mmu.walk() leaves accessed bits alone when the access is refused", () => {
  const cpu = withEntry(0x20001n);
  caught(() => cpu.memory.walk(0x20000n, access("write", false)));
  assertEquals(cpu.peek64(PT + 8 * 0x20), 0x20001n);
});

Deno.test("Mmu.walk() raises #GP(0) when the address is not canonical", () => {
  const cpu = longMode();
  assertEquals(caught(() => cpu.memory.read(0x8000_0000_0000n, 1)), [VECTOR.GP, 0]);
});

Deno.test("Mmu.read() and write() move any size when they cross a page", () => {
  const cpu = longMode();
  // Two pages that are not neighbours in physical memory.
  cpu.poke64(PT + 8 * 0x20, 0x30067n).poke64(PT + 8 * 0x21, 0x50067n);
  for (const size of [2, 4, 6, 8, 10]) {
    const value = BigInt.asUintN(8 * size, 0x1122_3344_5566_7788_99aan);
    cpu.memory.write(0x20fffn, size, value);
    assertEquals(cpu.memory.read(0x20fffn, size), value, `${size} bytes`);
  }
  assertEquals(cpu.ram.getUint8(0x30fff), 0xaa);
  assertEquals(cpu.ram.getUint8(0x50000), 0x99);
});

Deno.test("Mmu.write() stores nothing when the second page is missing", () => {
  const cpu = longMode();
  cpu.poke64(PT + 8 * 0x21, 0n);
  assertEquals(caught(() => cpu.memory.write(0x20ffen, 4, 0xffff_ffffn)), [VECTOR.PF, W, 0x21000n]);
  assertEquals(cpu.peek16(0x20ffe), 0);
});

Deno.test("Mmu.nextPage() goes round at 4 GiB in 32-bit code, and finds no page beyond the canonical ones", () => {
  const long = longMode();
  assertEquals(long.memory.nextPage(0xffff_fffen), 0x1_0000_0000n);
  assertEquals(long.memory.nextPage(-1n), 0n);
  const beyond = 0x7fff_ffff_fffen;
  assertEquals(caught(() => long.memory.nextPage(beyond)), [VECTOR.GP, 0]);
  // The first page is missing too, and that counts less.
  assertEquals(caught(() => long.memory.read(beyond, 4)), [VECTOR.GP, 0]);
  const cs = long.state.segment("cs");
  long.state.setSegment("cs", { ...cs, attributes: cs.attributes & ~ATTRIBUTE.L | ATTRIBUTE.DB });
  assertEquals(long.memory.nextPage(0xffff_fffen), 0n);
  assertEquals(long.memory.nextPage(0xffff_fffen, true), 0x1_0000_0000n);
  assertEquals(long.memory.nextPage(0x1_ffff_fffen), 0x2_0000_0000n);
});

Deno.test("Mmu.flush() is what makes a cached MMU see less, and nothing is needed to see more", () => {
  const cpu = longMode();
  const mmu = new Mmu(cpu.state, cpu.physical, { cached: true });
  const leaf = PT + 8 * 0x20;
  const read = () => mmu.translate(0x20123n, access("read", true));
  const write = () => mmu.translate(0x20123n, access("write", true));
  cpu.poke64(leaf, 0n);
  assertEquals(caught(read), [VECTOR.PF, U, 0x20123n]);
  cpu.poke64(leaf, 0x20005n);
  assertEquals([read(), caught(write)], [0x20123, [VECTOR.PF, P | W | U, 0x20123n]]);
  cpu.poke64(leaf, 0x20007n);
  assertEquals([write(), cpu.peek64(leaf)], [0x20123, 0x20067n]);
  cpu.poke64(leaf, 0x30005n);
  assertEquals([read(), write()], [0x20123, 0x20123]);
  mmu.flush({ of: "page", pcid: 0, linear: 0x21000n, global: true });
  assertEquals(read(), 0x20123);
  mmu.flush({ of: "page", pcid: 0, linear: 0x20000n, global: true });
  assertEquals([read(), caught(write)], [0x30123, [VECTOR.PF, P | W | U, 0x20123n]]);
  cpu.poke64(leaf, 0n);
  assertEquals(read(), 0x30123);
  mmu.flush({ of: "everything" });
  assertEquals(caught(read), [VECTOR.PF, U, 0x20123n]);
});

Deno.test("Mmu.flush() keeps global pages and other contexts apart", () => {
  const cpu = longMode();
  bit(cpu, "cr4", CR4.PGE | CR4.PCIDE, true);
  const mmu = new Mmu(cpu.state, cpu.physical, { cached: true });
  const [GLOBAL, OWN] = [0x20n, 0x21n];
  const entries = (frame: bigint) => {
    cpu.poke64(PT + 8 * Number(GLOBAL), frame | 0x167n).poke64(PT + 8 * Number(OWN), frame | 0x67n);
  };
  const seen = () => [GLOBAL, OWN].map((page) => mmu.translate(page << 12n, access("read", true)));
  const context = (pcid: number) => cpu.state.setControl("cr3", BigInt(TABLES.pages + pcid));
  const OLD = 0x30000, NEW = 0x40000;
  const learn = () => {
    mmu.flush({ of: "everything" });
    entries(BigInt(OLD));
    context(1);
    seen();
    entries(BigInt(NEW));
  };
  const rows: [string, () => void, number, [number, number]][] = [
    ["nothing", () => {}, 1, [OLD, OLD]],
    ["another context", () => {}, 2, [OLD, NEW]],
    ["this context", () => mmu.flush({ of: "context", pcid: 1 }), 1, [OLD, NEW]],
    ["the other context", () => mmu.flush({ of: "context", pcid: 2 }), 1, [OLD, OLD]],
    ["contexts", () => mmu.flush({ of: "contexts" }), 1, [OLD, NEW]],
    ["everything", () => mmu.flush({ of: "everything" }), 1, [NEW, NEW]],
    [
      "INVLPG of the global page",
      () => mmu.flush({ of: "page", pcid: 1, linear: GLOBAL << 12n, global: true }),
      1,
      [NEW, OLD],
    ],
    [
      "INVPCID of the global page",
      () => mmu.flush({ of: "page", pcid: 1, linear: GLOBAL << 12n, global: false }),
      1,
      [OLD, OLD],
    ],
    [
      "INVPCID of the own page in another context",
      () => mmu.flush({ of: "page", pcid: 2, linear: OWN << 12n, global: false }),
      1,
      [OLD, OLD],
    ],
  ];
  for (const [name, flush, pcid, expected] of rows) {
    learn();
    flush();
    context(pcid);
    assertEquals(seen(), expected, name);
  }
});

Deno.test("Mmu.walk() finds all ones where page tables are not in RAM", () => {
  const cpu = longMode();
  cpu.poke64(TABLES.pages + 0x2000, 0x7000_0027n);
  const fault = caught(() => cpu.memory.walk(0x1000n, access("read", false)));
  assertEquals(fault, [VECTOR.PF, P | RSVD, 0x1000n]);
});

Deno.test("Mmu.flush() of one page drops every part of a large one", () => {
  const cpu = longMode();
  const mmu = new Mmu(cpu.state, cpu.physical, { cached: true });
  const read = () => [0x1000n, 0x2000n].map((at) => mmu.translate(at, access("read", false)));
  cpu.poke64(TABLES.pages + 0x2000, 0xe7n);
  assertEquals(read(), [0x1000, 0x2000]);
  cpu.poke64(TABLES.pages + 0x2000, 0x40_00e7n);
  mmu.flush({ of: "page", pcid: 0, linear: 0x1000n, global: true });
  assertEquals(read(), [0x40_1000, 0x40_2000]);
});

Deno.test("Mmu.walk() of a cached MMU keeps pages that lie at round distances beside each other", () => {
  const cpu = longMode();
  const mmu = new Mmu(cpu.state, cpu.physical, { cached: true });
  const pages = [0x20, 0x60, 0xa0];
  const read = () => pages.map((page) => mmu.translate(BigInt(page) << 12n, access("read", false)));
  const before = read();
  for (const page of pages) cpu.poke64(PT + 8 * page, 0n);
  assertEquals(read(), before, "nothing was flushed");
});

Deno.test("Mmu.walk() judges what a cached MMU kept by the level and mode of each access", () => {
  const cpu = longMode();
  const mmu = new Mmu(cpu.state, cpu.physical, { cached: true });
  cpu.poke64(PT + 8 * 0x20, R | D);
  assertEquals(mmu.translate(0x20000n, access("read", false)), 0x20000);
  assertEquals(caught(() => mmu.translate(0x20000n, access("read", true)))[1], P | U);
  assertEquals(caught(() => mmu.translate(0x20000n, access("write", false)))[1], P | W);
  noWp(cpu);
  assertEquals(mmu.translate(0x20000n, access("write", false)), 0x20000);
});

Deno.test("Mmu.walk() goes by the monitor's tables alone when there are any", () => {
  const cpu = longMode();
  const page = { gpa: 0x70000, writable: false, user: true, executable: false };
  cpu.shadow = { lookup: (at) => at === 0x20000n ? page : undefined };
  noWp(cpu);
  assertEquals(cpu.memory.translate(0x20010n, access("read", true)), 0x70010);
  const faults: [bigint, Kind, boolean, number][] = [
    [0x20010n, "write", false, P | W],
    [0x20010n, "execute", true, P | U | I],
    [0x21010n, "write", true, W | U],
  ];
  for (const [linear, kind, user, code] of faults) {
    const translate = () => cpu.memory.translate(linear, access(kind, user));
    assertEquals(caught(translate), [VECTOR.PF, code, linear]);
  }
  assertEquals(cpu.peek64(PT + 8 * 0x20) & D, D, "the guest's own entry is as it was");
});
