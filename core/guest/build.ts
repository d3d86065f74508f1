// Guest text or file -> image: assembled, with its pv-ops bound to a platform. Pure: the same spec gives the same image.
import type { Diagnostic } from "../base/diagnostic.ts";
import { hex } from "../base/hex.ts";
import type { SourceFile, Span } from "../base/source.ts";
import type { Entry, GuestSpec, Located } from "../scenario/case.ts";
import { assemble, sourceOfProgram } from "./asm/assemble.ts";
import { buildFile } from "./build_file.ts";
import type { GuestImage, LineEntry, Placed, Platform } from "./image.ts";
import { PROGRAM_BASE, PV_NEXT_FRAME, REAL_PROGRAM_BASE, UNMAPPED_BASE } from "./layout.ts";
import {
  assembleUnit,
  ownLabels,
  PV_LIBRARIES,
  pvAddress,
  unitClosure,
  unitOf,
} from "./pv/library.ts";
import { isPvName, PV_NAMES, type PvName } from "./pv/operations.ts";
import { type PvLibrary, type PvUnit, unitBase } from "./pv/units.ts";

/** Where a build finds what its text does not hold. */
export interface BuildOptions {
  /** `%include "NAME"`. */
  readonly include?: (name: string) => SourceFile | undefined;
  /** The bytes of `guest.file` or of one of its modules; undefined if there is no such file. */
  readonly readFile?: (file: Located<string>) => Uint8Array | undefined;
}

/** What came of a build. */
export interface Built {
  /** Absent if a diagnostic is an error. */
  readonly image?: GuestImage;
  /** Everything found, errors and warnings. */
  readonly diagnostics: readonly Diagnostic[];
}

const BITS = { real16: 16, protected32: 32, long64: 64 } as const;
const PAGE_SIZE = 4096;

/** Operations whose text is right in 16-bit and 32-bit code too: guests that don't start in long mode have only these. */
const ANY_MODE: readonly PvName[] = ["shutdown", "cpuid", "irq_mask", "irq_unmask"];

/** Where a guest of this entry is loaded and starts, unless its text says `org`. */
export function programBase(entry: Entry): number {
  return entry === "real16" ? REAL_PROGRAM_BASE : PROGRAM_BASE;
}

/**
 * Builds a guest for a platform. A guest that uses no pv-op is nothing but its own bytes; for the others the units of the
 * platform's library that they use lie beside it (`PV_CODE_BASE`). The first instruction is the start of the text.
 *
 * @example Mistakes in the program point into the scenario
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { parseScenario, plan, renderDiagnostic } from "@trivisor/trivisor";
 *
 * const text = "why: A slip of the pen.\nguest:\n  program: |\n    start: mvo eax, 1\n";
 * const { scenario } = parseScenario({ name: "slip.yaml", text }, "slip");
 * assert(scenario);
 * const [group] = plan(scenario);
 * assert(group);
 * const { image, diagnostics } = buildGuest(group.guest, "bare");
 * assertEquals(image, undefined);
 * assertEquals(
 *   diagnostics.map(renderDiagnostic).join("\n").split("\n")[0],
 *   'slip.yaml:4:12: error: Unknown instruction or directive "mvo"',
 * );
 * ```
 */
export function buildGuest(
  guest: GuestSpec,
  platform: Platform,
  options: BuildOptions = {},
): Built {
  if (guest.file && !guest.program) return buildFile(guest, guest.file, platform, options);
  const body = assembleProgram(guest, platform, options);
  if (!body.program) return { diagnostics: body.diagnostics };
  const { program, diagnostics } = body;

  const errors = roomErrors(guest, program);
  if (errors.length > 0) return { diagnostics: [...diagnostics, ...errors] };

  const free = Math.ceil(program.end / PAGE_SIZE) * PAGE_SIZE;
  const library = PV_LIBRARIES[platform];
  const units = unitsFor(library, program.pvOps);
  const placed: Placed[] = [{ address: program.origin, bytes: program.bytes }];
  const symbols: Record<string, bigint> = {};
  const lines: LineEntry[] = [...program.lines];
  for (const unit of units) {
    const assembled = assembleUnit(library, unit);
    placed.push({ address: unitBase(unit), bytes: assembled.bytes });
    lines.push(...assembled.lines);
    for (const [label, value] of ownLabels(unit, assembled)) {
      symbols[label.startsWith("pv_") ? label : `${unit.name}/${label}`] = value;
    }
  }
  if (units.length > 0) placed.push(frameCells(free, guest.memory));

  const image: GuestImage = {
    entry: guest.entry,
    platform,
    memory: guest.memory,
    ...(guest.cpus ? { cpus: guest.cpus } : {}),
    ...(guest.seed !== undefined ? { seed: guest.seed } : {}),
    placed,
    start: program.origin,
    free,
    registers: guest.registers,
    symbols: { ...symbols, ...program.symbols },
    lines: lines.sort((a, b) => a.address - b.address),
    pvOps: program.pvOps,
    disks: guest.disks,
  };
  return { image, diagnostics };
}

