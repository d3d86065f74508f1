// Guest addresses are branded so that a physical one can't be used where a virtual one is meant, nor either as a host
// offset. Physical addresses fit a double exactly (52 bits at most); virtual ones are 64-bit.

/** A guest-physical address: an integer from 0 to 2^52 - 1. */
export type Gpa = number & { readonly __brand: "Gpa" };

/** A guest-virtual (linear) address: a canonical 64-bit integer, as unsigned bigint. */
export type Gva = bigint & { readonly __brand: "Gva" };

/** Size in bytes of the smallest page, and of a page-table page. */
export const PAGE_SIZE = 4096;
export const PAGE_SHIFT = 12;

/** Largest guest-physical address: 52 bits, the architectural limit (SDM vol. 3, 4.1.4). */
export const MAX_GPA = 2 ** 52 - 1;

/** Brands a number as a guest-physical address; throws `RangeError` unless it is an integer from 0 to 2^52 - 1. */
export function gpa(value: number): Gpa {
  if (!Number.isInteger(value) || value < 0 || value > MAX_GPA) {
    throw new RangeError(`Not a guest-physical address: ${value}`);
  }
  return value as Gpa;
}

/** Brands a bigint as a guest-virtual address, reduced to 64 bits. */
export function gva(value: bigint): Gva {
  return BigInt.asUintN(64, value) as Gva;
}

/** The address of the page that holds `address`. */
export function pageOf(address: Gpa): Gpa {
  return (address - address % PAGE_SIZE) as Gpa;
}
