// The multiboot information structure (Multiboot specification 0.6.96, 3.3), its memory map, module list and strings.
import type { Placed } from "../image.ts";
import { type GuestFile, type Range, type Refused } from "./loaded.ts";
import { memoryMap, memorySizes } from "./memory_map.ts";
import { infoRoom, type PlacedModules, placeModules } from "./room.ts";
import { StringTable } from "./strings.ts";

/** Offsets in the structure, and its size: up to the APM table, which is not given. */
const INFO = {
  flags: 0,
  memLower: 4,
  memUpper: 8,
  commandLine: 16,
  modulesCount: 20,
  modules: 24,
  mapLength: 44,
  map: 48,
  loaderName: 64,
  size: 88,
} as const;
/** Flags: which fields hold something. */
const HAS = {
  memory: 1 << 0,
  commandLine: 1 << 2,
  modules: 1 << 3,
  map: 1 << 6,
  loaderName: 1 << 9,
} as const;
/** An entry of the memory map; its first field is the size of the rest. */
const MAP_ENTRY = 24;
const MODULE_ENTRY = 16;
const LOADER_NAME = "trivisor";

/** The structure in memory. */
export interface PlacedInfo {
  /** What EBX holds at entry. */
  readonly address: number;
  readonly placed: readonly Placed[];
  readonly occupied: readonly Range[];
}

/** Puts modules and information beside a kernel. */
export function placeInfo(file: GuestFile, kernel: readonly Range[]): PlacedInfo | Refused {
  const modules = placeModules(file, kernel);
  if (!modules) return { problem: "Its modules do not fit into the guest's memory" };
  const occupied = [...kernel, ...modules.ranges];
  const size = write(file, modules, 0).length;
  const address = infoRoom(size, occupied, file.memory);
  if (address === undefined) return { problem: "It leaves no room for boot information" };
  return {
    address,
    placed: [...modules.placed, { address, bytes: write(file, modules, address) }],
    occupied: [...modules.ranges, { start: address, end: address + size }],
  };
}

/** Structure, map, module list and strings, one after the other. */
function write(file: GuestFile, { ranges }: PlacedModules, base: number): Uint8Array {
  const map = memoryMap(file.memory);
  const mapAt = INFO.size;
  const modulesAt = mapAt + MAP_ENTRY * map.length;
  const stringsAt = modulesAt + MODULE_ENTRY * ranges.length;
  const strings = new StringTable(base + stringsAt);
  const view = new DataView(new ArrayBuffer(stringsAt));
  const set = (offset: number, value: number) => view.setUint32(offset, value, true);

  const { lower, upper } = memorySizes(file.memory);
  set(INFO.flags, HAS.memory | HAS.commandLine | HAS.modules | HAS.map | HAS.loaderName);
  set(INFO.memLower, lower);
  set(INFO.memUpper, upper);
  // The kernel's own name comes first, as boot loaders pass it and kernels expect.
  const { name, commandLine } = file;
  set(INFO.commandLine, strings.add(commandLine === "" ? name : `${name} ${commandLine}`));
  set(INFO.modulesCount, ranges.length);
  set(INFO.modules, base + modulesAt);
  set(INFO.mapLength, MAP_ENTRY * map.length);
  set(INFO.map, base + mapAt);
  set(INFO.loaderName, strings.add(LOADER_NAME));
  for (const [i, { start, end, type }] of map.entries()) {
    const at = mapAt + MAP_ENTRY * i;
    set(at, MAP_ENTRY - 4);
    view.setBigUint64(at + 4, BigInt(start), true);
    view.setBigUint64(at + 12, BigInt(end - start), true);
    set(at + 20, type);
  }
  for (const [i, { start, end, module }] of ranges.entries()) {
    const at = modulesAt + MODULE_ENTRY * i;
    set(at, start);
    set(at + 4, end);
    set(at + 8, strings.add(module.name));
  }
  return Uint8Array.of(...new Uint8Array(view.buffer), ...strings.bytes);
}
