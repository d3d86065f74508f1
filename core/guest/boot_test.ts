import { assert, assertEquals } from "@std/assert";
import { bootState, descriptor } from "./boot.ts";
import type { GuestImage } from "./image.ts";
import { GDT_BASE, LAPIC_BASE, TSS_BASE, UNMAPPED_BASE, VIRTIO_MMIO_BASE } from "./layout.ts";
import { PTE, PTE_ADDRESS } from "./page_tables.ts";

const MIB = 1 << 20;

function image(changes: Partial<GuestImage>): GuestImage {
  return {
    entry: "long64",
    platform: "bare",
    memory: 2 * MIB,
    placed: [],
    start: 0x100000,
    free: 0x101000,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [],
    ...changes,
  };
}

/** Where the tables lead, as the CPU walks them (SDM vol. 3, 4.5). */
function walk(memory: DataView, cr3: bigint, linear: number): number | undefined {
  let table = cr3;
  for (let level = 3; level >= 0; level--) {
    const span = 4096 * 512 ** level;
    const index = Math.floor(linear / span) % 512;
    const entry = memory.getBigUint64(Number(table) + 8 * index, true);
    if (!(entry & PTE.P)) return undefined;
    if (level === 0 || entry & PTE.PS) return Number(entry & PTE_ADDRESS) + linear % span;
    table = entry & PTE_ADDRESS;
  }
}

Deno.test("bootState() identity-maps RAM and device memory and nothing else when the entry is long64", () => {
  for (const memory of [1 * MIB + 4096, 2 * MIB, 15 * MIB, 16 * MIB, 33 * MIB + 8192, 1024 * MIB]) {
    const { placed, special } = bootState(image({ memory }));
    const ram = new Uint8Array(MIB);
    for (const { address, bytes } of placed) ram.set(bytes, address);
    const at = (linear: number) => walk(new DataView(ram.buffer), special.cr3 ?? 0n, linear);
    const mapped = [0, 0x7ff8, memory - 1, VIRTIO_MMIO_BASE, LAPIC_BASE + 0xfff];
    for (const linear of mapped) assertEquals(at(linear), linear, `${memory}: ${linear}`);
    for (const linear of [memory, UNMAPPED_BASE, UNMAPPED_BASE + memory, 0xc0000000, 2 ** 39]) {
      assertEquals(at(linear), undefined, `${memory}: ${linear}`);
    }
  }
});

Deno.test("bootState() puts the image and no two overlapping pieces into memory", () => {
  const program = { address: 0x100000, bytes: Uint8Array.of(0xf4) };
  for (const entry of ["real16", "protected32", "long64"] as const) {
    const { placed } = bootState(image({ entry, placed: [program], memory: 64 * MIB }));
    assert(placed.includes(program));
    const sorted = placed.toSorted((a, b) => a.address - b.address);
    sorted.reduce((end, { address, bytes }) => {
      assert(address >= end, `${entry}: ${address.toString(16)}`);
      return address + bytes.length;
    }, 0);
  }
});

Deno.test("bootState() lays the scenario's registers over its own", () => {
  const { general, special } = bootState(
    image({ entry: "real16", start: 0x7c00, registers: { rax: 2n, rsp: 0x6000n, rflags: 0x202n } }),
  );
  assertEquals(general, { rax: 2n, rsp: 0x6000n });
  assertEquals([special.rip, special.rflags], [0x7c00n, 0x202n]);
});

Deno.test("descriptor() encodes as the manual has it", () => {
  const cases: [number, number, number, bigint][] = [
    [0, 0xffffffff, 0xa09b, 0x00af9b000000ffffn],
    [0, 0xffffffff, 0xc093, 0x00cf93000000ffffn],
    [TSS_BASE, 0x67, 0x008b, 0x00008b0011000067n],
    [0x12345678, 0xfffff, 0x4093, 0x124f93345678ffffn],
  ];
  for (const [base, limit, attributes, encoded] of cases) {
    assertEquals(descriptor(base, limit, attributes), encoded);
  }
});

Deno.test("bootState() has segment registers that agree with the GDT in memory", () => {
  for (const entry of ["protected32", "long64"] as const) {
    const { placed, segments } = bootState(image({ entry }));
    const gdt = placed.find(({ address }) => address === GDT_BASE);
    assert(gdt);
    const view = new DataView(gdt.bytes.buffer);
    for (const name of ["cs", "ss", "ds", "tr"] as const) {
      const { selector, base, limit, attributes } = segments[name];
      const expected = descriptor(Number(base), limit, attributes);
      assertEquals(view.getBigUint64(selector & ~7, true), expected, `${entry} ${name}`);
    }
  }
});
