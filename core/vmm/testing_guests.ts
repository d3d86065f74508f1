// Real guests for tests: a program from a text, built, run on a back end of the embedded engine, and traced.
import { assert } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import type { SourceFile } from "../base/source.ts";
import { embedded } from "../engine/embedded/engine.ts";
import { buildGuest } from "../guest/build.ts";
import { guestOf } from "../guest/testing.ts";
import { DEFAULT_LIMITS, type GuestSpec } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { BACKEND_DEFINITIONS } from "./backends.ts";
import type { CostProfile } from "./cost_profile.ts";
import { parseCostProfile } from "./cost_profile.ts";
import { runCase } from "./runner.ts";
import { DEFAULT_PROFILE, shippedProfile } from "./shipped_profiles.ts";

/** Enough for any guest that ends, little enough for one that does not. */
const INSTRUCTIONS = 3_000_000;

/** Builds and runs a guest; throws if it can't be built. `%include "lib/..."` finds the fixtures. */
export function runGuest(
  backend: Backend,
  program: string,
  changes: Partial<GuestSpec> = {},
): Trace {
  const definition = BACKEND_DEFINITIONS.get(backend);
  assert(definition, `There is no back end ${backend}`);
  const guest = guestOf(program, changes);
  const { image, diagnostics } = buildGuest(guest, definition.platform, { include: fixture });
  assert(image, diagnostics.map(renderDiagnostic).join("\n"));
  return runCase({
    group: { guest, limits: { ...DEFAULT_LIMITS, instructions: INSTRUCTIONS } },
    subject: { id: "test", backend, engine: "embedded", expect: { registers: {}, memory: {} } },
    image,
    backend: definition,
    engine: embedded,
    profile: defaultProfile(),
  });
}

function fixture(name: string): SourceFile {
  return { name, text: Deno.readTextFileSync(new URL(`../../fixtures/${name}`, import.meta.url)) };
}

function defaultProfile(): CostProfile {
  const file = shippedProfile(DEFAULT_PROFILE);
  assert(file);
  const { profile } = parseCostProfile(file, shippedProfile);
  assert(profile);
  return profile;
}
