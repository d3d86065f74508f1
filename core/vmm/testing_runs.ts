// Runs of small programs, for tests: text in, trace out. On the embedded engine, unless another one is named.
import type { Backend } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import type { SourceFile } from "../base/source.ts";
import { embedded } from "../engine/embedded/engine.ts";
import type { VcpuFactory } from "../engine/vcpu.ts";
import { buildGuest } from "../guest/build.ts";
import type { GuestImage } from "../guest/image.ts";
import { guestOf } from "../guest/testing.ts";
import { DEFAULT_LIMITS, type DiskSpec, type Entry, type Limits } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { BACKEND_DEFINITIONS } from "./backends.ts";
import type { CostProfile } from "./cost_profile.ts";
import { parseCostProfile } from "./parse_profile.ts";
import { runCase } from "./runner.ts";
import { DEFAULT_PROFILE } from "./compiled_profiles.ts";
import { shippedProfile } from "./shipped_profiles.ts";

/** What a test says of a program; everything has a default but the text. */
export interface ProgramOptions {
  readonly entry?: Entry;
  readonly memory?: number;
  readonly cpus?: number;
  /** Instructions in a CPU's turn. */
  readonly turn?: number;
  /** What is done to the built image. */
  readonly change?: (image: GuestImage) => GuestImage;
  readonly disks?: readonly DiskSpec[];
  readonly observe?: Readonly<Record<string, number>>;
  readonly limits?: Partial<Limits>;
  readonly profile?: string;
  readonly engine?: VcpuFactory;
}

const profiles = new Map<string, CostProfile>();

/** A shipped profile; throws when there is none of this name. */
export function profileNamed(name: string): CostProfile {
  const known = profiles.get(name);
  if (known) return known;
  const file = shippedProfile(name);
  const profile = file && parseCostProfile(file).profile;
  if (!profile) throw new Error(`No usable cost profile ${name}`);
  profiles.set(name, profile);
  return profile;
}

/** What scenarios include too: `lib/print.inc` and the like. */
function fixture(name: string): SourceFile {
  return { name, text: Deno.readTextFileSync(new URL(`../../fixtures/${name}`, import.meta.url)) };
}

/** Builds and runs a program on one back end; throws when it does not assemble. */
export function runProgram(backend: Backend, text: string, options: ProgramOptions = {}): Trace {
  const definition = BACKEND_DEFINITIONS.get(backend);
  if (!definition) throw new Error(`No back end ${backend}`);
  const { entry = "long64", memory = 2 << 20, disks = [], observe = {} } = options;
  const guest = guestOf(text, {
    entry,
    memory,
    ...(options.cpus ? { cpus: options.cpus } : {}),
    disks,
    observe: { registers: [], memory: observe },
  });
  const { image, diagnostics } = buildGuest(guest, definition.platform, { include: fixture });
  if (!image) throw new Error(diagnostics.map((d) => renderDiagnostic(d)).join("\n"));
  return runCase({
    group: { guest, limits: { ...DEFAULT_LIMITS, ...options.limits } },
    subject: {
      id: `test@${backend}`,
      backend,
      engine: "embedded",
      expect: { registers: {}, memory: {} },
    },
    image: options.change?.(image) ?? image,
    backend: definition,
    engine: options.engine ?? embedded,
    ...(options.turn ? { turn: options.turn } : {}),
    profile: profileNamed(options.profile ?? DEFAULT_PROFILE),
  });
}

/** Text that sets the long-mode gate of a vector to a label; clobbers RAX and RDI. */
export function gate(vector: number, label: string, attributes = 0x8e00): string {
  return `
    lea   rax, [rel ${label}]
    mov   edi, ${0x2000 + 16 * vector}
    mov   [rdi], ax
    mov   word [rdi+2], 8
    mov   word [rdi+4], ${attributes}
    shr   rax, 16
    mov   [rdi+6], ax
    shr   rax, 16
    mov   [rdi+8], eax
    mov   dword [rdi+12], 0`;
}

/** A small deterministic generator: xorshift32. */
export function generator(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
