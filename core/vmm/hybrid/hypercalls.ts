// KVM's hypercalls, by VMCALL. None is announced that does nothing it should.
import type { GeneralRegister } from "../../base/registers.ts";
import type { Vcpu } from "../../engine/vcpu.ts";
import { KVM_ERROR, KVM_HC } from "./kvm_abi.ts";

/** RBX, RCX, RDX, RSI. */
export type HypercallArguments = readonly [bigint, bigint, bigint, bigint];

/** What hypercalls act on. */
export interface HypercallTarget {
  /** Delivers a fixed interrupt to the vCPU with this APIC id; false if there is none, or it can't be delivered so. */
  sendIpi(apicId: number, icr: bigint): boolean;
  /** Ends the halt of the vCPU with this APIC id. */
  kick(apicId: number): void;
}

/** Longest bitmap of SEND_IPI: 128 vCPUs in two registers. */
const IPI_BITMAP_BITS = 128;

/** Result for RAX: zero or more on success, negative on failure. */
export function hypercall(
  number: bigint,
  [a0, a1, a2, a3]: HypercallArguments,
  target: HypercallTarget,
): bigint {
  switch (Number(number)) {
    case KVM_HC.VAPIC_POLL_IRQ: // Leaving the guest was all that was wanted.
    case KVM_HC.SCHED_YIELD: // A hint: turns end soon enough.
      return 0n;
    case KVM_HC.KICK_CPU: // Flags, APIC id.
      target.kick(Number(BigInt.asUintN(32, a1)));
      return 0n;
    case KVM_HC.CLOCK_PAIRING: // There is no host clock to pair with.
      return BigInt(-KVM_ERROR.EOPNOTSUPP);
    case KVM_HC.SEND_IPI:
      return sendIpi(a0 | a1 << 64n, Number(BigInt.asUintN(32, a2)), a3, target);
    default:
      return BigInt(-KVM_ERROR.ENOSYS);
  }
}

/** How many vCPUs got the interrupt, of those whose APIC ids the bitmap names, counting from `lowest`. */
function sendIpi(bitmap: bigint, lowest: number, icr: bigint, target: HypercallTarget): bigint {
  let delivered = 0n;
  for (let bit = 0; bit < IPI_BITMAP_BITS; bit++) {
    if (bitmap >> BigInt(bit) & 1n && target.sendIpi(lowest + bit, icr)) delivered++;
  }
  return delivered;
}

/** Takes a hypercall from the registers and puts its result there; user mode may make none. */
export function handleHypercall(vcpu: Vcpu, target: HypercallTarget): void {
  // Outside 64-bit mode, numbers and arguments are 32 bits wide.
  const width = vcpu.bitness === 64 ? 64 : 32;
  const cut = (value: bigint) => BigInt.asUintN(width, value);
  const get = (name: GeneralRegister) => cut(vcpu.get(name));
  const result = vcpu.cpl === 0
    ? hypercall(
      get("rax"),
      [get("rbx"), get("rcx"), get("rdx"), get("rsi")],
      target,
    )
    : BigInt(-KVM_ERROR.EPERM);
  vcpu.set("rax", cut(result));
  vcpu.skip();
}
