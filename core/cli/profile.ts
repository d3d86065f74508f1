// Loads the cost profile of a run.
import { didYouMean, renderDiagnostic } from "../base/diagnostic.ts";
import { type CostProfile, parseCostProfile } from "../vmm/cost_profile.ts";
import { DEFAULT_PROFILE, SHIPPED_PROFILES, shippedProfile } from "../vmm/shipped_profiles.ts";
import { Complaint } from "./complaint.ts";
import { readText } from "./project.ts";

/** Loads a profile that ships by its name, or any by its path; complains where it can't. */
export function loadProfile(name: string = DEFAULT_PROFILE): CostProfile {
  const isFile = /\.ya?ml$/.test(name) || name.includes("/");
  const file = isFile ? readText(name) : shippedProfile(name);
  if (!file) {
    const hint = didYouMean(name, SHIPPED_PROFILES) ?? `There are: ${SHIPPED_PROFILES.join(", ")}`;
    throw new Complaint(`There is no cost profile "${name}". ${hint}`);
  }
  const { profile, diagnostics } = parseCostProfile(file);
  if (!profile) throw new Complaint(diagnostics.map((d) => renderDiagnostic(d)).join("\n"));
  return profile;
}
