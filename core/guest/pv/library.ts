// Which library belongs to which platform, and its units as machine code: assembled when first needed, then kept, as they
// depend on constants alone.
import { type AsmSource, assemble, type Assembled, sourceOfFile } from "../asm/assemble.ts";
import { renderDiagnostic } from "../../base/diagnostic.ts";
import type { Platform } from "../image.ts";
import * as layout from "../layout.ts";
import { dataSymbols } from "./data.ts";
import { KVM } from "./kvm.ts";
import { NATIVE } from "./native.ts";
import { type PvName, TRAP_FRAME } from "./operations.ts";
import registers from "./registers.asm" with { type: "text" };
import { type PvLibrary, type PvUnit, UNIT_STRIDE, unitBase } from "./units.ts";
import { XEN } from "./xen.ts";

/** The pv-ops of each platform. */
export const PV_LIBRARIES: Readonly<Record<Platform, PvLibrary>> = {
  bare: NATIVE,
  xen: XEN,
  kvm: KVM,
};

/** Names that every unit may use: addresses, selectors, trap frame offsets, data cells, devices. */
export function unitNames(): Readonly<Record<string, number>> {
  const names: Record<string, number> = {};
  for (const [name, value] of Object.entries(layout)) {
    if (typeof value === "number") names[name] = value;
  }
  for (const [name, value] of Object.entries(layout.SELECTOR)) names[`SELECTOR_${name}`] = value;
  for (const [name, value] of Object.entries(TRAP_FRAME)) names[`FRAME_${name}`] = value;
  for (const [name, { slot }] of Object.entries(layout.VIRTIO_SLOTS)) {
    names[`VIRTIO_${name.toUpperCase()}`] = layout.VIRTIO_MMIO_BASE +
      slot * layout.VIRTIO_MMIO_STRIDE;
  }
  return { ...names, ...dataSymbols() };
}

/** The unit of a library that provides an operation, if it isn't an inline one. */
export function unitOf(library: PvLibrary, name: PvName): PvUnit | undefined {
  return library.units.find((unit) => unit.provides.includes(name));
}

/** A unit and those it needs, each once, those needed first. */
export function unitClosure(library: PvLibrary, unit: PvUnit, found: PvUnit[] = []): PvUnit[] {
  if (found.includes(unit)) return found;
  for (const name of unit.needs) {
    const needed = library.units.find((other) => other.name === name);
    if (!needed) throw new Error(`The pv-op unit ${unit.name} needs ${name}, which does not exist`);
    unitClosure(library, needed, found);
  }
  found.push(unit);
  return found;
}

/** Macros for the units that save and restore registers as trap frames have them. */
const REGISTERS = sourceOfFile({ name: "pv/registers.asm", text: registers });

const assembledUnits = new Map<PvUnit, Assembled>();

/** A unit's machine code and labels. Throws `Error` if it is not fit: that is a mistake in the library, not the user's. */
export function assembleUnit(library: PvLibrary, unit: PvUnit): Assembled {
  const known = assembledUnits.get(unit);
  if (known) return known;
  const names = { ...unitNames() };
  for (const needed of unitClosure(library, unit).filter((other) => other !== unit)) {
    for (const [label, value] of ownLabels(needed, assembleUnit(library, needed))) {
      names[label] = Number(value);
    }
  }
  const sources = [
    prelude(names, unit.text),
    ...(/\b(save|restore)_registers\b/.test(unit.text) ? [REGISTERS] : []),
    sourceOfFile({ name: `pv/${unit.name}.asm`, text: unit.text }),
  ];
  const { assembled, diagnostics } = assemble(sources, { bits: 64, origin: unitBase(unit) });
  if (!assembled) {
    const why = diagnostics.map(renderDiagnostic).join("\n");
    throw new Error(`The pv-op unit ${unit.name} does not assemble\n${why}`);
  }
  if (assembled.bytes.length > UNIT_STRIDE * (unit.slots ?? 1)) {
    throw new Error(`The pv-op unit ${unit.name} has ${assembled.bytes.length} bytes: too many`);
  }
  assembledUnits.set(unit, assembled);
  return assembled;
}

/** Labels (not equs) of a unit, by name: those that lie inside it. */
export function ownLabels(unit: PvUnit, assembled: Assembled): [name: string, value: bigint][] {
  const start = BigInt(unitBase(unit));
  return Object.entries(assembled.symbols)
    .filter(([, value]) => value >= start && value < start + BigInt(assembled.bytes.length));
}

/** Address of `pv_NAME`. */
export function pvAddress(library: PvLibrary, unit: PvUnit, name: PvName): bigint {
  const address = assembleUnit(library, unit).symbols[`pv_${name}`];
  if (address === undefined) throw new Error(`The pv-op unit ${unit.name} lacks pv_${name}`);
  return address;
}

/** The names that a text mentions, as EQUs: the others would only cost time. */
function prelude(names: Readonly<Record<string, number>>, unit: string): AsmSource {
  const mentioned = new Set(unit.match(/\w+/g));
  const text = Object.entries(names)
    .filter(([name]) => mentioned.has(name))
    .map(([name, value]) => `${name} equ ${value}\n`);
  return sourceOfFile({ name: "pv/prelude", text: text.join("") });
}
