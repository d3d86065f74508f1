// Where the guest's kernel is entered and left: trap table, kernel stack, iret.
import { VECTOR } from "../../../base/registers.ts";
import { TRAP_INFO } from "../abi.ts";
import type { Domain } from "../domain.ts";
import { isCanonical } from "../page_tables.ts";
import { invalid } from "../refused.ts";
import { hypercallIret } from "../trap_delivery.ts";
import { type Group, result, u32, u64 } from "./table.ts";

/** struct trap_info (xen.h). */
const ENTRY = { vector: 0, flags: 1, cs: 2, address: 8, size: 16 } as const;
const VECTORS = 256;

export const trapHypercalls: Group = (table) => {
  table.register("set_trap_table", 1, (domain, args) => {
    setTrapTable(domain, u64(args, 0));
    return result();
  });
  table.register("stack_switch", 2, (domain, args) => {
    domain.kernelStack = { ss: u32(args, 0) & 0xffff, rsp: u64(args, 1) };
    return result();
  });
  table.register("iret", 0, (domain) => ({ outcome: hypercallIret(domain) }));
  // The FPU is not switched lazily here, so there is no trap to set or clear.
  table.register("fpu_taskswitch", 1, () => result());
};

/** A null pointer clears the table; otherwise entries are added up to one with a null address. */
function setTrapTable(domain: Domain, pointer: bigint): void {
  if (pointer === 0n) {
    domain.traps.clear();
    return;
  }
  for (let index = 0; index <= VECTORS; index++) {
    const entry = domain.pointers.view(pointer + BigInt(index * ENTRY.size), ENTRY.size);
    const address = entry.getBigUint64(ENTRY.address, true);
    if (address === 0n) return;
    if (!isCanonical(address)) throw invalid();
    const flags = entry.getUint8(ENTRY.flags);
    const vector = entry.getUint8(ENTRY.vector);
    domain.traps.set(vector, {
      address,
      cs: entry.getUint16(ENTRY.cs, true),
      dpl: flags & TRAP_INFO.dpl,
      maskEvents: (flags & TRAP_INFO.maskEvents) !== 0,
    });
  }
  throw invalid();
}

/** May INT n reach this vector's handler? The kernel counts as level 1; INT3 and INTO need no permission in Xen's IDT. */
export function permitsSoftwareInterrupt(domain: Domain, vector: number): boolean {
  const handler = domain.traps.get(vector);
  if (!handler) return false;
  if (vector === VECTOR.BP || vector === VECTOR.OF) return true;
  return handler.dpl >= (domain.kernelMode ? 1 : 3);
}
