// Guests from files, on any back end that shows its guest a PC, and gcc to make them.
import { assert } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { embedded } from "../engine/embedded/engine.ts";
import { buildGuest } from "../guest/build.ts";
import { guestOf } from "../guest/testing.ts";
import { DEFAULT_LIMITS, type GuestSpec, type Limits } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { BACKEND_DEFINITIONS } from "./backends.ts";
import { runCase } from "./runner.ts";
import { DEFAULT_PROFILE } from "./compiled_profiles.ts";
import { profileNamed } from "./testing_runs.ts";

/** The back ends that show their guest a PC. */
export const PC_BACKENDS: readonly Backend[] = [
  "native",
  "full-bt",
  "full-hw",
  "full-hw/shadow",
  "hybrid",
];
const FIXTURES = new URL("../../fixtures/", import.meta.url).pathname;
export const FREESTANDING =
  "-ffreestanding -fno-pic -no-pie -fno-stack-protector -fno-asynchronous-unwind-tables -nostdlib -static " +
  "-Wl,--build-id=none";
/** Linked as the kernels of `fixtures/guests` are. */
export const KERNEL =
  `${FREESTANDING} -mno-red-zone -Wl,-z,max-page-size=16 -Wl,-T,${FIXTURES}guests/kernel.ld`;

/** Can this machine compile for both widths? Tests that need it are shown as ignored where it can't. */
export const hasCompiler = await compiles();

async function compiles(): Promise<boolean> {
  try {
    for (const width of ["-m32", "-m64"]) {
      const { success } = await new Deno.Command("gcc", {
        args: [width, "-ffreestanding", "-x", "c", "-c", "-o", "/dev/null", "/dev/null"],
        stderr: "null",
      }).output();
      if (!success) return false;
    }
    return true;
  } catch {
    return false;
  }
}

/** Compiles and links sources of `fixtures`; flags are separated by spaces. Gives what `use` makes of the file. */
export async function compile<T>(
  flags: string,
  sources: readonly string[],
  use: (path: string) => Promise<T>,
): Promise<T> {
  const output = await Deno.makeTempFile();
  try {
    const { success, stderr } = await new Deno.Command("gcc", {
      args: [...flags.split(" "), ...sources.map((s) => FIXTURES + s), "-o", output],
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    return await use(output);
  } finally {
    await Deno.remove(output);
  }
}

export const span = { file: { name: "test.yaml", text: "file" }, start: 0, end: 4 };

/** Runs the file called `guest` of some files. */
export function runFile(
  backend: Backend,
  files: Readonly<Record<string, Uint8Array>>,
  changes: Partial<GuestSpec> = {},
  limits: Partial<Limits> = {},
): Trace & { readonly text: string } {
  const definition = BACKEND_DEFINITIONS.get(backend);
  assert(definition);
  const { program: _, ...rest } = guestOf("", { memory: 4 << 20, ...changes });
  const guest: GuestSpec = { ...rest, file: { value: "guest", span } };
  const { image, diagnostics } = buildGuest(guest, definition.platform, {
    readFile: ({ value }) => files[value],
  });
  assert(image, diagnostics.map(renderDiagnostic).join("\n"));
  const trace = runCase({
    group: { guest, limits: { ...DEFAULT_LIMITS, ...limits } },
    subject: {
      id: `test@${backend}`,
      backend,
      engine: "embedded",
      expect: { registers: {}, memory: {} },
    },
    image,
    backend: definition,
    engine: embedded,
    profile: profileNamed(DEFAULT_PROFILE),
  });
  return { ...trace, text: new TextDecoder().decode(trace.console) };
}
