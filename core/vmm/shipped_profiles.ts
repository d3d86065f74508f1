// The cost profiles that come with trivisor, as text: they travel with the code, so that no run needs a file system.
import adamsAgesen2006 from "../../fixtures/costs/adams-agesen-2006.yaml" with { type: "text" };
import kvm2017 from "../../fixtures/costs/kvm-2017.yaml" with { type: "text" };
import kvmNehalem2011 from "../../fixtures/costs/kvm-nehalem-2011.yaml" with { type: "text" };
import kvmNested2019 from "../../fixtures/costs/kvm-nested-2019.yaml" with { type: "text" };
import kvmSvm2020 from "../../fixtures/costs/kvm-svm-2020.yaml" with { type: "text" };
import xenX86 from "../../fixtures/costs/xen-x86-2016.yaml" with { type: "text" };
import type { SourceFile } from "../base/source.ts";

const TEXTS: Readonly<Record<string, string>> = {
  "adams-agesen-2006": adamsAgesen2006,
  "kvm-2017": kvm2017,
  "kvm-nehalem-2011": kvmNehalem2011,
  "kvm-nested-2019": kvmNested2019,
  "kvm-svm-2020": kvmSvm2020,
  "xen-x86-2016": xenX86,
};

/** Names of all shipped profiles, sorted. */
export const SHIPPED_PROFILES: readonly string[] = Object.keys(TEXTS).toSorted();

/** A shipped profile's file, or undefined when there is none of this name. */
export function shippedProfile(name: string): SourceFile | undefined {
  if (!Object.hasOwn(TEXTS, name)) return undefined;
  const text = TEXTS[name];
  return text === undefined ? undefined : { name: `fixtures/costs/${name}.yaml`, text };
}
