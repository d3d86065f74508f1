// Which exceptions stand before SIMD instructions: what CR0 and CR4 make of them (SDM vol. 3, tables 14-1 and 12-1).
import { CR0, CR4, VECTOR } from "../base/registers.ts";
import type { CpuState } from "./state.ts";

/** Vectors of the exceptions that SSE and MMX instructions raise before anything else; undefined: none. */
export interface SimdFaults {
  readonly sseFault: number | undefined;
  readonly mmxFault: number | undefined;
}

export function simdFaults(state: CpuState): SimdFaults {
  const cr0 = state.control("cr0");
  if (cr0 & BigInt(CR0.EM)) return { sseFault: VECTOR.UD, mmxFault: VECTOR.UD };
  const mmxFault = cr0 & BigInt(CR0.TS) ? VECTOR.NM : undefined;
  const enabled = (state.control("cr4") & BigInt(CR4.OSFXSR)) !== 0n;
  return { sseFault: enabled ? mmxFault : VECTOR.UD, mmxFault };
}
