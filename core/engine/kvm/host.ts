// What kind of host a machine's KVM is on, for the ledger of deviations and for `doctor`.
import { COUNTER_GAP, PVM_NOTE } from "./pvm.ts";
import type { KvmSystem } from "./system.ts";

export interface KvmHost {
  /** `pvm`, `svm`, `vmx`, or `kvm` where that can't be told; `svm-tcg` where QEMU emulates the host's CPU. */
  readonly host: string;
  /** The kernel's: KVM has none of its own. */
  readonly version: string;
  /** What it can't do: sentences without a full stop. */
  readonly gaps: readonly string[];
}

/** Under VMX the guest's CR0.NE is set for it (SDM vol. 3, 24.8), and KVM does not intercept FERR_FREEZE (APM vol. 2, 15.14.2). */
const FLOAT_ERROR_GAP =
  "x87 exceptions without CR0.NE, by IRQ 13: KVM tells its VMM of no FERR#, and under VMX the guest gets #MF";

/** KVM's modules, by what they stand for. */
export const MODULES = [["kvm_pvm", "pvm"], ["kvm_amd", "svm"], ["kvm_intel", "vmx"]] as const;
/** What QEMU's emulated CPUs call themselves. They lack PCID and some checks of real ones: the ledger tells them apart. */
export const EMULATED = "QEMU TCG CPU";
/** More than the first CPU's part of /proc/cpuinfo. */
const CPUINFO_BYTES = 4096;

/**
 * Is the host's CPU itself a program? By libc, as Deno gives /proc only to those who have every permission; it opens for
 * writing, so only root is told.
 */
function isEmulated({ libc }: KvmSystem): boolean {
  const bytes = new Uint8Array(CPUINFO_BYTES);
  let file: number | undefined;
  try {
    file = libc.open("/proc/cpuinfo");
    libc.pread(file, bytes, 0);
  } catch {
    return false;
  } finally {
    if (file !== undefined) libc.close(file);
  }
  return new TextDecoder().decode(bytes).includes(EMULATED);
}

export function hostOf(system: KvmSystem): KvmHost {
  const gaps = [FLOAT_ERROR_GAP];
  if (system.pvm) gaps.push(PVM_NOTE, COUNTER_GAP);
  const loaded = MODULES.find(([module]) => system.libc.exists(`/sys/module/${module}`));
  const host = loaded?.[1] ?? "kvm";
  return {
    host: isEmulated(system) ? `${host}-tcg` : host,
    version: system.libc.kernelRelease(),
    gaps,
  };
}
