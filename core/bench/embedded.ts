// Runs kernels on the embedded engine, `native`: what its translator makes of plain code.
import { embedded } from "../engine/embedded/engine.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import type { GuestImage } from "../guest/image.ts";
import { PROGRAM_BASE } from "../guest/layout.ts";
import { BACKEND_DEFINITIONS } from "../vmm/backends.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { compiledProfile, DEFAULT_PROFILE } from "../vmm/compiled_profiles.ts";
import { runCase } from "../vmm/runner.ts";
import { DEFAULT_LIMITS, type Entry } from "../scenario/case.ts";
import { KERNEL_MEMORY } from "./kernels.ts";

/** What one run came to. */
export interface KernelRun {
  readonly instructions: number;
  readonly seconds: number;
}

/** Virtual time runs by the profile that runs have by default. */
export function benchProfile(): CostProfile {
  const profile = compiledProfile(DEFAULT_PROFILE);
  if (!profile) throw new Error(`The cost profile ${DEFAULT_PROFILE} is missing`);
  return profile;
}

/** The kernel's bytes, to be loaded at `PROGRAM_BASE`. Throws if it does not assemble. */
export function assembleKernel(text: string, bits: 32 | 64 = 64): Uint8Array {
  const file = { name: "kernel.asm", text };
  const { assembled, diagnostics } = assemble([sourceOfFile(file)], {
    bits,
    origin: PROGRAM_BASE,
  });
  if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("; "));
  return assembled.bytes;
}

/** A guest of nothing but these bytes, on a bare machine. */
export function bareProgram(entry: Entry, memory: number, bytes: Uint8Array): GuestImage {
  return {
    entry,
    platform: "bare",
    memory,
    placed: [{ address: PROGRAM_BASE, bytes }],
    start: PROGRAM_BASE,
    free: PROGRAM_BASE + 0x1000,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [],
  };
}

/** Runs a kernel to its end on a fresh machine. */
export function runEmbedded(bytes: Uint8Array, profile: CostProfile): KernelRun {
  const backend = BACKEND_DEFINITIONS.get("native");
  if (!backend) throw new Error("The back end native is missing");
  const image = bareProgram("long64", KERNEL_MEMORY, bytes);
  const guest = {
    entry: image.entry,
    memory: image.memory,
    registers: {},
    disks: [],
    expectedUnported: [],
    observe: { registers: [], memory: {} },
  };
  const trace = runCase({
    group: {
      guest,
      limits: {
        ...DEFAULT_LIMITS,
        instructions: 1e12,
        time: Number.MAX_SAFE_INTEGER,
        wallMs: 120_000,
      },
    },
    subject: {
      id: "bench@native+embedded",
      backend: "native",
      engine: "embedded",
      expect: { registers: {}, memory: {} },
    },
    image,
    backend,
    engine: embedded,
    profile,
  });
  if (trace.end.kind !== "shutdown") throw new Error(`The kernel ended by ${trace.end.kind}`);
  return { instructions: trace.counts.instructions, seconds: trace.wallNs / 1e9 };
}
