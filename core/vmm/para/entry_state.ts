// The registers with which a PV domain is entered for the first time (xen/include/public/xen.h, "Start-of-day memory layout",
// and the entry conditions of arch-x86/xen-x86_64.h).
import {
  CR0,
  CR4,
  EFER,
  GENERAL_REGISTERS,
  RFLAGS,
  SEGMENT_REGISTERS,
  type SpecialRegister,
} from "../../base/registers.ts";
import type { Vcpu } from "../../engine/vcpu.ts";
import type { GuestImage } from "../../guest/image.ts";
import { STACK_TOP, XEN_START_INFO } from "../../guest/layout.ts";
import { FLAT, GDT_VIRT_START } from "./abi.ts";
import { NULL_SEGMENT, segmentOf } from "./descriptors.ts";

/** What Xen runs its guests under. The order matters: paging comes last. */
const SPECIAL: readonly (readonly [SpecialRegister, number])[] = [
  ["efer", EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE],
  ["cr4", CR4.PAE | CR4.OSFXSR | CR4.OSXMMEXCPT],
];
const PROTECTION = CR0.PE | CR0.MP | CR0.ET | CR0.NE | CR0.WP | CR0.PG;
/** Xen's GDT always reaches to the end of its own part. */
const GDT_LIMIT = 0xffff;

/** Sets the registers of the first entry: in the guest's kernel, at CPL 3, RSI at start_info. */
export function enterDomain(vcpu: Vcpu, image: GuestImage, topTable: number): void {
  for (const [name, value] of SPECIAL) vcpu.set(name, BigInt(value >>> 0));
  vcpu.set("cr3", BigInt(topTable));
  vcpu.set("cr2", 0n);
  vcpu.set("cr8", 0n);
  vcpu.set("cr0", BigInt(PROTECTION >>> 0));
  for (const name of GENERAL_REGISTERS) vcpu.set(name, image.registers[name] ?? 0n);
  if (image.registers.rsp === undefined) vcpu.set("rsp", BigInt(STACK_TOP));
  if (image.registers.rsi === undefined) vcpu.set("rsi", BigInt(XEN_START_INFO));
  for (const name of SEGMENT_REGISTERS) vcpu.setSegment(name, NULL_SEGMENT);
  for (const [name, selector] of [["cs", FLAT.cs64], ["ss", FLAT.ss]] as const) {
    vcpu.setSegment(name, segmentOf(vcpu.memory, [], selector) ?? NULL_SEGMENT);
  }
  vcpu.setDescriptorTable("gdtr", GDT_VIRT_START, GDT_LIMIT);
  // The IDT is Xen's: nothing of it is the guest's to see.
  vcpu.setDescriptorTable("idtr", 0n, 0);
  // The real interrupt flag is always set; the guest's is evtchn_upcall_mask.
  vcpu.set("rflags", BigInt(RFLAGS.IF | RFLAGS.FIXED));
  vcpu.set("rip", BigInt(image.start));
}
