// ELF executables of either class (System V ABI, chapters 4 and 5): their segments in memory and their entry point. What a
// boot protocol makes of it is in `multiboot.ts` and `pvh.ts`.
import { hex } from "../../base/hex.ts";
import type { Placed } from "../image.ts";
import { readSymbols } from "./elf_symbols.ts";
import { FileView } from "./file_view.ts";
import type { GuestFile, Loaded, Loading, Range, Refused } from "./loaded.ts";
import { isRefused } from "./loaded.ts";

/** Program header types. */
export const PT_LOAD = 1, PT_NOTE = 4;
const ELF_MAGIC = 0x464c457f;
const LITTLE_ENDIAN = 1;
const ET_EXEC = 2, ET_DYN = 3;
const EM_386 = 3, EM_X86_64 = 62;
/** Program headers that are looked at, of which linkers write a dozen. */
const MAX_SEGMENTS = 256;

/** Where each class has its fields, and how wide it has its addresses. */
const LAYOUTS = {
  32: { header: 52, entry: 24, phoff: 28, phentsize: 42, phnum: 44, segment: 32 },
  64: { header: 64, entry: 24, phoff: 32, phentsize: 54, phnum: 56, segment: 56 },
} as const;

/** One entry of the program header table. */
export interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly vaddr: number;
  readonly paddr: number;
  readonly fileSize: number;
  readonly memorySize: number;
}

/** The headers of an ELF file, checked. */
export interface ElfFile {
  readonly view: FileView;
  readonly bits: 32 | 64;
  /** As linked: a linear address. */
  readonly entry: number;
  readonly segments: readonly Segment[];
}

/** Does a file say that it is one? */
export function isElf(bytes: Uint8Array): boolean {
  return new FileView(bytes).u32(0) === ELF_MAGIC && bytes.length >= 4;
}

/** Reads the headers, and checks that what they name is in the file. */
export function readElf(bytes: Uint8Array): ElfFile | Refused {
  const view = new FileView(bytes);
  if (!isElf(bytes)) return { problem: "It is no ELF file" };
  const bits = view.u8(4) === 1 ? 32 : view.u8(4) === 2 ? 64 : undefined;
  if (bits === undefined) return { problem: "It is an ELF file of an unknown class" };
  const layout = LAYOUTS[bits];
  if (!view.holds(0, layout.header)) return { problem: "It ends within its ELF header" };
  if (view.u8(5) !== LITTLE_ENDIAN) return { problem: "It is a big-endian ELF file" };
  const type = view.u16(16);
  if (type !== ET_EXEC && type !== ET_DYN) {
    return { problem: "It is an ELF file, but not an executable", suggestion: "Link it first" };
  }
  const machine = view.u16(18);
  if (machine !== EM_386 && machine !== EM_X86_64) {
    return { problem: `It is an ELF file for machine ${machine}, which is no x86` };
  }
  const count = view.u16(layout.phnum);
  if (count > MAX_SEGMENTS) return { problem: `It has ${count} program headers` };
  const size = view.u16(layout.phentsize);
  const table = bits === 32 ? view.u32(layout.phoff) : view.size64(layout.phoff);
  if (count > 0 && (size < layout.segment || !view.holds(table, count * size))) {
    return { problem: "Its program headers are not in the file" };
  }
  const segments = Array.from({ length: count }, (_, i) => segment(view, table + i * size, bits));
  const lost = segments.find((s) => s.type === PT_LOAD && !view.holds(s.offset, s.fileSize));
  if (lost) return { problem: `The contents of its segment at ${hex(lost.paddr)} are cut off` };
  const entry = bits === 32 ? view.u32(layout.entry) : view.size64(layout.entry);
  return { view, bits, entry, segments };
}

function segment(view: FileView, at: number, bits: 32 | 64): Segment {
  const type = view.u32(at);
  if (bits === 64) {
    const [offset = 0, vaddr = 0, paddr = 0, fileSize = 0, memorySize = 0] = [8, 16, 24, 32, 40]
      .map((field) => view.size64(at + field));
    return { type, offset, vaddr, paddr, fileSize, memorySize };
  }
  const [offset = 0, vaddr = 0, paddr = 0, fileSize = 0, memorySize = 0] = [4, 8, 12, 16, 20]
    .map((field) => view.u32(at + field));
  return { type, offset, vaddr, paddr, fileSize, memorySize };
}

/** Its loadable segments where `p_paddr` has them. */
export function placeSegments(
  elf: ElfFile,
  memory: number,
): Pick<Loaded, "placed" | "occupied"> | Refused {
  const placed: Placed[] = [];
  const occupied: Range[] = [];
  for (const { type, offset, paddr, fileSize, memorySize } of elf.segments) {
    if (type !== PT_LOAD || memorySize === 0) continue;
    if (fileSize > memorySize) {
      return { problem: `Its segment at ${hex(paddr)} is longer in the file than in memory` };
    }
    const range = { start: paddr, end: paddr + memorySize };
    if (!(range.end <= memory)) return beyondMemory(range, memory);
    if (occupied.some((other) => overlap(other, range))) {
      return { problem: `Its segment at ${hex(paddr)} lies over another one` };
    }
    occupied.push(range);
    if (fileSize > 0) placed.push({ address: paddr, bytes: elf.view.slice(offset, fileSize) });
  }
  if (occupied.length === 0) return { problem: "It has nothing to load" };
  return { placed, occupied };
}

/** The refusal of what does not fit into RAM. */
export function beyondMemory({ start, end }: Range, memory: number): Refused {
  const size = `It does not fit into the guest's ${memory / 1024} KiB of memory`;
  if (!Number.isSafeInteger(end)) return { problem: `${size}: an address in it is too large` };
  return {
    problem: `${size}: it has something from ${hex(start)} to ${hex(end)}`,
    suggestion: `Write \`memory: ${Math.ceil(end / 2 ** 20)} MiB\` or more`,
  };
}

/** Do they share an address? */
export function overlap(a: Range, b: Range): boolean {
  return a.start < b.end && b.start < a.end;
}

/** Where the entry point is in physical memory; kernels are often linked higher than they are loaded. */
export function physicalEntry({ entry, segments }: ElfFile): number {
  const home = segments.find(({ type, vaddr, memorySize }) =>
    type === PT_LOAD && entry >= vaddr && entry < vaddr + memorySize
  );
  return home ? entry - home.vaddr + home.paddr : entry;
}

/** An ELF executable by itself: entered flat, in 32-bit protected mode or in long mode by its class. */
export function loadElf({ bytes, memory }: GuestFile): Loading {
  const elf = readElf(bytes);
  if (isRefused(elf)) return elf;
  const body = placeSegments(elf, memory);
  if (isRefused(body)) return body;
  const start = physicalEntry(elf);
  if (!body.occupied.some((range) => start >= range.start && start < range.end)) {
    return { problem: `Its entry point ${hex(start)} is in none of its segments` };
  }
  return {
    ...body,
    format: "elf",
    entry: elf.bits === 64 ? "long64" : "protected32",
    start,
    registers: {},
    symbols: readSymbols(elf.view, elf.bits),
  };
}
