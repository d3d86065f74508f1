// The model-specific registers that Xen lets a PV kernel read and write as if it were privileged: segment bases, which are
// ABI, and EFER to look at.
import type { Vcpu } from "../../engine/vcpu.ts";
import { isCanonical } from "./page_tables.ts";

/** MSR numbers (SDM vol. 4, table 2-2). */
export const MSR = {
  EFER: 0xc0000080,
  FS_BASE: 0xc0000100,
  GS_BASE: 0xc0000101,
  KERNEL_GS_BASE: 0xc0000102,
} as const;

const WRITABLE: ReadonlySet<number> = new Set([MSR.FS_BASE, MSR.GS_BASE, MSR.KERNEL_GS_BASE]);

/** Does Xen emulate it? */
export function emulatesMsr(msr: number, write: boolean): boolean {
  return WRITABLE.has(msr) || (!write && msr === MSR.EFER);
}

/** Its value. */
export function readMsr(vcpu: Vcpu, msr: number): bigint {
  return vcpu.getMsr(msr) ?? 0n;
}

/** False: the value is not allowed. */
export function writeMsr(vcpu: Vcpu, msr: number, value: bigint): boolean {
  if (!isCanonical(value)) return false;
  vcpu.setMsr(msr, value);
  return true;
}
