// Small files of each format, for tests.

/** One segment of an ELF file to be made. */
export interface TestSegment {
  readonly paddr: number;
  readonly bytes: Uint8Array;
  /** In memory; the length of `bytes` if absent. */
  readonly size?: number;
  /** The same as `paddr` if absent. */
  readonly vaddr?: number;
  /** PT_LOAD if absent. */
  readonly type?: number;
}

export interface TestElf {
  readonly bits: 32 | 64;
  readonly entry: number;
  readonly segments: readonly TestSegment[];
  readonly symbols?: Readonly<Record<string, number>>;
}

/** An executable with these segments, and a symbol table where there are symbols. */
export function elfFile({ bits, entry, segments, symbols = {} }: TestElf): Uint8Array {
  const wide = bits === 64;
  const header = wide ? 64 : 52, entrySize = wide ? 56 : 32, sectionSize = wide ? 64 : 40;
  const symbolSize = wide ? 24 : 16;
  const names = Object.keys(symbols);
  const strings = new TextEncoder().encode("\0" + names.map((name) => name + "\0").join(""));
  const dataAt = header + entrySize * segments.length;
  const symtabAt = segments.reduce((at, { bytes }) => at + bytes.length, dataAt);
  const strtabAt = symtabAt + symbolSize * names.length;
  const sectionsAt = strtabAt + strings.length;
  const file = new Uint8Array(sectionsAt + 3 * sectionSize);
  const view = new DataView(file.buffer);
  const word = (at: number, value: number) =>
    wide ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);

  file.set([0x7f, 0x45, 0x4c, 0x46, wide ? 2 : 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, wide ? 62 : 3, true);
  word(24, entry);
  word(wide ? 32 : 28, header);
  word(wide ? 40 : 32, sectionsAt);
  view.setUint16(wide ? 54 : 42, entrySize, true);
  view.setUint16(wide ? 56 : 44, segments.length, true);
  view.setUint16(wide ? 58 : 46, sectionSize, true);
  view.setUint16(wide ? 60 : 48, 3, true);
  let data = dataAt;
  for (const [i, { type = 1, paddr, vaddr = paddr, bytes, size }] of segments.entries()) {
    const at = header + i * entrySize;
    view.setUint32(at, type, true);
    const fields = wide ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
    const values = [data, vaddr, paddr, bytes.length, size ?? bytes.length];
    fields.forEach((field, n) => word(at + field, values[n] ?? 0));
    file.set(bytes, data);
    data += bytes.length;
  }
  let name = 1;
  for (const [i, [label, value]] of Object.entries(symbols).entries()) {
    const at = symtabAt + i * symbolSize;
    view.setUint32(at, name, true);
    file[at + (wide ? 4 : 12)] = 0x10;
    view.setUint16(at + (wide ? 6 : 14), 1, true);
    word(at + (wide ? 8 : 4), value);
    name += label.length + 1;
  }
  file.set(strings, strtabAt);
  const section = (index: number, type: number, at: number, size: number, link: number) => {
    const start = sectionsAt + index * sectionSize;
    view.setUint32(start + 4, type, true);
    word(start + (wide ? 24 : 16), at);
    word(start + (wide ? 32 : 20), size);
    view.setUint32(start + (wide ? 40 : 24), link, true);
  };
  section(1, 2, symtabAt, symbolSize * names.length, 2);
  section(2, 3, strtabAt, strings.length, 0);
  return file;
}

/** Little-endian words of 32 bits, as bytes. */
export function words32(...values: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => view.setUint32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}

/** A multiboot header with these flags and what follows its checksum. */
export function multibootHeader(flags: number, ...rest: readonly number[]): Uint8Array {
  return words32(0x1badb002, flags, -(0x1badb002 + flags), ...rest);
}

/** The note that names a PVH entry point. */
export function pvhNote(entry: number): Uint8Array {
  return Uint8Array.of(...words32(4, 4, 18), 0x58, 0x65, 0x6e, 0, ...words32(entry));
}
