// The shipped cost profiles without reading their YAML: what a run starts with unless the user brings a profile.
import { LAYERS, PROFILES } from "./compiled_profiles.gen.ts";
import type { CostProfile } from "./cost_profile.ts";

/** A shipped profile, or undefined when there is none of this name. */
export function compiledProfile(name: string): CostProfile | undefined {
  const names = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
  return names && { name, layers: names.flatMap((layer) => LAYERS[layer] ?? []) };
}
