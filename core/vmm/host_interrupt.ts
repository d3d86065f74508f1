// What takes a CPU from its guest without the guest's doing, as an exit.
import type { Vcpu } from "../engine/vcpu.ts";
import type { Exit, ExitVia } from "../trace/exit.ts";

/** Linear address of the next instruction. */
export function linearRip(vcpu: Vcpu): bigint {
  return BigInt.asUintN(64, vcpu.segment("cs").base + vcpu.get("rip"));
}

/** A device's deadline, or another CPU, has reached the host while the guest was running. */
export function hostInterrupt(vcpu: Vcpu, via: ExitVia): Exit {
  const bytes = new Uint8Array();
  const { bitness } = vcpu;
  return { kind: "external-interrupt", via, rip: linearRip(vcpu), bytes, bitness, detail: {} };
}
