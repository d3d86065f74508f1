// Reads the `guest` of a scenario: the virtual machine and what runs in it.
import { bytesOfHex, bytesOfText } from "../bytes.ts";
import {
  type DiskSpec,
  ENTRIES,
  type Entry,
  type GuestSpec,
  type Parameters,
  type Program,
} from "../case.ts";
import type { Findings } from "../findings.ts";
import { expandProgram } from "../template.ts";
import {
  entriesOf,
  integerOf,
  itemsOf,
  type MapNode,
  type Node,
  textOf,
  valueOf,
} from "../yaml/node.ts";
import { readFileOptions } from "./guest_file.ts";
import { clamp, readSize } from "./values.ts";

const PAGE = 4096;
const MIB = 2 ** 20;

/** RAM of a guest from a file that states none: what boot loaders and kernels are used to. */
export const DEFAULT_FILE_MEMORY = 64 * MIB;
/** RAM of a guest that states none; and the least for page tables, stacks and a program at 1 MiB (`guest/layout.ts`). */
export const DEFAULT_MEMORY = 2 * MIB;
/** Least RAM in real mode: the program's own 64 KiB. */
const MIN_REAL_MEMORY = 64 * 1024;
/** Most RAM. */
export const MAX_MEMORY = 1024 * MIB;

/** Most CPUs. */
const MAX_CPUS = 8;

/** Bytes a sector. */
const SECTOR = 512;
/** Sectors of one disk: 64 MiB. */
const MAX_SECTORS = 131_072;
/** Disks of one guest. */
const MAX_DISKS = 8;

/** Bytes at one label that can be observed. */
const MAX_OBSERVED = MIB;

/** Reads a guest of checked structure. `node` is undefined only after a diagnostic. */
export function readGuest(
  node: Node | undefined,
  parameters: Parameters,
  findings: Findings,
): GuestSpec {
  const entry = readEntry(valueOf(node, "entry"));
  const program = valueOf(node, "program");
  const file = valueOf(node, "file");
  if (node && (program === undefined) === (file === undefined)) {
    findings.error(
      program?.span ?? node.span,
      "A guest has either a `program` or a `file`",
      program ? "Remove one of them" : "Add `program: |` and the guest's instructions below it",
    );
  }
  const path = textOf(file);
  const observe = valueOf(node, "observe");
  const labels = entriesOf(valueOf(observe, "memory"));
  return {
    entry,
    memory: file && !valueOf(node, "memory")
      ? DEFAULT_FILE_MEMORY
      : readMemorySize(valueOf(node, "memory"), file ? "file" : entry, findings),
    ...readCpus(valueOf(node, "cpus"), findings),
    ...readSeed(valueOf(node, "seed"), findings),
    ...(program ? { program: readProgram(program, parameters, findings) } : {}),
    ...(file && path !== undefined ? { file: { value: path, span: file.span } } : {}),
    ...readFileOptions(node, findings),
    registers: Object.fromEntries(
      entriesOf(valueOf(node, "registers")).map((
        { key, value },
      ) => [key, BigInt.asUintN(64, integerOf(value) ?? 0n)]),
    ),
    disks: readDisks(valueOf(node, "disks"), findings),
    expectedUnported: itemsOf(valueOf(node, "expected-unported")).map((item) => textOf(item) ?? ""),
    observe: {
      registers: itemsOf(valueOf(observe, "registers")).map((item) => textOf(item) ?? ""),
      memory: Object.fromEntries(
        labels.map(({ key, value }) => [key, readObserved(value, findings)]),
      ),
      ...(labels.length > 0
        ? { spans: Object.fromEntries(labels.map(({ key, keySpan }) => [key, keySpan])) }
        : {}),
    },
  };
}

function readEntry(node: Node | undefined): Entry {
  return ENTRIES.find((entry) => entry === textOf(node)) ?? "long64";
}

/** What a file needs at least, its loader knows. */
function readMemorySize(
  node: Node | undefined,
  guest: Entry | "file",
  findings: Findings,
): number {
  if (!node) return DEFAULT_MEMORY;
  const bytes = readSize(node) ?? DEFAULT_MEMORY;
  const least = guest === "real16" || guest === "file" ? MIN_REAL_MEMORY : DEFAULT_MEMORY;
  if (bytes < least || bytes > MAX_MEMORY) {
    findings.error(
      node.span,
      `A ${guest} guest has from ${least / 1024} KiB to ${MAX_MEMORY / MIB} MiB of memory`,
      bytes < least
        ? `Write ${least % MIB === 0 ? `${least / MIB} MiB` : `${least / 1024} KiB`}`
        : undefined,
    );
  } else if (bytes % PAGE !== 0) {
    const rounded = Math.ceil(bytes / PAGE) * PAGE;
    findings.error(
      node.span,
      `Memory comes in pages of ${PAGE} bytes`,
      `Write ${rounded / 1024} KiB`,
    );
  }
  return bytes;
}

