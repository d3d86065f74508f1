// RFLAGS as POPF, IRET and SYSRET load it: which bits the mode and privilege level let through (SDM vol. 2, POPF and IRET).
import { CR0, CR4, RFLAGS } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { isVirtual8086 } from "./linear.ts";
import { iopl } from "./privilege.ts";
import type { CpuState } from "./state.ts";

/** Bits that any level may load; ID and AC need a 32-bit or wider image. RF is IRET's alone. */
const ALWAYS = BigInt(
  RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF | RFLAGS.DF | RFLAGS.TF |
    RFLAGS.NT | RFLAGS.AC | RFLAGS.ID,
);
const VIRTUAL_INTERRUPTS = BigInt(RFLAGS.VIF | RFLAGS.VIP);

/** The bits of an image of `size` bytes that POPF loads now. */
export function loadableFlags(state: CpuState, size: number): bigint {
  let mask = ALWAYS;
  const protectedMode = (state.control("cr0") & BigInt(CR0.PE)) !== 0n;
  const { cpl } = state;
  if (!protectedMode || (cpl === 0 && !isVirtual8086(state))) {
    mask |= BigInt(RFLAGS.IF | RFLAGS.IOPL) | VIRTUAL_INTERRUPTS;
  } else if (cpl <= iopl(state)) mask |= BigInt(RFLAGS.IF);
  return size === 2 ? mask & 0xffffn : mask;
}

/** Replaces the bits of RFLAGS that are in `mask`. */
export function loadFlags(cpu: Cpu, image: bigint, mask: bigint): void {
  const { state } = cpu;
  const old = state.rflags;
  const next = (old & ~mask) | (image & mask);
  state.rflags = next;
  // AC decides what SMAP lets through, so cached translations may be wrong now.
  if ((next ^ old) & BigInt(RFLAGS.AC) && state.control("cr4") & BigInt(CR4.SMAP)) {
    cpu.surroundings.flushTranslations({ of: "rights" });
  }
}

/** Sets or clears one status flag. */
export function setFlag(state: CpuState, flag: number, on: boolean): void {
  state.rflags = on ? state.rflags | BigInt(flag) : state.rflags & ~BigInt(flag);
}
