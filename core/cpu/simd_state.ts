// Which exceptions stand before SIMD and x87 instructions: what CR0 and CR4 make of them (SDM vol. 3, tables 14-1, 12-1 and
// 2-2).
import { CR0, CR4, VECTOR } from "../base/registers.ts";
import type { CpuState } from "./state.ts";

/** Vectors of the exceptions that SSE and MMX instructions raise before anything else; undefined: none. */
export interface SimdFaults {
  readonly sseFault: number | undefined;
  readonly mmxFault: number | undefined;
  /** Those of x87 instructions, and of WAIT. */
  readonly x87Fault: number | undefined;
  readonly waitFault: number | undefined;
  /**
   * That of an unmasked exception which an x87 instruction has left. Without CR0.NE there is none: the board is told by FERR#, and
   * goes on as if it held IGNNE# (SDM vol. 1, 8.7.2).
   */
  readonly pendingFault: number | undefined;
}

export function simdFaults(state: CpuState): SimdFaults {
  const cr0 = state.control("cr0");
  const switched = cr0 & BigInt(CR0.TS) ? VECTOR.NM : undefined;
  const waitFault = cr0 & BigInt(CR0.MP) ? switched : undefined;
  const pendingFault = cr0 & BigInt(CR0.NE) ? VECTOR.MF : undefined;
  if (cr0 & BigInt(CR0.EM)) {
    return {
      sseFault: VECTOR.UD,
      mmxFault: VECTOR.UD,
      x87Fault: VECTOR.NM,
      waitFault,
      pendingFault,
    };
  }
  const enabled = (state.control("cr4") & BigInt(CR4.OSFXSR)) !== 0n;
  return {
    sseFault: enabled ? switched : VECTOR.UD,
    mmxFault: switched,
    x87Fault: switched,
    waitFault,
    pendingFault,
  };
}
