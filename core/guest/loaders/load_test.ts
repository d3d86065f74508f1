import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { GUEST_FORMATS, type GuestFormat } from "../../scenario/case.ts";
import { acpiTables, RSDP_ADDRESS } from "./acpi.ts";
import { detectFormat, loadGuestFile } from "./load.ts";
import { type GuestFile, isRefused, type Loaded, type Range } from "./loaded.ts";
import { elfFile, multibootHeader, pvhNote, words32 } from "./testing.ts";

const MEMORY = 4 << 20;
const BASE = 0x100000;
const SEED = 20_260_102;
const HLT = Uint8Array.of(0xf4, 0xf4, 0xf4, 0xf4);

function file(bytes: Uint8Array, changes: Partial<GuestFile> = {}): GuestFile {
  return {
    name: "guest",
    bytes,
    memory: MEMORY,
    entry: "long64",
    commandLine: "",
    modules: [],
    ...changes,
  };
}

function load(bytes: Uint8Array, changes: Partial<GuestFile> = {}, format?: GuestFormat): Loaded {
  const loaded = loadGuestFile(file(bytes, changes), format);
  assert(!isRefused(loaded), isRefused(loaded) ? loaded.problem : "");
  return loaded;
}

const elf32 = elfFile({
  bits: 32,
  entry: BASE + 2,
  segments: [{ paddr: BASE, bytes: HLT, size: 0x2000 }],
  symbols: { start: BASE + 2, "a\x1b[31m": 5, ["__proto__"]: 7 },
});
const elf64 = elfFile({
  bits: 64,
  entry: 0xffff_8000_0000,
  segments: [{ paddr: BASE, vaddr: 0xffff_8000_0000, bytes: HLT }],
  symbols: { start: 0xffff_8000_0000 },
});
const multibootElf = elfFile({
  bits: 32,
  entry: BASE + 12,
  segments: [{ paddr: BASE, bytes: Uint8Array.of(...multibootHeader(3), ...HLT) }],
});
const multibootFlat = Uint8Array.of(
  ...words32(0, 0),
  ...multibootHeader(1 << 16, BASE + 8, BASE, 0, BASE + 0x3000, BASE + 40),
  ...HLT,
);
const pvh = elfFile({
  bits: 64,
  entry: BASE,
  segments: [{ paddr: BASE, bytes: HLT }, { type: 4, paddr: BASE, bytes: pvhNote(BASE + 1) }],
});
const rom = new Uint8Array(0x20000);
rom.set([0xea, 0, 0, 0, 0xf0], rom.length - 16);

const SAMPLES: readonly [bytes: Uint8Array, GuestFormat, entry: string, start: number][] = [
  [HLT, "flat", "long64", BASE],
  [elf32, "elf", "protected32", BASE + 2],
  [elf64, "elf", "long64", BASE],
  [multibootElf, "multiboot", "protected32", BASE + 12],
  [multibootFlat, "multiboot", "protected32", BASE + 40],
  [pvh, "pvh", "protected32", BASE + 1],
  [rom, "rom", "real16", 0xffff0],
];

Deno.test("loadGuestFile() tells a format by its content, and enters it as it wants", () => {
  for (const [bytes, format, entry, start] of SAMPLES) {
    assertEquals(detectFormat(bytes), format);
    const loaded = load(bytes);
    assertEquals([loaded.format, loaded.entry, loaded.start], [format, entry, start]);
  }
  assertEquals(load(pvh, {}, "elf").start, BASE, "the scenario's word counts more");
});

Deno.test("a ROM of any length ends at 4 GiB and at 1 MiB, and begins with what an empty chip holds", () => {
  const lengths: [length: number, mapped: number, low: number][] = [
    [16, 0x1000, 0xf_f000],
    [5000, 0x2000, 0xf_e000],
    [0x1_0000, 0x1_0000, 0xf_0000],
    [0x2_0000, 0x2_0000, 0xe_0000],
    [0x4_0000, 0x4_0000, 0xe_0000],
  ];
  for (const [length, mapped, low] of lengths) {
    const bytes = new Uint8Array(length).fill(0x11);
    const { placed, occupied, start, rom } = load(bytes, {}, "rom");
    assert(rom);
    assertEquals([rom.length, rom[mapped - length], rom[mapped - 1]], [mapped, 0x11, 0x11]);
    if (mapped > length) assertEquals(rom[mapped - length - 1], 0xff);
    assertEquals(placed.map(({ address }) => address), [low]);
    assertEquals(placed[0]?.bytes, rom.subarray(low - 0x10_0000));
    assertEquals([occupied, start], [[{ start: low, end: 0x10_0000 }], 0xf_fff0]);
  }
});

Deno.test("loadGuestFile() puts a flat file where the scenario says", () => {
  assertEquals(load(HLT, { entry: "real16" }).start, 0x7c00);
  assertEquals(load(HLT, { load: 0x200000 }).placed[0], { address: 0x200000, bytes: HLT });
});

