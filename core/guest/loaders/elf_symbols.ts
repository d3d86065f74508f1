// The symbols of an ELF file, as labels of the guest: traces name places by them, scenarios observe memory at them.
import type { FileView } from "./file_view.ts";

const SHT_SYMTAB = 2;
const SHN_UNDEF = 0;
/** Symbol types, the low half of `st_info`: untyped (assembly labels), data, functions. */
const NAMED_TYPES: ReadonlySet<number> = new Set([0, 1, 2]);
/** Sections and symbols that are looked at: a kernel with its debug information has some ten thousand. */
const MAX_SECTIONS = 1024, MAX_SYMBOLS = 1 << 16;
/** Names are shown on terminals: what is longer, or not plain, is left out. */
const NAME = /^[\x21-\x7e]{1,128}$/;
const MAX_NAME = 128;

/** Where each class has its fields: the section header table in the ELF header, then in a section and in a symbol. */
const LAYOUTS = {
  32: { shoff: 32, shentsize: 46, shnum: 48, offset: 16, size: 20, link: 24, symbol: 16 },
  64: { shoff: 40, shentsize: 58, shnum: 60, offset: 24, size: 32, link: 40, symbol: 24 },
} as const;

/** Symbols by name, the first of each name; none where the tables are stripped or damaged. */
export function readSymbols(view: FileView, bits: 32 | 64): Record<string, bigint> {
  const layout = LAYOUTS[bits];
  const word = (at: number) => bits === 32 ? view.u32(at) : view.size64(at);
  const table = word(layout.shoff);
  const entrySize = view.u16(layout.shentsize);
  const count = Math.min(view.u16(layout.shnum), MAX_SECTIONS);
  const symbols = new Map<string, bigint>();
  if (!view.holds(table, count * entrySize)) return {};
  for (let i = 0; i < count; i++) {
    const section = table + i * entrySize;
    if (view.u32(section + 4) !== SHT_SYMTAB) continue;
    const strings = table + view.u32(section + layout.link) * entrySize;
    const names = word(strings + layout.offset);
    const start = word(section + layout.offset);
    const entries = Math.min(Math.floor(word(section + layout.size) / layout.symbol), MAX_SYMBOLS);
    if (!view.holds(start, entries * layout.symbol)) continue;
    for (let at = start; at < start + entries * layout.symbol; at += layout.symbol) {
      const info = view.u8(at + (bits === 32 ? 12 : 4));
      const home = view.u16(at + (bits === 32 ? 14 : 6));
      const name = text(view, names + view.u32(at));
      if (home === SHN_UNDEF || !NAMED_TYPES.has(info & 0xf) || !NAME.test(name)) continue;
      const value = bits === 32 ? BigInt(view.u32(at + 4)) : view.u64(at + 8);
      if (!symbols.has(name)) symbols.set(name, value);
    }
  }
  return Object.fromEntries(symbols);
}

/** The bytes up to the next zero, as characters; at most one more than a name may have. */
function text(view: FileView, start: number): string {
  let name = "";
  for (let at = start; name.length <= MAX_NAME; at++) {
    const byte = view.u8(at);
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  return name;
}
