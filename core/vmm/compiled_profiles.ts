// The shipped cost profiles without reading their YAML: what a run starts with unless the user brings a profile.
import { LAYERS, PROFILES } from "./compiled_profiles.gen.ts";
import type { CostProfile } from "./cost_profile.ts";

/** The profile that is used unless the user names another. */
export const DEFAULT_PROFILE = "kvm-2017";

/** Names of the shipped cost profiles. */
export const PROFILE_NAMES: readonly string[] = Object.keys(PROFILES);

/**
 * A cost profile that ships, or undefined when there is none of this name. `kvm-2017` is the one that runs use unless told.
 *
 * @example Where a figure comes from
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { costProfile } from "@trivisor/trivisor";
 *
 * const figure = costProfile("kvm-2017")?.layers[0]?.exits["vm-exit"];
 * assertEquals(figure?.value, 1291);
 * assertEquals(figure?.source, "linux b7ffc44d5b2e, CPUID");
 * ```
 */
export function compiledProfile(name: string): CostProfile | undefined {
  const names = Object.hasOwn(PROFILES, name) ? PROFILES[name] : undefined;
  return names && { name, layers: names.flatMap((layer) => LAYERS[layer] ?? []) };
}
