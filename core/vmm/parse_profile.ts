// Reads cost profiles. Each is a YAML file in which every figure carries its source (`fixtures/costs/`):
//
//     name: kvm-2017
//     machine: not stated
//     why: In-kernel and user-space exits of KVM
//     inherits: [adams-agesen-2006]      # for what this one's source does not cover
//     exits:
//       vm-exit: { value: 1291, source: "linux b7ffc44d5b2e", how: "the CPUID loop; for every kind without its own" }
//     inlined: {}
//     native: {}
import { isMap, isScalar, isSeq, type Node, parseDocument, type YAMLMap } from "yaml";
import { type Diagnostic, didYouMean } from "../base/diagnostic.ts";
import type { SourceFile, Span } from "../base/source.ts";
import { SENSITIVE_OPERATIONS } from "../cpu/sensitive_operations.ts";
import { EXIT_VIAS, type ExitKind } from "../trace/exit.ts";
import {
  type CostLayer,
  type CostProfile,
  type Figure,
  type Figures,
  NATIVE_OPERATIONS,
  OTHERS,
} from "./cost_profile.ts";
import { shippedProfile } from "./shipped_profiles.ts";

/** The kinds of exit; a record, so that none can be forgotten. */
const EXIT_KINDS: Readonly<Record<ExitKind, true>> = {
  "exception": true,
  "external-interrupt": true,
  "interrupt-window": true,
  "triple-fault": true,
  "task-switch": true,
  "cpuid": true,
  "hlt": true,
  "invd": true,
  "wbinvd": true,
  "invlpg": true,
  "invpcid": true,
  "rdpmc": true,
  "rdtsc": true,
  "rdtscp": true,
  "vmcall": true,
  "cr-access": true,
  "dr-access": true,
  "io": true,
  "msr-read": true,
  "msr-write": true,
  "monitor": true,
  "mwait": true,
  "pause": true,
  "gdtr-idtr": true,
  "ldtr-tr": true,
  "xsetbv": true,
  "ept-violation": true,
  "instruction": true,
  "software-interrupt": true,
  "shadow-fill": true,
  "trace": true,
  "mmio": true,
  "syscall": true,
  "hypercall": true,
};

const EXIT_KEYS: readonly string[] = EXIT_VIAS.flatMap((via) => [
  via,
  ...Object.keys(EXIT_KINDS).map((kind) => `${via}/${kind}`),
]);
const TOP_KEYS = [
  "name",
  "machine",
  "why",
  "inherits",
  "instruction",
  "exits",
  "inlined",
  "native",
];
const FIGURE_KEYS = ["value", "source", "how"];
/** Cycles; more is a slip of the pen, and would overrun virtual time. */
const MAX_CYCLES = 1_000_000_000;
/** A chain of inheritance longer than this goes round in circles. */
const MAX_LAYERS = 16;

/** What has become of a profile file. */
export interface ParsedProfile {
  /** Absent when there are errors. */
  readonly profile?: CostProfile;
  /** Every mistake, also those in inherited files. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads a cost profile. `inherited` finds the files it names under `inherits`: those that ship, unless told. Every figure
 * needs a source; every way of exiting must have a figure in the end, so that no run can meet an exit without one. Never
 * throws.
 *
 * @example A profile of your own, which takes from a shipped one what it does not measure
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const text = `
 * name: mine
 * machine: the one under my desk
 * inherits: [kvm-2017]
 * exits:
 *   vm-exit/cpuid: { value: 1180, source: "my notebook, page 4" }
 * `;
 * const { profile, diagnostics } = parseCostProfile({ name: "mine.yaml", text });
 * assertEquals(diagnostics, []);
 * assertEquals(profile?.layers.map((layer) => layer.name).slice(0, 2), ["mine", "kvm-2017"]);
 * ```
 */
export function parseCostProfile(
  file: SourceFile,
  inherited: (name: string) => SourceFile | undefined = shippedProfile,
): ParsedProfile {
  const diagnostics: Diagnostic[] = [];
  const layers: CostLayer[] = [];
  const queue: SourceFile[] = [file];
  for (let next = queue.shift(); next; next = queue.shift()) {
    const reader = new ProfileReader(next, diagnostics);
    const read = reader.read();
    if (!read) break;
    if (layers.some((layer) => layer.name === read.layer.name)) continue;
    layers.push(read.layer);
    for (const { name, span } of read.inherits) {
      const parent = inherited(name);
      if (!parent) reader.error(`There is no cost profile "${name}"`, span);
      else if (layers.length < MAX_LAYERS) queue.push(parent);
    }
  }
  const [own] = layers;
  if (!own || diagnostics.some((d) => d.severity === "error")) return { diagnostics };
  const span = { file, start: 0, end: 0 };
  for (const via of EXIT_VIAS) {
    if (layers.some((layer) => layer.exits[via])) continue;
    const message = `No figure for exits by ${via}`;
    const suggestion = `Add "${via}" under "exits", or inherit a profile that has it`;
    diagnostics.push({ severity: "error", message, span, suggestion });
  }
  if (diagnostics.some((d) => d.severity === "error")) return { diagnostics };
  return { profile: { name: own.name, layers }, diagnostics };
}

interface Read {
  readonly layer: CostLayer;
  readonly inherits: readonly { readonly name: string; readonly span: Span }[];
}

/** One file. Errors go to the list; what is wrong is left out, so that all errors show at once. */
class ProfileReader {
  constructor(readonly file: SourceFile, readonly diagnostics: Diagnostic[]) {}

