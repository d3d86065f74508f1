// Puts a guest for a bare machine, or one that looks like it, into its first state.
import { gpa } from "../base/address.ts";
import { GENERAL_REGISTERS, SEGMENT_REGISTERS, type SpecialRegister } from "../base/registers.ts";
import type { Vcpu } from "./vcpu.ts";
import { bootState } from "../guest/boot.ts";
import type { GuestImage } from "../guest/image.ts";

/** Modes before what depends on them: paging is switched on last. */
const SPECIAL_ORDER: readonly SpecialRegister[] = [
  "efer",
  "cr4",
  "cr3",
  "cr2",
  "cr8",
  "cr0",
  "rflags",
  "rip",
];

/** Loads memory and registers as a boot loader leaves them. */
export function startBare(vcpu: Vcpu, image: GuestImage): void {
  const state = bootState(image);
  for (const { address, bytes } of state.placed) vcpu.memory.write(gpa(address), bytes);
  for (const name of SPECIAL_ORDER) vcpu.set(name, state.special[name] ?? 0n);
  for (const name of GENERAL_REGISTERS) vcpu.set(name, state.general[name] ?? 0n);
  for (const name of SEGMENT_REGISTERS) vcpu.setSegment(name, state.segments[name]);
  vcpu.setDescriptorTable("gdtr", state.gdtr.base, state.gdtr.limit);
  vcpu.setDescriptorTable("idtr", state.idtr.base, state.idtr.limit);
}