function readCpus(node: Node | undefined, findings: Findings): Pick<GuestSpec, "cpus"> {
  if (!node) return {};
  const cpus = clamp(integerOf(node) ?? 1n);
  if (cpus < 1 || cpus > MAX_CPUS) {
    findings.error(node.span, `A guest has from 1 to ${MAX_CPUS} CPUs`);
    return {};
  }
  return cpus === 1 ? {} : { cpus };
}

function readSeed(node: Node | undefined, findings: Findings): Pick<GuestSpec, "seed"> {
  if (!node) return {};
  const seed = integerOf(node) ?? 0n;
  if (seed === BigInt.asUintN(32, seed)) return { seed: Number(seed) };
  findings.error(node.span, "A seed has 32 bits", `Write ${BigInt.asUintN(32, seed)}`);
  return {};
}

/** The program of a guest. One that YAML folded into fewer lines is refused: its comments would swallow instructions. */
export function readProgram(node: Node, parameters: Parameters, findings: Findings): Program {
  if (node.kind !== "scalar") return { text: "", lines: [] };
  const { file, start, end } = node.span;
  const oneLine = !file.text.slice(start, end).includes("\n");
  const quoted = node.style === "single" || node.style === "double";
  if (node.style !== "literal" && !(quoted && oneLine)) {
    findings.error(
      { file, start, end: oneLine ? end : start + 1 },
      node.style === "folded"
        ? "`>` joins the lines of the program into one"
        : "Without `|`, YAML joins the lines of the program into one, and ends it at a ` #`",
      "Write `program: |`, and the program on the lines below, indented",
    );
  }
  return expandProgram(node, parameters, findings);
}

function readObserved(node: Node, findings: Findings): number {
  const bytes = readSize(node) ?? 0;
  if (bytes < 1 || bytes > MAX_OBSERVED) {
    findings.error(node.span, "From 1 byte to 1 MiB can be observed at a label");
  }
  return Math.max(1, Math.min(MAX_OBSERVED, bytes));
}

function readDisks(node: Node | undefined, findings: Findings): readonly DiskSpec[] {
  const items = itemsOf(node);
  if (node && items.length > MAX_DISKS) {
    findings.error(node.span, `A guest has at most ${MAX_DISKS} disks`);
    return [];
  }
  return items.flatMap((item) => item.kind === "map" ? readDisk(item, findings) : []);
}

function readDisk(node: MapNode, findings: Findings): DiskSpec {
  const pattern = valueOf(node, "pattern");
  const text = textOf(valueOf(node, "text"));
  const hex = textOf(valueOf(node, "bytes"));
  const bytes = text === undefined ? bytesOfHex(hex ?? "") : bytesOfText(text);
  const contents = [pattern, text, hex].filter((content) => content !== undefined).length;
  if (contents !== 1) {
    findings.error(
      node.span,
      "A disk has one of `pattern`, `text` and `bytes`",
      contents === 0
        ? 'Write pattern: "sector {n}\\n" for one with recognizable sectors'
        : "Remove the others",
    );
  }
  const given = valueOf(node, "sectors");
  const needed = Math.max(1, Math.ceil(bytes.length / SECTOR));
  const sectors = clamp(integerOf(given) ?? BigInt(needed));
  if (pattern && !given) {
    findings.error(node.span, "A disk made of a pattern needs `sectors`", "Add `sectors: 64`");
  } else if (sectors < needed || sectors > MAX_SECTORS) {
    findings.error(
      given?.span ?? node.span,
      `This disk can have from ${needed} to ${MAX_SECTORS} sectors of ${SECTOR} bytes`,
    );
  }
  const readOnly = valueOf(node, "read-only");
  return {
    sectors: Math.max(1, Math.min(MAX_SECTORS, sectors)),
    readOnly: readOnly?.kind === "scalar" && readOnly.value === true,
    ...(pattern ? { pattern: textOf(pattern) ?? "" } : { bytes }),
  };
}
