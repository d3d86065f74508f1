// Trials for Bochs and the engine: up to thousands in one ROM, each with registers, descriptors, code and memory of its own.
import { Random } from "./random.ts";
import { BOCHS_MEMORY, type BochsImage } from "./bochs.ts";
import { trialKernel } from "./bochs_kernel.ts";
import {
  CELL,
  END_VECTOR,
  ENTRY,
  KERNEL,
  KERNEL_SELECTOR,
  OUTCOME,
  RECORD,
  SHUTDOWN_LINE,
} from "./bochs_layout.ts";

type Field = Exclude<typeof RECORD[number], "next" | "entry" | "setup">;

/** INT 0x30: ends a trial's code. */
export const END: readonly number[] = [0xcd, END_VECTOR];

/** One trial. What is not said is 0; flags have IF clear, and IOPL 3 so that INT n works in virtual-8086 mode. */
export interface BochsTrial {
  /** What is shown when it fails. */
  readonly name: string;
  readonly entry: keyof typeof ENTRY;
  readonly registers: Partial<Readonly<Record<Field, number>>>;
  /** Bytes at linear addresses: code, descriptors, data. Inside of `KERNEL.tables` and `KERNEL.areas` they are undone after the trial. */
  readonly patches: readonly { readonly address: number; readonly bytes: Iterable<number> }[];
  /** Linear address of 32-bit code at level 0 that is called before the trial, with flat segments; it returns. */
  readonly setup?: number;
  /** Status flags that the manual leaves undefined after the trial. */
  readonly undefinedFlags?: number;
  /** Bits of other results that the manual defines, where that is not all. */
  readonly told?: Readonly<Record<string, number>>;
  /** Parts of the outcome that are not compared. */
  readonly ignored?: readonly string[];
}

const DEFAULT_FLAGS = 0x3002;
/** Code that runs astray meets it at once. */
const INT3 = 0xcc;

/** A descriptor: limit in units of its granularity, attributes as `Segment` has them. */
export function descriptorBytes(base: number, limit: number, attributes: number): number[] {
  return [
    ...[limit & 0xff, (limit >> 8) & 0xff, base & 0xff, (base >> 8) & 0xff],
    ...[(base >> 16) & 0xff, attributes & 0xff],
    ...[((attributes >> 8) & 0xf0) | ((limit >> 16) & 15), (base >>> 24) & 0xff],
  ];
}

/** A gate of any type; `access` is its byte 5. */
export function gateBytes(selector: number, offset: number, access: number, low = 0): number[] {
  return [
    ...[offset & 0xff, (offset >> 8) & 0xff, selector & 0xff, selector >> 8],
    ...[low, access, (offset >> 16) & 0xff, (offset >>> 24) & 0xff],
  ];
}

/** Tables and areas as every trial finds them. */
function pristine(): Uint8Array {
  const kernel = trialKernel();
  const tables = new Uint8Array(KERNEL.tables.end);
  const put = (address: number, bytes: Iterable<number>) => tables.set([...bytes], address);
  const slot = (selector: number, base: number, limit: number, attributes: number) =>
    put(KERNEL.gdt + (selector & ~7), descriptorBytes(base, limit, attributes));
  const S = KERNEL_SELECTOR;
  slot(S.code, 0, 0xfffff, 0xc09b);
  slot(S.data, 0, 0xfffff, 0xc093);
  slot(S.realCode, 0, 0xffff, 0x9b);
  slot(S.realData, 0, 0xffff, 0x93);
  slot(S.tss, KERNEL.tss, 0x67, 0x89);
  slot(S.ldt, KERNEL.ldt, KERNEL.ldtEnd - KERNEL.ldt - 1, 0x82);
  slot(S.userCode, 0, 0xfffff, 0xc0fb);
  slot(S.userData, 0, 0xfffff, 0xc0f3);
  for (const [vector, { flat, real }] of kernel.handlers) {
    put(KERNEL.idt + 8 * vector, gateBytes(S.code, flat, vector === END_VECTOR ? 0xee : 0x8e));
    put(4 * vector, [real & 0xff, real >> 8, 0, 0]);
  }
  const tss = new DataView(tables.buffer, KERNEL.tss);
  tss.setUint32(4, KERNEL.stack - 0x800, true);
  tss.setUint32(8, S.data, true);
  const random = new Random(1);
  // No I/O permission map: its base is beyond the limit.
  tss.setUint16(0x66, 0x68, true);
  const areas = KERNEL.areas.map(({ start, end }) => random.bytes(end - start));
  areas[0]?.fill(INT3, 0, KERNEL.codeBytes);
  return joined([tables, ...areas]);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function dwords(...values: number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(values).buffer);
}

