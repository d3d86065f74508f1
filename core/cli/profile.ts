// Loads the cost profile of a run.
import { didYouMean, renderDiagnostic } from "../base/diagnostic.ts";
import { compiledProfile } from "../vmm/compiled_profiles.ts";
import { type CostProfile, parseCostProfile } from "../vmm/cost_profile.ts";
import { DEFAULT_PROFILE, SHIPPED_PROFILES } from "../vmm/shipped_profiles.ts";
import { Complaint } from "./complaint.ts";
import { readText } from "./project.ts";

/** Loads a profile that ships by its name, or any by its path; complains where it can't. */
export function loadProfile(name: string = DEFAULT_PROFILE): CostProfile {
  const shipped = compiledProfile(name);
  if (shipped) return shipped;
  const file = /\.ya?ml$/.test(name) || name.includes("/") ? readText(name) : undefined;
  if (!file) {
    const hint = didYouMean(name, SHIPPED_PROFILES) ?? `There are: ${SHIPPED_PROFILES.join(", ")}`;
    throw new Complaint(`There is no cost profile "${name}". ${hint}`);
  }
  const { profile, diagnostics } = parseCostProfile(file);
  if (!profile) throw new Complaint(diagnostics.map((d) => renderDiagnostic(d)).join("\n"));
  return profile;
}
