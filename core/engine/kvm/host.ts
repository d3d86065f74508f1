// What kind of host a machine's KVM is on, for the ledger of deviations and for `doctor`.
import { COUNTER_GAP, PVM_NOTE } from "./pvm.ts";
import type { KvmSystem } from "./system.ts";

export interface KvmHost {
  /** `pvm`, `svm`, `vmx`, or `kvm` where that can't be told. */
  readonly host: string;
  /** The kernel's: KVM has none of its own. */
  readonly version: string;
  /** What it can't do: sentences without a full stop. */
  readonly gaps: readonly string[];
}

/** KVM's modules, by what they stand for. */
const MODULES = [["kvm_pvm", "pvm"], ["kvm_amd", "svm"], ["kvm_intel", "vmx"]] as const;

export function hostOf(system: KvmSystem): KvmHost {
  const gaps: string[] = [];
  if (system.pvm) gaps.push(PVM_NOTE, COUNTER_GAP);
  const loaded = MODULES.find(([module]) => system.libc.exists(`/sys/module/${module}`));
  return { host: loaded?.[1] ?? "kvm", version: system.libc.kernelRelease(), gaps };
}
