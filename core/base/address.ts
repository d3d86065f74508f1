// Guest-physical addresses are branded, so that no other number is taken for one, nor one for a host offset. They fit a double
// exactly (52 bits at most). Linear addresses have 64 bits and are bigints: the type alone tells the two apart.

/** A guest-physical address: an integer from 0 to 2^52 - 1. */
export type Gpa = number & { readonly __brand: "Gpa" };

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

/** The address of the page that holds `address`. */
export function pageOf(address: Gpa): Gpa {
  return (address - address % PAGE_SIZE) as Gpa;
}
