// The memory of FXSAVE, XSAVE and their kin: more than an access has, and across two pages perhaps.
import type { Cpu } from "../../cpu.ts";

const PAGE = 0x1000n;

/** Faults unless all of an area may be read or written: CR2 is the first address that may not be. Not more than a page. */
export function probe({ state, memory }: Cpu, at: bigint, bytes: number, write: boolean): void {
  const rights = { write, execute: false, user: state.cpl === 3 };
  memory.translate(at, rights);
  const next = BigInt.asUintN(64, (at & ~(PAGE - 1n)) + PAGE);
  if (BigInt.asUintN(64, next - at) < BigInt(bytes)) memory.translate(next, rights);
}