Deno.test("loadGuestFile() takes plain names of an ELF file for labels", () => {
  assertEquals(load(elf64).symbols, { start: 0xffff_8000_0000n });
  assertEquals(Object.entries(load(elf32).symbols), [
    ["start", BigInt(BASE + 2)],
    ["__proto__", 7n],
  ]);
});

Deno.test("a multiboot header counts only on a multiple of four, in the first 8 KiB, with its checksum", () => {
  const at = (offset: number, header = multibootHeader(0)) => {
    const bytes = new Uint8Array(0x3000);
    bytes.set(header, offset);
    return detectFormat(bytes);
  };
  assertEquals(at(0), "multiboot");
  assertEquals(at(8192 - 12), "multiboot");
  assertEquals(at(8192 - 8), "flat");
  assertEquals(at(2), "flat");
  assertEquals(at(0, words32(0x1badb002, 0, 5)), "flat");
});

Deno.test("modules lie on pages above all that the kernel occupies", () => {
  const modules = [{ name: "a", bytes: HLT }, { name: "b", bytes: new Uint8Array(5000) }];
  for (const bytes of [multibootFlat, pvh]) {
    const { placed, occupied } = load(bytes, { modules });
    const kernelEnd = bytes === pvh ? BASE + 4 : BASE + 0x3000;
    const first = Math.ceil(kernelEnd / 4096) * 4096;
    const starts = placed.filter((p) => modules.some((m) => m.bytes === p.bytes));
    assertEquals(starts.map(({ address }) => address), [first, first + 4096]);
    noOverlap(occupied);
  }
});

Deno.test("boot information gives way to a kernel in low memory", () => {
  const low = elfFile({
    bits: 32,
    entry: 0x2000 + 12,
    segments: [{
      paddr: 0x2000,
      bytes: Uint8Array.of(...multibootHeader(3), ...HLT),
      size: 0x5000,
    }],
  });
  assertEquals(load(low).registers["rbx"], 0x7000n);
  const all = elfFile({
    bits: 32,
    entry: 0x2000 + 12,
    segments: [
      { paddr: 0x2000, bytes: Uint8Array.of(...multibootHeader(3), ...HLT), size: 0xde000 },
    ],
  });
  assertEquals(load(all).registers["rbx"], BigInt(BASE));
});

Deno.test("loadGuestFile() says what is wrong with a file", () => {
  const segment = { paddr: BASE, bytes: HLT };
  const patched = (bytes: Uint8Array, at: number, ...values: number[]) => {
    const copy = bytes.slice();
    copy.set(values, at);
    return copy;
  };
  const elf = (...segments: Parameters<typeof elfFile>[0]["segments"]) =>
    elfFile({ bits: 32, entry: BASE, segments });
  const cases: readonly [GuestFormat | undefined, Uint8Array, string, Partial<GuestFile>?][] = [
    [undefined, new Uint8Array(), "It is empty"],
    ["elf", HLT, "It is no ELF file"],
    ["multiboot", HLT, "no multiboot header in its first 8 KiB"],
    ["pvh", elf32, "no note of Xen's"],
    ["rom", HLT, "from 16 bytes to 8 MiB long, and it is 4 bytes"],
    ["rom", rom, "at least 1 MiB", { memory: 0x80000 }],
    ["flat", HLT, "does not fit into the guest's 4096 KiB", { load: MEMORY - 2 }],
    ["flat", HLT, "over the tables of its loader, from 0x1000", { load: 0x1ffe }],
    ["flat", HLT, "over the firmware's tables", { load: 0xf0000, entry: "real16" }],
    [undefined, elf32.subarray(0, 20), "ends within its ELF header"],
    [undefined, elf32.subarray(0, 60), "program headers are not in the file"],
    [undefined, patched(elf32, 4, 3), "unknown class"],
    [undefined, patched(elf32, 5, 2), "big-endian"],
    [undefined, patched(elf32, 16, 1), "not an executable"],
    [undefined, patched(elf32, 18, 40), "machine 40, which is no x86"],
    [undefined, patched(elf32, 44, 0xff, 0xff), "65535 program headers"],
    [undefined, elf(), "nothing to load"],
    [undefined, elf({ ...segment, size: 2 }), "longer in the file than in memory"],
    [undefined, elf(segment, { ...segment, paddr: BASE + 2 }), "lies over another one"],
    [undefined, elf({ ...segment, paddr: BASE + 8 }), "entry point 0x100000 is in none"],
    [undefined, elf({ ...segment, size: 0xffffffff }), "it has something from 0x100000"],
    [undefined, patched(elf32, 52 + 4, 0xff, 0xff, 0xff, 0xff), "are cut off"],
    ["multiboot", multibootHeader(0), "no addresses, and it is no ELF file"],
    ["multiboot", multibootHeader(8), "asks for 0x8"],
    ["multiboot", multibootHeader(1 << 16), "cut off"],
    [
      "multiboot",
      multibootHeader(1 << 16, BASE, BASE + 4, 0, 0, BASE),
      "do not fit the file",
    ],
    ["multiboot", multibootHeader(1 << 16, BASE, BASE, 0, 0, 5), "not in what it loads"],
    ["pvh", pvh, "modules do not fit", { modules: [{ name: "m", bytes: new Uint8Array(MEMORY) }] }],
  ];
  for (const [format, bytes, problem, changes] of cases) {
    const loaded = loadGuestFile(file(bytes, changes), format);
    assert(isRefused(loaded), problem);
    assertStringIncludes(loaded.problem, problem);
  }
});

