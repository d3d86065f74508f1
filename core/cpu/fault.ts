// An exception of the guest, on its way from the instruction that raised it to whoever delivers it. Not an `Error`: it is
// thrown often, and no stack belongs to it.

/** Thrown by instruction semantics and by the MMU; RIP still points at the instruction. */
export class GuestFault {
  /** `address` is the linear address of a page fault, for CR2. */
  constructor(readonly vector: number, readonly errorCode?: number, readonly address?: bigint) {}
}
