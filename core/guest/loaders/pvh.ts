// The PVH entry (Xen's docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h): an ELF file whose note names a 32-bit
// entry point, which finds `hvm_start_info` by EBX.
import { hex } from "../../base/hex.ts";
import { type ElfFile, isElf, placeSegments, PT_NOTE, readElf } from "./elf.ts";
import { readSymbols } from "./elf_symbols.ts";
import { type GuestFile, isRefused, type Loading } from "./loaded.ts";
import { memoryMap } from "./memory_map.ts";
import { infoRoom, type PlacedModules, placeModules } from "./room.ts";
import { StringTable } from "./strings.ts";

/** XEN_ELFNOTE_PHYS32_ENTRY: the physical address of the entry point. */
const PHYS32_ENTRY = 18;
const NOTE_NAME = "Xen\0";
const NOTE_HEADER = 12;
/** Notes that are looked at in one segment. */
const MAX_NOTES = 1024;

const START_MAGIC = 0x336ec578;
/** The first version with a memory map. */
const START_VERSION = 1;
/** Offsets in `hvm_start_info`, and its size. */
const INFO = {
  magic: 0,
  version: 4,
  flags: 8,
  modulesCount: 12,
  modules: 16,
  commandLine: 24,
  rsdp: 32,
  map: 40,
  mapEntries: 48,
  size: 56,
} as const;
const MODULE_ENTRY = 32, MAP_ENTRY = 24;

/** The entry point that the Xen note of an ELF file names. */
export function pvhEntry({ view, segments, bits }: ElfFile): number | undefined {
  for (const { type, offset, fileSize } of segments) {
    if (type !== PT_NOTE || !view.holds(offset, fileSize)) continue;
    let at = offset;
    for (let n = 0; n < MAX_NOTES && at + NOTE_HEADER <= offset + fileSize; n++) {
      const [nameSize, size] = [view.u32(at), view.u32(at + 4)];
      const name = at + NOTE_HEADER;
      const description = name + aligned(nameSize);
      if (description + size > offset + fileSize) break;
      const text = String.fromCharCode(...view.slice(name, Math.min(nameSize, NOTE_NAME.length)));
      if (view.u32(at + 8) === PHYS32_ENTRY && text === NOTE_NAME) {
        // As wide as the class has its addresses, or 32 bits; never above 4 GiB.
        if (size === 4 || (size === 8 && bits === 64)) return view.u32(description);
      }
      at = description + aligned(size);
    }
  }
  return undefined;
}

/** Names and descriptions are padded to four bytes. */
const aligned = (size: number): number => Math.ceil(size / 4) * 4;

/** Is it an ELF file with such a note? */
export function isPvh(bytes: Uint8Array): boolean {
  if (!isElf(bytes)) return false;
  const elf = readElf(bytes);
  return !isRefused(elf) && pvhEntry(elf) !== undefined;
}

/** A kernel in memory, with its start information. `rsdp` is the guest-physical address of the ACPI root pointer. */
export function loadPvh(file: GuestFile, rsdp: number): Loading {
  const elf = readElf(file.bytes);
  if (isRefused(elf)) return elf;
  const start = pvhEntry(elf);
  if (start === undefined) {
    return {
      problem: "It has no note of Xen's that names a 32-bit entry point",
      suggestion: "Add the note XEN_ELFNOTE_PHYS32_ENTRY, and a PT_NOTE segment for its section",
    };
  }
  const body = placeSegments(elf, file.memory);
  if (isRefused(body)) return body;
  if (!body.occupied.some((range) => start >= range.start && start < range.end)) {
    return { problem: `The entry point ${hex(start)} of its note is in none of its segments` };
  }
  const modules = placeModules(file, body.occupied);
  if (!modules) return { problem: "Its modules do not fit into the guest's memory" };
  const occupied = [...body.occupied, ...modules.ranges];
  const size = write(file, modules, rsdp, 0).length;
  const address = infoRoom(size, occupied, file.memory);
  if (address === undefined) return { problem: "It leaves no room for boot information" };
  const info = { address, bytes: write(file, modules, rsdp, address) };
  return {
    format: "pvh",
    entry: "protected32",
    placed: [...body.placed, ...modules.placed, info],
    occupied: [...occupied, { start: address, end: address + size }],
    start,
    registers: { rbx: BigInt(address) },
    symbols: readSymbols(elf.view, elf.bits),
  };
}

/** `hvm_start_info`, the map, the module list and strings, one after the other. */
function write(
  { memory, commandLine }: GuestFile,
  { ranges }: PlacedModules,
  rsdp: number,
  base: number,
): Uint8Array {
  const map = memoryMap(memory);
  const mapAt = INFO.size;
  const modulesAt = mapAt + MAP_ENTRY * map.length;
  const stringsAt = modulesAt + MODULE_ENTRY * ranges.length;
  const strings = new StringTable(base + stringsAt);
  const view = new DataView(new ArrayBuffer(stringsAt));
  const set32 = (offset: number, value: number) => view.setUint32(offset, value, true);
  const set64 = (offset: number, value: number) => view.setBigUint64(offset, BigInt(value), true);

  set32(INFO.magic, START_MAGIC);
  set32(INFO.version, START_VERSION);
  set32(INFO.modulesCount, ranges.length);
  set64(INFO.modules, ranges.length > 0 ? base + modulesAt : 0);
  set64(INFO.commandLine, strings.add(commandLine));
  set64(INFO.rsdp, rsdp);
  set64(INFO.map, base + mapAt);
  set32(INFO.mapEntries, map.length);
  for (const [i, { start, end, type }] of map.entries()) {
    const at = mapAt + MAP_ENTRY * i;
    set64(at, start);
    set64(at + 8, end - start);
    set32(at + 16, type);
  }
  for (const [i, { start, end, module }] of ranges.entries()) {
    const at = modulesAt + MODULE_ENTRY * i;
    set64(at, start);
    set64(at + 8, end - start);
    set64(at + 16, strings.add(module.name));
  }
  return Uint8Array.of(...new Uint8Array(view.buffer), ...strings.bytes);
}