function noOverlap(ranges: readonly Range[]): void {
  ranges.toSorted((a, b) => a.start - b.start).reduce((end, range) => {
    assert(range.start >= end, JSON.stringify(ranges));
    return range.end;
  }, 0);
}

Deno.test("loadGuestFile() never throws, and what it loads fits, whatever the file holds", () => {
  const sample = fc.constantFrom(...SAMPLES.map(([bytes]) => bytes.subarray(0, 0x1000)));
  const change = fc.tuple(
    fc.nat(300),
    fc.constantFrom<1 | 2 | 4>(1, 2, 4),
    fc.oneof(fc.nat(64), fc.constantFrom(0x7fffffff, 0xffffffff, 0x80000000, BASE, MEMORY)),
  );
  const modules = [{ name: "m", bytes: HLT }];
  fc.assert(
    fc.property(
      sample,
      fc.array(change, { maxLength: 6 }),
      fc.option(fc.nat(400)),
      fc.option(fc.constantFrom(...GUEST_FORMATS), { nil: undefined }),
      (original, changes, cut, format) => {
        const bytes = original.slice(0, cut ?? undefined);
        const view = new DataView(bytes.buffer);
        for (const [at, size, value] of changes) {
          if (at + size > bytes.length) continue;
          if (size === 1) view.setUint8(at, value);
          else if (size === 2) view.setUint16(at, value, true);
          else view.setUint32(at, value, true);
        }
        const loaded = loadGuestFile(file(bytes, { modules }), format);
        if (isRefused(loaded)) return assert(/^[A-Z].*[^.]$/.test(loaded.problem), loaded.problem);
        noOverlap(loaded.occupied);
        const placed = loaded.placed.map(({ address, bytes }) => ({
          start: address,
          end: address + bytes.length,
        }));
        noOverlap(placed);
        for (const { start, end } of [...placed, ...loaded.occupied]) {
          assert(start >= 0 && end <= MEMORY && Number.isInteger(start));
        }
      },
    ),
    { seed: SEED, numRuns: 3000 },
  );
});

Deno.test("acpiTables() are found from the root pointer, and their checksums are right", () => {
  const [tables] = acpiTables();
  assert(tables);
  const { address, bytes } = tables;
  const view = new DataView(bytes.buffer);
  const text = (at: number, length: number) =>
    String.fromCharCode(...bytes.subarray(at - address, at - address + length));
  const sum = (at: number, length: number) =>
    bytes.subarray(at - address, at - address + length).reduce((s, b) => s + b, 0) & 0xff;
  const u32 = (at: number) => view.getUint32(at - address, true);
  assertEquals([text(RSDP_ADDRESS, 8), sum(RSDP_ADDRESS, 20), sum(RSDP_ADDRESS, 36)], [
    "RSD PTR ",
    0,
    0,
  ]);
  const found: string[] = [];
  const check = (at: number) => {
    found.push(text(at, 4));
    assertEquals(sum(at, u32(at + 4)), 0, text(at, 4));
  };
  for (const [root, size] of [[u32(RSDP_ADDRESS + 16), 4], [u32(RSDP_ADDRESS + 24), 8]] as const) {
    check(root);
    for (let at = root + 36; at < root + u32(root + 4); at += size) {
      check(u32(at));
      if (text(u32(at), 4) === "FACP") check(u32(u32(at) + 40));
    }
  }
  assertEquals(found, ["RSDT", "FACP", "DSDT", "APIC", "XSDT", "FACP", "DSDT", "APIC"]);
});

Deno.test("loadGuestFile() leaves a multiboot kernel the BIOS data area, unless the kernel lies there", () => {
  const at = (loaded: Loaded, address: number) =>
    loaded.placed.find((placed) => placed.address === address)?.bytes;
  const area = at(load(multibootElf, { memory: 2 << 20 }), 0x400);
  assert(area);
  assertEquals([...area.slice(0x0e, 0x15)], [0xc0, 0x9f, 0, 0, 0, 0x7f, 2], "0x9fc0 and 639");
  assertEquals(at(load(pvh, { memory: 2 << 20 }), 0x400), undefined);
  const low = elfFile({
    bits: 32,
    entry: 0x50c,
    segments: [{
      paddr: 0x500 - 0x20,
      bytes: Uint8Array.of(...multibootHeader(3), ...HLT),
      size: 0x40,
    }],
  });
  assertEquals(at(load(low, { memory: 2 << 20 }), 0x400), undefined);
});
