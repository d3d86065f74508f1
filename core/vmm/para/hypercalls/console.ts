// console_io: the hypervisor's own console, which needs no ring and no event.
import { CONSOLEIO, ERRNO } from "../abi.ts";
import { MAX_OBJECT } from "../guest_pointer.ts";
import { Refused } from "../refused.ts";
import { type Group, result, u32, u64 } from "./table.ts";

export const consoleHypercalls: Group = (table) => {
  table.register("console_io", 3, (domain, args) => {
    const [command, count, buffer] = [u32(args, 0), u32(args, 1), u64(args, 2)];
    switch (command) {
      case CONSOLEIO.write:
        if (count > MAX_OBJECT) throw new Refused(ERRNO.E2BIG);
        domain.setup.console.write(domain.pointers.read(buffer, count));
        return result();
      case CONSOLEIO.read:
        // Nobody types.
        return result(0);
      default:
        throw new Refused(ERRNO.ENOSYS);
    }
  });
};
