// Loads the cost profile of a run.
import { didYouMean, renderDiagnostic } from "../base/diagnostic.ts";
import { compiledProfile, DEFAULT_PROFILE, PROFILE_NAMES } from "../vmm/compiled_profiles.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { Complaint } from "./complaint.ts";
import { readText } from "./project.ts";

/** Loads a profile that ships by its name, or any by its path; complains where it can't. */
export async function loadProfile(name: string = DEFAULT_PROFILE): Promise<CostProfile> {
  const shipped = compiledProfile(name);
  if (shipped) return shipped;
  const file = /\.ya?ml$/.test(name) || name.includes("/") ? readText(name) : undefined;
  if (!file) {
    const hint = didYouMean(name, PROFILE_NAMES) ?? `There are: ${PROFILE_NAMES.join(", ")}`;
    throw new Complaint(`There is no cost profile "${name}". ${hint}`);
  }
  const { parseCostProfile } = await import("../vmm/parse_profile.ts");
  const { profile, diagnostics } = parseCostProfile(file);
  if (!profile) throw new Complaint(diagnostics.map((d) => renderDiagnostic(d)).join("\n"));
  return profile;
}