/** What the program itself comes to. */
interface ProgramCode {
  readonly bytes: Uint8Array;
  readonly origin: number;
  readonly end: number;
  readonly symbols: Readonly<Record<string, bigint>>;
  readonly lines: readonly LineEntry[];
  readonly pvOps: readonly PvName[];
  readonly span: Span | undefined;
}

interface Body {
  readonly program?: ProgramCode;
  readonly diagnostics: readonly Diagnostic[];
}

function assembleProgram(guest: GuestSpec, platform: Platform, options: BuildOptions): Body {
  const { program, entry } = guest;
  if (!program) {
    const message = "The guest has neither a program nor a file";
    return { diagnostics: [{ severity: "error", message }] };
  }
  const library = PV_LIBRARIES[platform];
  const used = new Set<PvName>();
  const { assembled, diagnostics } = assemble([sourceOfProgram(program)], {
    bits: BITS[entry],
    origin: programBase(entry),
    ...(options.include ? { include: options.include } : {}),
    pvNames: PV_NAMES,
    pv(name) {
      if (!isPvName(name)) return undefined;
      used.add(name);
      return suits(entry, name) ? bind(library, name) : "nop";
    },
  });
  const unsuited = [...used].filter((name) => !suits(entry, name)).map((name): Diagnostic => {
    const span = spanOfUse(program, name);
    return {
      severity: "error",
      message: `pv ${name} needs a guest that starts in long mode, and this one starts in ${entry}`,
      ...(span ? { span } : {}),
      suggestion: "Write `entry: long64`, or drive the device itself",
    };
  });
  const found = [...diagnostics, ...unsuited];
  if (!assembled || found.some(({ severity }) => severity === "error")) {
    return { diagnostics: found };
  }
  const pvOps = PV_NAMES.filter((name) => used.has(name)).sort();
  const code = { ...assembled, pvOps, span: program.lines[0] };
  return { program: code, diagnostics: found };
}

function suits(entry: Entry, name: PvName): boolean {
  return entry === "long64" || ANY_MODE.includes(name);
}

/** The text that stands for `pv NAME`. */
function bind(library: PvLibrary, name: PvName): string | undefined {
  const inline = library.inline[name];
  if (inline !== undefined) return inline;
  const unit = unitOf(library, name);
  return unit && `call ${hex(pvAddress(library, unit, name))}`;
}

function unitsFor(library: PvLibrary, names: readonly PvName[]): PvUnit[] {
  const units: PvUnit[] = [];
  for (const name of names) {
    const unit = library.inline[name] === undefined ? unitOf(library, name) : undefined;
    if (unit) unitClosure(library, unit, units);
  }
  return units;
}

/** The cells that `pv alloc_frame` lives on. */
function frameCells(free: number, memory: number): Placed {
  const cells = new DataView(new ArrayBuffer(16));
  cells.setBigUint64(0, BigInt(free), true);
  cells.setBigUint64(8, BigInt(Math.min(memory, UNMAPPED_BASE)), true);
  return { address: PV_NEXT_FRAME, bytes: new Uint8Array(cells.buffer) };
}

function roomErrors(guest: GuestSpec, program: ProgramCode): Diagnostic[] {
  const at = program.span ? { span: program.span } : {};
  const lowest = programBase(guest.entry);
  if (program.origin < lowest && guest.entry !== "real16") {
    return [{
      severity: "error",
      message: `The program starts at ${hex(program.origin)}, among the tables of its loader`,
      ...at,
      suggestion: `Leave \`org\` away, or write ${hex(lowest)} or more`,
    }];
  }
  if (program.end > guest.memory) {
    const needed = Math.ceil(program.end / 1024);
    return [{
      severity: "error",
      message: `The program ends at ${hex(program.end)}, beyond the guest's ${
        guest.memory / 1024
      } KiB of memory`,
      ...at,
      suggestion: `Write \`memory: ${needed} KiB\` or more`,
    }];
  }
  return [];
}

/** Where a program first says `pv NAME`. */
function spanOfUse(program: NonNullable<GuestSpec["program"]>, name: PvName): Span | undefined {
  const use = new RegExp(`\\bpv\\s+${name}\\b`);
  return program.lines[program.text.split("\n").findIndex((line) => use.test(line))];
}
