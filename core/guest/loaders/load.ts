// A guest file of any format in memory: which format it is, its loader, and the firmware tables that belong beside it.
import { hex } from "../../base/hex.ts";
import type { GuestFormat } from "../../scenario/case.ts";
import { PAGE_TABLES_END, PROGRAM_BASE, REAL_PROGRAM_BASE } from "../layout.ts";
import { acpiTables, RSDP_ADDRESS } from "./acpi.ts";
import { biosData } from "./bios_data.ts";
import { beyondMemory, isElf, loadElf, overlap } from "./elf.ts";
import { type GuestFile, isRefused, type Loaded, type Loading, type Range } from "./loaded.ts";
import { FIRMWARE_BASE, FIRMWARE_END } from "./memory_map.ts";
import { findHeader, loadMultiboot } from "./multiboot.ts";
import { isPvh, loadPvh } from "./pvh.ts";
import { isRom, loadRom } from "./rom.ts";

/** What a file is, by its content. A kernel that offers several protocols is started by the first of them here. */
export function detectFormat(bytes: Uint8Array): GuestFormat {
  if (findHeader(bytes)) return "multiboot";
  if (isPvh(bytes)) return "pvh";
  if (isElf(bytes)) return "elf";
  return isRom(bytes) ? "rom" : "flat";
}

/** Loads a file as `format`, or as what it looks like. Never throws, whatever it holds. */
export function loadGuestFile(file: GuestFile, format = detectFormat(file.bytes)): Loading {
  if (file.bytes.length === 0) return { problem: "It is empty" };
  const loaded = load(file, format);
  if (isRefused(loaded) || loaded.format === "rom") return loaded;
  const obstacle = reserved(loaded).find(({ range }) =>
    loaded.occupied.some((other) => overlap(other, range))
  );
  if (obstacle) {
    const { start, end } = obstacle.range;
    return { problem: `It lies over ${obstacle.what}, from ${hex(start)} to ${hex(end)}` };
  }
  if (file.memory < FIRMWARE_END) return loaded;
  // PVH has no BIOS before it, and a program in long mode no boot loader.
  const bios = loaded.format === "multiboot" ? biosData(file.memory, loaded.occupied) : [];
  return { ...loaded, placed: [...loaded.placed, ...acpiTables(file.cpus), ...bios] };
}

function load(file: GuestFile, format: GuestFormat): Loading {
  switch (format) {
    case "flat":
      return loadFlat(file);
    case "elf":
      return loadElf(file);
    case "multiboot":
      return loadMultiboot(file);
    case "pvh":
      return loadPvh(file, RSDP_ADDRESS);
    case "rom":
      return loadRom(file);
    default:
      return format satisfies never;
  }
}

/** Nothing but bytes: loaded where the scenario says, or where a program of this entry would be, and started there. */
function loadFlat({ bytes, memory, entry, load }: GuestFile): Loading {
  const start = load ?? (entry === "real16" ? REAL_PROGRAM_BASE : PROGRAM_BASE);
  const range = { start, end: start + bytes.length };
  if (range.end > memory) return beyondMemory(range, memory);
  return {
    format: "flat",
    entry,
    placed: [{ address: start, bytes }],
    occupied: [range],
    start,
    registers: {},
    symbols: {},
  };
}

/** What the loader itself has in memory (`layout.ts`, `boot.ts`). */
function reserved({ entry, format }: Loaded): { readonly what: string; readonly range: Range }[] {
  const firmware = {
    what: "the firmware's tables",
    range: { start: FIRMWARE_BASE, end: FIRMWARE_END },
  };
  if (entry === "real16") return [firmware];
  // Of a guest in protected mode GDT and TSS; in long mode IDT and page tables too.
  const flat = format === "flat" || format === "elf";
  const end = entry === "long64" ? PAGE_TABLES_END : flat ? 0x3000 : 0x2000;
  return [{ what: "the tables of its loader", range: { start: 0x1000, end } }, firmware];
}
