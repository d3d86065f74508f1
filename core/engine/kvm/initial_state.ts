// What INIT leaves in a CPU (SDM vol. 3, table 9-1). KVM's own reset comes with an interrupt controller in the kernel only.
import { CR0, GENERAL_REGISTERS, SEGMENT_REGISTERS } from "../../base/registers.ts";
import type { Vcpu } from "../vcpu.ts";

/** Family, model and stepping, as in CPUID leaf 1. */
const RESET_RDX = 0x601n;
const RESET_RIP = 0xfff0n;
const LIMIT = 0xffff;
const CODE = { selector: 0xf000, base: 0xffff_0000n, limit: LIMIT, attributes: 0x9b };
const DATA = { selector: 0, base: 0n, limit: LIMIT, attributes: 0x93 };
const ATTRIBUTES: Readonly<Record<string, number>> = { ldtr: 0x82, tr: 0x8b };
const DR6 = 0xffff_0ff0n, DR7 = 0x400n;

export function initialState(vcpu: Vcpu): void {
  for (const name of GENERAL_REGISTERS) vcpu.set(name, name === "rdx" ? RESET_RDX : 0n);
  vcpu.set("rip", RESET_RIP);
  vcpu.set("rflags", 2n);
  const caches = vcpu.get("cr0") & BigInt(CR0.CD | CR0.NW);
  vcpu.set("cr0", caches | BigInt(CR0.ET));
  for (const name of ["cr2", "cr3", "cr4", "cr8", "efer"] as const) vcpu.set(name, 0n);
  for (const name of SEGMENT_REGISTERS) {
    const attributes = ATTRIBUTES[name] ?? DATA.attributes;
    vcpu.setSegment(name, name === "cs" ? CODE : { ...DATA, attributes });
  }
  vcpu.setDescriptorTable("gdtr", 0n, LIMIT);
  vcpu.setDescriptorTable("idtr", 0n, LIMIT);
  for (let number = 0; number < 4; number++) vcpu.setDebugRegister(number, 0n);
  vcpu.setDebugRegister(6, DR6);
  vcpu.setDebugRegister(7, DR7);
}
