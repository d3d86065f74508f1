// From an address back to the guest's source: label and offset, and the line that was assembled there.
import { printable } from "../base/printable.ts";
import { describeSpan, lineText, positionOf, type Span } from "../base/source.ts";
import { PAGE_SIZE } from "../base/address.ts";
import type { GuestImage, LineEntry } from "../guest/image.ts";
import { XEN_HYPERCALL_PAGE } from "../guest/layout.ts";
import { disassemble } from "../trace/disassemble.ts";
import { describeAccess, describeExit, describeInjection } from "../trace/print.ts";
import type { Happening } from "./pattern.ts";
import type { EventReference, SourceLine } from "./result.ts";

/** The line that a span begins in, without its indentation. */
export function sourceLine(span: Span): SourceLine {
  const { line } = positionOf(span.file, span.start);
  return { at: describeSpan(span), text: printable(lineText(span.file, line).trim()) };
}

/** Tells places in one image; without an image, it knows none. */
export class Places {
  readonly #labels: readonly (readonly [name: string, address: number])[];
  readonly #lines: readonly LineEntry[];

  readonly #xen: boolean;

  constructor(image?: GuestImage) {
    this.#xen = image?.platform === "xen";
    // Equs are symbols too: only what lies in the program's own bytes can be a label.
    const inside = (address: number) =>
      image?.placed.some((p) => address >= p.address && address < p.address + p.bytes.length);
    this.#labels = Object.entries(image?.symbols ?? {})
      .map(([name, address]) => [name, Number(address)] as const)
      .filter(([, address]) => inside(address))
      .sort((a, b) => a[1] - b[1]);
    this.#lines = image?.lines ?? [];
  }

  /** `remap+0x2f`, or undefined outside program, libraries and Xen's hypercall page. */
  label(rip: bigint): string | undefined {
    const address = Number(rip);
    // The VMM writes this page, so that no program has a line for it.
    if (this.#xen && address >= XEN_HYPERCALL_PAGE && address < XEN_HYPERCALL_PAGE + PAGE_SIZE) {
      return beyond("hypercall_page", XEN_HYPERCALL_PAGE, address);
    }
    const at = lastAtMost(this.#labels, address, ([, start]) => start);
    return at && this.line(rip) ? beyond(...at, address) : undefined;
  }

  /** The source of the instruction at this linear address. */
  line(rip: bigint): Span | undefined {
    const address = Number(rip);
    const entry = lastAtMost(this.#lines, address, (line) => line.address);
    return entry && address < entry.address + entry.length ? entry.span : undefined;
  }

  /** Where it is, for messages that know an address only: `start+0x4 (x.yaml:12:9: cli)`. */
  describe(rip: bigint): string {
    const span = this.line(rip);
    const source = span ? sourceLine(span) : undefined;
    const place = this.label(rip) ?? `0x${rip.toString(16)}`;
    return source ? `${place} (${source.at}: ${source.text})` : place;
  }
}

/** `start+0x4`, or `start` itself. */
function beyond(name: string, start: number, address: number): string {
  return address === start ? name : `${name}+0x${(address - start).toString(16)}`;
}

/** The last entry whose key is at most `limit`; entries are sorted by key. */
function lastAtMost<T>(entries: readonly T[], limit: number, key: (entry: T) => number) {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = entries[middle];
    if (entry !== undefined && key(entry) <= limit) low = middle + 1;
    else high = middle;
  }
  return entries[low - 1];
}

/** Tells an event: `index` counts from 0 among its like. */
export function referTo(happening: Happening, index: number, places: Places): EventReference {
  if ("detail" in happening) {
    const { rip, bytes, bitness, via } = happening;
    const place = places.label(rip);
    const span = places.line(rip);
    return {
      name: `exit ${index + 1}`,
      text: `${via === "hypercall" ? "" : `${via} `}${describeExit(happening)}`,
      place: place ?? `0x${rip.toString(16)}`,
      ...(span ? { source: sourceLine(span) } : {}),
      ...(bytes.length > 0 ? { disassembly: disassemble(bytes, bitness, rip) } : {}),
    };
  }
  return "device" in happening
    ? { name: `access ${index + 1}`, text: describeAccess(happening) }
    : { name: `injection ${index + 1}`, text: describeInjection(happening) };
}