/** A record, without `next`. */
function record({ entry, setup, registers, patches }: BochsTrial): Uint8Array {
  const values: Record<string, number> = {
    eflags: DEFAULT_FLAGS,
    ...registers,
    entry: ENTRY[entry],
    setup: setup ?? 0,
  };
  const parts = [dwords(...RECORD.slice(1).map((name) => values[name] ?? 0))];
  for (const { address, bytes } of patches) {
    const data = Uint8Array.from(bytes);
    parts.push(dwords(address, data.length), data, new Uint8Array(-data.length & 3));
  }
  return joined([...parts, dwords(0)]);
}

/** The machine that runs all of them. Throws when they do not fit into its memory. */
export function trialImage(trials: readonly BochsTrial[]): BochsImage {
  const { rom, real } = trialKernel();
  const parts: Uint8Array[] = [];
  let at: number = KERNEL.records;
  for (const body of trials.map(record)) {
    at += 4 + body.length;
    parts.push(dwords(at), body);
  }
  parts.push(dwords(0));
  if (at > BOCHS_MEMORY) throw new RangeError("Too many trials for one ROM");
  const cells = new Uint8Array(16);
  cells.set(dwords(KERNEL.records), CELL.current - KERNEL.cells);
  const memory = pristine();
  const low = new Uint8Array(KERNEL.end).fill(INT3);
  low.set(memory.subarray(0, KERNEL.tables.end));
  low.set(real, KERNEL.realHandlers);
  low.set(cells, KERNEL.cells);
  return {
    rom,
    ram: [
      { address: 0, bytes: low },
      {
        address: KERNEL.pristine,
        bytes: joined([
          memory,
          new Uint8Array(KERNEL.records - KERNEL.pristine - memory.length),
          ...parts,
        ]),
      },
    ],
  };
}

/** What came of one trial, by name; undefined: the processor shut down. */
export type BochsOutcome = Readonly<Record<string, number>> | undefined;

/** The outcomes in a machine's output. */
export function outcomes(output: string): BochsOutcome[] {
  // Bochs' debugger has a word to say now and then.
  const lines = output.split("\n").filter((line) =>
    line === SHUTDOWN_LINE || /^([0-9a-f]{8} )+$/.test(line)
  );
  return lines.map((line) => {
    if (line === SHUTDOWN_LINE) return undefined;
    const values = line.trim().split(" ").map((digits) => Number.parseInt(digits, 16));
    return Object.fromEntries(OUTCOME.map((name, i) => [name, values[i] ?? 0]));
  });
}

/** How two outcomes of a trial differ, readably; nothing if they are alike. */
export function differences(trial: BochsTrial, theirs: BochsOutcome, ours: BochsOutcome): string[] {
  if (!theirs || !ours) {
    return theirs === ours ? [] : [`Bochs ${summary(theirs)}, we ${summary(ours)}`];
  }
  const lines = OUTCOME.flatMap((name) => {
    if (trial.ignored?.includes(name)) return [];
    const mask = (name === "eflags" ? ~(trial.undefinedFlags ?? 0) : -1) &
      (trial.told?.[name] ?? -1);
    const [a, b] = [(theirs[name] ?? 0) & mask, (ours[name] ?? 0) & mask];
    return a === b ? [] : [`${name}: Bochs ${hex(a)}, we ${hex(b)}`];
  });
  return lines.length ? [`Bochs ${summary(theirs)}, we ${summary(ours)}`, ...lines] : [];
}

const hex = (value: number) => (value >>> 0).toString(16);

function summary(outcome: BochsOutcome): string {
  return outcome
    ? `#${outcome["vector"]}(${hex(outcome["error"] ?? 0)}) at ${hex(outcome["eip"] ?? 0)}`
    : "shut down";
}
