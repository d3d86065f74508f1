// PUSHF, POPF, CLI, STI, CLAC, STAC.
import { type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { GuestFault } from "../fault.ts";
import { loadableFlags, loadFlags } from "../flags.ts";
import { Stack } from "../stack.ts";
import {
  ownsVirtualInterrupts,
  seesVirtualFlags,
  setVirtualInterrupts,
  shownFlags,
  VIRTUAL_IMAGE,
  virtualImage,
} from "../virtual_interrupts.ts";

/** Operand size by mnemonic. */
const SIZES = new Map<Mnemonic, 2 | 4 | 8>([
  [Mnemonic.Pushf, 2],
  [Mnemonic.Pushfd, 4],
  [Mnemonic.Pushfq, 8],
  [Mnemonic.Popf, 2],
  [Mnemonic.Popfd, 4],
  [Mnemonic.Popfq, 8],
]);

/** PUSHF, PUSHFD, PUSHFQ. */
export function pushFlags(cpu: Cpu, instruction: Instruction): void {
  const stack = new Stack(cpu);
  // The image never shows VM and RF.
  const flags = cpu.state.rflags & ~BigInt(RFLAGS.VM | RFLAGS.RF);
  const image = seesVirtualFlags(cpu.state) ? shownFlags(flags) : flags;
  stack.push(SIZES.get(instruction.mnemonic) ?? 2, image);
  stack.commit();
}

/** POPF, POPFD, POPFQ: what may not be loaded is passed over in silence. */
export function popFlags(cpu: Cpu, instruction: Instruction): void {
  const size = SIZES.get(instruction.mnemonic) ?? 2;
  const stack = new Stack(cpu);
  const image = stack.pop(size);
  if (seesVirtualFlags(cpu.state)) {
    const loaded = virtualImage(cpu.state, image);
    stack.commit();
    return loadFlags(cpu, loaded, VIRTUAL_IMAGE);
  }
  stack.commit();
  // POPF clears VIF and VIP where it may touch them; only IRET can set them.
  const allowed = image & ~BigInt(RFLAGS.VIF | RFLAGS.VIP);
  loadFlags(cpu, allowed, loadableFlags(cpu.state, size));
}

/** CLI. */
export function clearInterrupts(cpu: Cpu): void {
  const { state } = cpu;
  if (ownsVirtualInterrupts(state)) setVirtualInterrupts(state, false);
  else state.rflags &= ~BigInt(RFLAGS.IF);
}

/** STI holds interrupts back for one more instruction, if they were masked before. */
export function setInterrupts(cpu: Cpu): void {
  const { state } = cpu;
  if (ownsVirtualInterrupts(state)) return setVirtualInterrupts(state, true);
  const { rflags } = state;
  if (rflags & BigInt(RFLAGS.IF)) return;
  state.rflags = rflags | BigInt(RFLAGS.IF);
  state.interruptShadow = "sti";
}

/** CLAC and STAC, with CR4.SMAP set or not: CPUID reports them (SDM vol. 2, STAC). */
export function setAlignmentCheck(cpu: Cpu, instruction: Instruction): void {
  if (cpu.state.cpl !== 0) throw new GuestFault(VECTOR.UD);
  const on = instruction.mnemonic === Mnemonic.Stac;
  loadFlags(cpu, on ? BigInt(RFLAGS.AC) : 0n, BigInt(RFLAGS.AC));
}
