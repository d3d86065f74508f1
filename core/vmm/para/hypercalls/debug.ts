// set_debugreg and get_debugreg. The registers are the guest's own: Xen keeps from them what would reach beyond the guest,
// general detect and breakpoints in its own part of the address space (xen/arch/x86/traps.c, set_debugreg).
import { CR4 } from "../../../base/registers.ts";
import { DR7_GD } from "../../../cpu/debug.ts";
import { ERRNO } from "../abi.ts";
import type { Domain } from "../domain.ts";
import { Refused } from "../refused.ts";
import { type Group, result, u32, u64 } from "./table.ts";

/** Bits that exist, and bits that read as one (SDM vol. 3, figure 18-1). */
const DR6 = { bits: 0xe00fn, ones: 0xffff_0ff0n } as const;
const DR7 = { bits: 0xffff_23ffn, ones: 0x400n } as const;
/** DR7: any breakpoint enabled; R/W field of an I/O breakpoint. */
const ENABLED = 0xffn, IO = 2n;
/** Xen's own addresses end there, and the guest's lower ones here (arch-x86/xen-x86_64.h, HYPERVISOR_VIRT_END). */
const XEN_END = 0xffff_8800_0000_0000n, LOWER_END = 1n << 47n;

export const debugHypercalls: Group = (table) => {
  table.register("set_debugreg", 2, (domain, args) => {
    setRegister(domain, existing(domain, u32(args, 0)), u64(args, 1));
    return result();
  });
  table.register(
    "get_debugreg",
    1,
    (domain, args) => result(domain.vcpu.debugRegister(existing(domain, u32(args, 0)))),
  );
};

function extendsDebugging({ vcpu }: Domain): boolean {
  return (vcpu.get("cr4") & BigInt(CR4.DE)) !== 0n;
}

/** The register that a number names: 4 and 5 are aliases, unless CR4.DE is set. */
function existing(domain: Domain, number: number): number {
  const alias = number === 4 || number === 5;
  if (number > 7 || (alias && extendsDebugging(domain))) throw new Refused(ERRNO.ENODEV);
  return alias ? number + 2 : number;
}

function setRegister(domain: Domain, number: number, value: bigint): void {
  const { vcpu } = domain;
  if (number < 4) {
    if (value >= LOWER_END && value < XEN_END) throw new Refused(ERRNO.EPERM);
    return vcpu.setDebugRegister(number, value);
  }
  if (number === 6) return vcpu.setDebugRegister(6, value & DR6.bits | DR6.ones);
  if (value & DR7_GD) throw new Refused(ERRNO.EPERM);
  if (value & ENABLED && !extendsDebugging(domain)) {
    for (let shift = 16n; shift < 32n; shift += 4n) {
      if ((value >> shift & 3n) === IO) throw new Refused(ERRNO.EPERM);
    }
  }
  vcpu.setDebugRegister(7, value & DR7.bits | DR7.ones);
}
