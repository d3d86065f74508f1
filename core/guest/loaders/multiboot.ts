// Multiboot kernels (Multiboot specification 0.6.96): the header in the first 8 KiB, and where it or the ELF headers say
// that the kernel goes. What the kernel is told is in `multiboot_info.ts`.
import { hex } from "../../base/hex.ts";
import { beyondMemory, isElf, physicalEntry, placeSegments, readElf } from "./elf.ts";
import { readSymbols } from "./elf_symbols.ts";
import { FileView } from "./file_view.ts";
import { type GuestFile, isRefused, type Loaded, type Loading, type Refused } from "./loaded.ts";
import { placeInfo } from "./multiboot_info.ts";

const HEADER_MAGIC = 0x1badb002;
/** What EAX holds at entry. */
const BOOT_MAGIC = 0x2badb002n;
const SEARCHED = 8192;
/** Magic, flags and checksum; and the addresses that may follow (3.1.3). */
const HEADER_SIZE = 12, ADDRESSES_SIZE = 20;
/** Flags: modules on pages, memory information, a video mode; and that the header has addresses. */
const PAGE_ALIGN = 1, MEMORY_INFO = 2, VIDEO_MODE = 4, HAS_ADDRESSES = 1 << 16;
/** A loader must refuse what it does not know of these. A video mode is a wish: the kernel is told that there is none. */
const MUST_UNDERSTAND = 0xffff, UNDERSTOOD = PAGE_ALIGN | MEMORY_INFO | VIDEO_MODE;

interface Header {
  readonly offset: number;
  readonly flags: number;
}

/** Finds the header: the first place where magic and checksum agree. */
export function findHeader(bytes: Uint8Array): Header | undefined {
  const view = new FileView(bytes.subarray(0, SEARCHED));
  for (let offset = 0; view.holds(offset, HEADER_SIZE); offset += 4) {
    if (view.u32(offset) !== HEADER_MAGIC) continue;
    const flags = view.u32(offset + 4);
    if ((HEADER_MAGIC + flags + view.u32(offset + 8)) >>> 0 === 0) return { offset, flags };
  }
  return undefined;
}

/** A kernel in memory, with its boot information. */
export function loadMultiboot(file: GuestFile): Loading {
  const header = findHeader(file.bytes);
  if (!header) {
    return {
      problem: "It has no multiboot header in its first 8 KiB",
      suggestion: "Put the header into a section of its own, and that first in the linker script",
    };
  }
  const unknown = header.flags & MUST_UNDERSTAND & ~UNDERSTOOD;
  if (unknown) {
    return { problem: `Its multiboot header asks for ${hex(unknown)}, which is unknown` };
  }
  const kernel = header.flags & HAS_ADDRESSES
    ? byAddresses(file, header)
    : byElfHeaders(file, isElf(file.bytes));
  if (isRefused(kernel)) return kernel;
  const info = placeInfo(file, kernel.occupied);
  if (isRefused(info)) return info;
  return {
    format: "multiboot",
    entry: "protected32",
    placed: [...kernel.placed, ...info.placed],
    occupied: [...kernel.occupied, ...info.occupied],
    start: kernel.start,
    registers: { rax: BOOT_MAGIC, rbx: BigInt(info.address) },
    symbols: kernel.symbols,
  };
}

type Kernel = Pick<Loaded, "placed" | "occupied" | "start" | "symbols">;

function byElfHeaders({ bytes, memory }: GuestFile, elf: boolean): Kernel | Refused {
  if (!elf) return { problem: "Its multiboot header has no addresses, and it is no ELF file" };
  const file = readElf(bytes);
  if (isRefused(file)) return file;
  const body = placeSegments(file, memory);
  if (isRefused(body)) return body;
  return inside({
    ...body,
    start: physicalEntry(file),
    symbols: readSymbols(file.view, file.bits),
  });
}

/** By the fields of the header itself, as kernels that are no ELF files have them ("a.out kludge"). */
function byAddresses({ bytes, memory }: GuestFile, { offset }: Header): Kernel | Refused {
  const view = new FileView(bytes);
  const at = offset + HEADER_SIZE;
  if (!view.holds(at, ADDRESSES_SIZE)) return { problem: "Its multiboot header is cut off" };
  const [header = 0, load = 0, loadEnd = 0, bssEnd = 0, start = 0] = [0, 4, 8, 12, 16]
    .map((field) => view.u32(at + field));
  const from = offset - (header - load);
  // Zero means: to the end of the file, and no more than was loaded.
  const length = loadEnd === 0 ? bytes.length - from : loadEnd - load;
  if (header < load || from < 0 || length <= 0 || !view.holds(from, length)) {
    return { problem: "The addresses in its multiboot header do not fit the file" };
  }
  const range = { start: load, end: Math.max(load + length, bssEnd) };
  if (range.end > memory) return beyondMemory(range, memory);
  return inside({
    placed: [{ address: load, bytes: view.slice(from, length) }],
    occupied: [range],
    start,
    symbols: {},
  });
}

function inside(kernel: Kernel): Kernel | Refused {
  const { start, occupied } = kernel;
  if (occupied.some((range) => start >= range.start && start < range.end)) return kernel;
  return { problem: `Its entry point ${hex(start)} is not in what it loads` };
}