  error(message: string, span: Span, suggestion?: string): void {
    this.diagnostics.push({
      severity: "error",
      message,
      span,
      ...(suggestion === undefined ? {} : { suggestion }),
    });
  }

  read(): Read | undefined {
    const document = parseDocument(this.file.text, { prettyErrors: false, logLevel: "silent" });
    for (const error of document.errors) {
      this.error(error.message, { file: this.file, start: error.pos[0], end: error.pos[1] });
    }
    const top = document.contents;
    if (document.errors.length > 0) return undefined;
    if (!isMap(top)) {
      this.error("A cost profile is a mapping", this.#span(top));
      return undefined;
    }
    this.#checkKeys(top, TOP_KEYS, "key");
    const instruction = top.get("instruction", true);
    const figure = instruction && this.#figure("instruction", instruction);
    // Time has to go forward with instructions, or limits on it would not hold.
    if (figure?.value === 0) this.error("An instruction costs something", this.#span(instruction));
    return {
      layer: {
        name: this.#text(top, "name") ?? "",
        machine: this.#text(top, "machine") ?? "",
        ...(figure ? { instruction: figure } : {}),
        exits: this.#figures(top, "exits", EXIT_KEYS),
        inlined: this.#figures(top, "inlined", [...Object.keys(SENSITIVE_OPERATIONS), OTHERS]),
        native: this.#figures(top, "native", [...NATIVE_OPERATIONS, OTHERS]),
      },
      inherits: this.#inherits(top),
    };
  }

  #span(node: unknown): Span {
    const range = (node as Node | null | undefined)?.range;
    return { file: this.file, start: range?.[0] ?? 0, end: range?.[1] ?? 0 };
  }

  #checkKeys(map: YAMLMap, known: readonly string[], what: string): void {
    for (const { key } of map.items) {
      const name = String(isScalar(key) ? key.value : key);
      if (!known.includes(name)) {
        this.error(`Unknown ${what} "${name}"`, this.#span(key), didYouMean(name, known));
      }
    }
  }

  #text(map: YAMLMap, key: string): string | undefined {
    const node = map.get(key, true);
    if (isScalar(node) && typeof node.value === "string" && node.value.trim() !== "") {
      return node.value.trim();
    }
    this.error(`"${key}" must be a text`, this.#span(node ?? map));
    return undefined;
  }

  #inherits(top: YAMLMap): Read["inherits"] {
    const node = top.get("inherits", true);
    if (node === undefined) return [];
    const names = isSeq(node) ? node.items : [node];
    return names.flatMap((item) => {
      if (isScalar(item) && typeof item.value === "string") {
        return [{ name: item.value, span: this.#span(item) }];
      }
      this.error("The name of a cost profile was expected", this.#span(item));
      return [];
    });
  }

  #figures(top: YAMLMap, key: string, known: readonly string[]): Figures {
    const node = top.get(key, true);
    if (node === undefined || (isScalar(node) && node.value === null)) return {};
    if (!isMap(node)) {
      this.error(`"${key}" must be a mapping of figures`, this.#span(node));
      return {};
    }
    this.#checkKeys(node, known, key === "exits" ? "exit" : "operation");
    const figures: Record<string, Figure> = {};
    for (const { key: name, value } of node.items) {
      const figure = this.#figure(String(name), value);
      if (figure) figures[String(name)] = figure;
    }
    return figures;
  }

  #figure(name: string, node: unknown): Figure | undefined {
    if (!isMap(node)) {
      this.error(`"${name}" must be { value, source, how }`, this.#span(node));
      return undefined;
    }
    this.#checkKeys(node, FIGURE_KEYS, "key");
    const value = node.get("value");
    if (typeof value !== "number" || !(value >= 0 && value <= MAX_CYCLES)) {
      const span = this.#span(node.get("value", true) ?? node);
      this.error(`The value of "${name}" must be a number of cycles, 0 to ${MAX_CYCLES}`, span);
      return undefined;
    }
    const source = this.#text(node, "source");
    if (source === undefined) return undefined;
    const how = node.has("how") ? this.#text(node, "how") : undefined;
    return { value, source, ...(how === undefined ? {} : { how }) };
  }
}
