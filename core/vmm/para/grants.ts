// Grants: how a guest lets a back end at its pages. Entries of version 1 in the grant table's frame, which the guest writes
// and nobody trusts (xen/include/public/grant_table.h).
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { XEN_GRANT_TABLE } from "../../guest/layout.ts";
import { DOM0, GRANT_ENTRY_SIZE, GTF } from "./abi.ts";
import type { Domain } from "./domain.ts";
import { FRAME_TYPE } from "./page_types.ts";
import { Refused } from "./refused.ts";

/** Entries in the one frame there is. */
export const GRANTS = PAGE_SIZE / GRANT_ENTRY_SIZE;

/**
 * Lets dom0 use a granted frame: calls `use` with its guest-physical address. False, and no call, if the reference does not
 * grant that, or the frame is in use as something that must not be written.
 */
export function withGrant(
  domain: Domain,
  reference: number,
  write: boolean,
  use: (address: number) => void,
): boolean {
  if (reference >= GRANTS) return false;
  const at = XEN_GRANT_TABLE + reference * GRANT_ENTRY_SIZE as Gpa;
  const { memory, types } = domain;
  const flags = memory.readU16(at);
  const frame = memory.readU32(at + 4 as Gpa);
  const granted = (flags & GTF.type) === GTF.permit_access &&
    memory.readU16(at + 2 as Gpa) === DOM0 && types.owned(frame);
  if (!granted || (write && (flags & GTF.readonly) !== 0)) return false;
  if (write) {
    try {
      types.get(frame, FRAME_TYPE.writable);
    } catch (refused) {
      if (refused instanceof Refused) return false;
      throw refused;
    }
  }
  // The guest may look at these to see that the grant is in use; it is so for no time at all.
  memory.writeU16(at, flags | GTF.reading | (write ? GTF.writing : 0));
  use(frame * PAGE_SIZE);
  memory.writeU16(at, flags);
  if (write) types.put(frame);
  return true;
}
