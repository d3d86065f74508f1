// The state of a CPU after power-on or reset (SDM vol. 3, table 9-1).
import { CR0, type SegmentName } from "../base/registers.ts";
import { X87 } from "./layout.ts";
import { AT } from "./x87/registers.ts";
import type { CpuState } from "./state.ts";

/** Present, writable data, accessed; the same for CS, which has no type of its own before protected mode. */
const DATA = 0x93;
const LDT = 0x82;
const BUSY_TSS = 0x8b;
/** Family, model and stepping, as in CPUID leaf 1. */
const RESET_RDX = 0x601n;
/** All exceptions masked. */
export const RESET_MXCSR = 0x1f80;
/** FCW after reset; FNINIT makes another one. */
const RESET_FCW = 0x40;
const RESET_RIP = 0xfff0n;
const RESET_CS = { selector: 0xf000, base: 0xffff_0000n, limit: 0xffff, attributes: 0x9b };

/** Puts a CPU into its reset state: real mode, the first instruction at 0xfffffff0. Counters are left alone. */
export function reset(state: CpuState): void {
  initialize(state);
  state.setControl("cr0", BigInt(CR0.CD | CR0.NW | CR0.ET));
  for (let index = 0; index < 16; index++) state.setXmm(index, 0n);
  state.mxcsr = RESET_MXCSR;
  state.xcr0 = 1n;
  resetX87(state);
  state.msrs.clear();
}

/**
 * What an INIT signal makes of a CPU: as `reset`, but caches, floating-point and SSE registers and MSRs stay as they are
 * (SDM vol. 3, 9.1.1 and table 9-1).
 */
export function initialize(state: CpuState): void {
  for (let index = 0; index < 16; index++) state.setGpr(index, 0n);
  state.set("rdx", RESET_RDX);
  state.rip = RESET_RIP;
  state.rflags = 2n;
  const caches = state.control("cr0") & BigInt(CR0.CD | CR0.NW);
  state.setControl("cr0", caches | BigInt(CR0.ET));
  for (const name of ["cr2", "cr3", "cr4", "cr8", "efer"] as const) state.setControl(name, 0n);
  for (let index = 0; index < 6; index++) state.setDebug(index, 0n);
  state.setDebug(6, 0xffff_0ff0n);
  state.setDebug(7, 0x400n);
  const data = { selector: 0, base: 0n, limit: 0xffff, attributes: DATA };
  for (const name of ["es", "ss", "ds", "fs", "gs"] as const satisfies readonly SegmentName[]) {
    state.setSegment(name, data);
  }
  state.setSegment("cs", RESET_CS);
  state.setSegment("ldtr", { ...data, attributes: LDT });
  state.setSegment("tr", { ...data, attributes: BUSY_TSS });
  state.gdtr = { base: 0n, limit: 0xffff };
  state.idtr = { base: 0n, limit: 0xffff };
  state.interruptShadow = false;
  state.pendingDebug = 0;
  state.nmiPending = state.nmiBlocked = false;
}

function resetX87({ view }: CpuState): void {
  for (let at = 0; at < 160; at++) view.setUint8(X87 + at, 0);
  view.setUint16(AT.control, RESET_FCW, true);
  // Tags, abridged: a set bit is a register that is not empty. After reset all hold +0.0.
  view.setUint8(AT.tags, 0xff);
}
