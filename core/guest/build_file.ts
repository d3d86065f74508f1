// Guest file -> image: reads what the scenario names, and has it loaded.
import type { Diagnostic } from "../base/diagnostic.ts";
import type { GuestSpec, Located } from "../scenario/case.ts";
import type { BuildOptions, Built } from "./build.ts";
import type { Platform } from "./image.ts";
import { loadGuestFile } from "./loaders/load.ts";
import { isRefused, type Module } from "./loaders/loaded.ts";

const PAGE_SIZE = 4096;

/** Builds a guest that is a file. What is wrong with it is told at the file's name in the scenario. */
export function buildFile(
  guest: GuestSpec,
  file: Located<string>,
  platform: Platform,
  options: BuildOptions,
): Built {
  const diagnostics: Diagnostic[] = [];
  const read = (named: Located<string>): Uint8Array => {
    const bytes = options.readFile?.(named);
    if (bytes) return bytes;
    diagnostics.push(refusal(named, `There is no file ${named.value}`));
    return new Uint8Array();
  };
  const bytes = read(file);
  const modules = (guest.modules ?? []).map((named): Module => ({
    name: named.value,
    bytes: read(named),
  }));
  if (diagnostics.length > 0) return { diagnostics };

  const { entry, memory, cpus, format, load, commandLine = "" } = guest;
  const loaded = loadGuestFile(
    {
      name: file.value,
      bytes,
      memory,
      cpus: cpus ?? 1,
      entry,
      ...(load ? { load: load.value } : {}),
      commandLine,
      modules,
    },
    format,
  );
  if (isRefused(loaded)) {
    const { problem, suggestion } = loaded;
    return { diagnostics: [refusal(file, `${file.value}: ${problem}`, suggestion)] };
  }
  const end = Math.max(...loaded.occupied.map((range) => range.end));
  return {
    image: {
      entry: loaded.entry,
      format: loaded.format,
      ...(loaded.rom ? { rom: loaded.rom } : {}),
      platform,
      memory,
      ...(cpus ? { cpus } : {}),
      ...(guest.seed !== undefined ? { seed: guest.seed } : {}),
      placed: loaded.placed,
      start: loaded.start,
      free: Math.ceil(end / PAGE_SIZE) * PAGE_SIZE,
      registers: { ...loaded.registers, ...guest.registers },
      symbols: loaded.symbols,
      lines: [],
      pvOps: [],
      disks: guest.disks,
    },
    diagnostics,
  };
}

function refusal({ span }: Located<string>, message: string, suggestion?: string): Diagnostic {
  return { severity: "error", message, span, ...(suggestion ? { suggestion } : {}) };
}
