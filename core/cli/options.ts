// Values of options: each parser complains in words that help.
import { type Backend, BACKENDS, type Engine, ENGINES } from "../base/backend.ts";
import { didYouMean } from "../base/diagnostic.ts";
import type { KvmOptions } from "../engine/kvm/engine.ts";
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
  readonly kvm?: KvmOptions;
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

/** What `--kvm` may say, and what it means. */
const KVM_OPTIONS: Readonly<Record<string, KvmOptions>> = {
  "ioeventfd": { ioeventfd: true },
  "irqchip=kernel": { irqchip: "kernel" },
  "irqchip=user": { irqchip: "user" },
  "irqfd": { irqfd: true },
};

/** `irqchip=kernel,irqfd`: what of KVM's is used, with commas. */
export function kvmOptions(text: string): KvmOptions {
  const words = list(text).map((word) => oneOf("option of KVM", word, Object.keys(KVM_OPTIONS)));
  const options: KvmOptions = Object.assign({}, ...words.map((word) => KVM_OPTIONS[word]));
  if (words.includes("irqchip=kernel") && words.includes("irqchip=user")) {
    throw new Complaint(
      "--kvm: the interrupt controllers are the kernel's or the user's, not both",
    );
  }
  if (options.irqfd && options.irqchip !== "kernel") {
    throw new Complaint(
      "--kvm: irqfd raises lines of interrupt controllers in the kernel: it needs irqchip=kernel",
    );
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
