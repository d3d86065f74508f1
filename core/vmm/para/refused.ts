// How a hypercall says no. Thrown by whatever finds fault with the guest's request, caught where hypercalls are dispatched.
import { ERRNO } from "./abi.ts";

/** The request is refused; RAX becomes the negated error number. Not an `Error`: hostile guests cause many. */
export class Refused {
  constructor(readonly errno: number) {}
}

/** -EINVAL */
export const invalid = (): Refused => new Refused(ERRNO.EINVAL);
