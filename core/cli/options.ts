// Values of options: each parser complains in words that help.
import { type Backend, BACKENDS, type Engine, ENGINES } from "../base/backend.ts";
import { didYouMean } from "../base/diagnostic.ts";
import { parseShard, type Shard } from "../scenario/filter.ts";
import type { SubjectOptions } from "../foreign/subjects.ts";
import { Complaint } from "./complaint.ts";

/** Is it one of these words? */
function isOneOf<T extends string>(word: string, words: readonly T[]): word is T {
  return words.some((w) => w === word);
}

/** `name`, if it is one of `names`. */
export function oneOf<T extends string>(what: string, name: string, names: readonly T[]): T {
  if (isOneOf(name, names)) return name;
  throw new Complaint(
    `There is no ${what} "${name}". ${didYouMean(name, names) ?? `There are: ${names.join(", ")}`}`,
  );
}

/** `native,para`, or given several times. */
export function backends(text: string, before: readonly Backend[] = []): readonly Backend[] {
  const names = text.split(",").map((name) => oneOf("back end", name.trim(), BACKENDS));
  return [...new Set([...before, ...names])];
}

/** `embedded,kvm`, or given several times. */
export function engines(text: string, before: readonly Engine[] = []): readonly Engine[] {
  const names = text.split(",").map((name) => oneOf("engine", name.trim(), ENGINES));
  return [...new Set([...before, ...names])];
}

/** An option that may be given several times, or with commas. */
export function list(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, ...text.split(",").map((part) => part.trim()).filter((part) => part !== "")];
}

/** Reads a whole number of at least 1; `option` is named where it is none. */
export function positive(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) {
      throw new Complaint(`${option}: "${text}" is not a whole number above 0`);
    }
    return value;
  };
}

/** `2/5`: the second of five parts. */
export function shard(text: string): Shard {
  const parsed = parseShard(text);
  if (!parsed) throw new Complaint(`--shard: "${text}" is none; write 2/5 for the second of five`);
  return parsed;
}

/** What a command line says of what is outside of trivisor. */
export interface OutsideFlags {
  readonly qemu?: string;
  readonly qemuMode?: SubjectOptions["qemuMode"];
  readonly vmm?: readonly string[];
  readonly kvm?: SubjectOptions["kvm"];
}

/** The same for {@linkcode Subjects}. */
export function outside({ qemu, qemuMode, vmm, kvm }: OutsideFlags): SubjectOptions {
  return {
    ...(qemu === undefined ? {} : { qemu }),
    ...(qemuMode === undefined ? {} : { qemuMode }),
    ...(vmm === undefined ? {} : { vmm }),
    ...(kvm === undefined ? {} : { kvm }),
  };
}

/** `ioeventfd`: what of KVM's is used, with commas. */
export function kvmOptions(text: string): NonNullable<SubjectOptions["kvm"]> {
  const options: { ioeventfd?: boolean } = {};
  for (const word of list(text)) {
    if (word === "irqfd" || word.startsWith("irqchip=")) {
      if (word === "irqchip=user") continue;
      throw new Complaint(
        `--kvm: the interrupt controller is one of the board's devices, and not KVM's, whose lines ` +
          `irqfd needs; \`trivisor costs options\` compares them`,
      );
    }
    oneOf("option of KVM", word, ["ioeventfd"]);
    options.ioeventfd = true;
  }
  return options;
}

/** `my-vmm --fast "a b"`: a program and its arguments; quotes hold words together, and there is no shell. */
export function command(text: string): readonly string[] {
  const words = [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)]
    .map(([, double, single, plain]) => double ?? single ?? plain ?? "");
  if (words.length === 0) throw new Complaint("--vmm: there is no program");
  return words;
}
