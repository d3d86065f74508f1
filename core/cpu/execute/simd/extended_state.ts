// XSAVE and its kin (SDM vol. 1, chapter 13). The state components are x87 and SSE alone, which lie in the legacy region: so
// the standard and the compacted form of the image differ in the header only.
import { type Instruction, Mnemonic } from "iced-x86";
import { CR0, CR4, VECTOR } from "../../../base/registers.ts";
import type { Cpu } from "../../cpu.ts";
import { GuestFault } from "../../fault.ts";
import { linearAddress } from "../../linear.ts";
import { effectiveAddress } from "../../operands.ts";
import { RESET_MXCSR } from "../../reset.ts";
import type { CpuState } from "../../state.ts";
import { IMAGE_WORDS, loadX87Image, x87Image } from "../../x87/image.ts";
import { INITIAL_CONTROL } from "../../x87/registers.ts";
import { probe } from "./area.ts";
import { MXCSR_BITS } from "./mxcsr.ts";
import { IMAGE } from "./state.ts";

/** State components (SDM vol. 1, 13.1): bits of XCR0, of XSTATE_BV and of the instruction's mask. */
export const COMPONENT = { X87: 1n, SSE: 2n } as const;
/** What XCR0 can hold, as CPUID leaf 0xD says. */
export const COMPONENTS = COMPONENT.X87 | COMPONENT.SSE;
/** Bytes of an image: the legacy region of 512 and the header of 64 (SDM vol. 1, 13.4). */
export const AREA_BYTES = 576;
const HEADER = 512;
/** XCOMP_BV: is the image compacted? */
const COMPACTED = 1n << 63n;

const RAX = 0, RCX = 1, RDX = 2;
const refuse = () => new GuestFault(VECTOR.GP, 0);
const low = (state: CpuState, index: number) => BigInt.asUintN(32, state.gpr(index));
const pair = (state: CpuState) => low(state, RDX) << 32n | low(state, RAX);

function requireEnabled({ state }: Cpu): void {
  if (!(state.control("cr4") & BigInt(CR4.OSXSAVE))) throw new GuestFault(VECTOR.UD);
}

/** XGETBV: XCR0, or which of its components are not in their initial state. */
export function readExtendedControl(cpu: Cpu): void {
  const { state } = cpu;
  requireEnabled(cpu);
  const index = low(state, RCX);
  if (index > 1n) throw refuse();
  const value = index === 0n ? state.xcr0 : state.xcr0 & inUse(state);
  state.setGpr(RAX, value & 0xffff_ffffn);
  state.setGpr(RDX, value >> 32n);
}

/** XSETBV: x87 can't be taken out (SDM vol. 2, XSETBV). */
export function writeExtendedControl(cpu: Cpu): void {
  const { state } = cpu;
  requireEnabled(cpu);
  const value = pair(state);
  if (low(state, RCX) !== 0n || value & ~COMPONENTS || !(value & COMPONENT.X87)) throw refuse();
  state.xcr0 = value;
}

/** Which components are not in their initial state: XINUSE (SDM vol. 1, 13.6). MXCSR is not looked at. */
function inUse(state: CpuState): bigint {
  const initial = x87Image(state.view, true).every((word, i) => word === INITIAL_X87[i]);
  let used = initial ? 0n : COMPONENT.X87;
  const registers = state.bitness === 64 ? 16 : 8;
  for (let i = 0; i < registers; i++) if (state.xmm(i) !== 0n) used |= COMPONENT.SSE;
  return used;
}

/** The control word, and zeros: abridged tags are so where every register is empty. */
const INITIAL_X87 = Array.from(
  { length: IMAGE_WORDS },
  (_, i) => i === 0 ? BigInt(INITIAL_CONTROL) : 0n,
);

/** With REX.W, the FPU's pointers have 64 bits. */
const isWide = ({ mnemonic }: Instruction) => Mnemonic[mnemonic]?.endsWith("64") === true;

/** Linear address of an image; #UD, #NM, #GP if it is not aligned to 64, then #PF. */
function areaAt(cpu: Cpu, instruction: Instruction, write: boolean): bigint {
  const { state } = cpu;
  requireEnabled(cpu);
  if (state.control("cr0") & BigInt(CR0.TS)) throw new GuestFault(VECTOR.NM);
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const at = linearAddress(state, segment, offset, AREA_BYTES, write);
  if (at & 63n) throw refuse();
  probe(cpu, at, AREA_BYTES, write);
  return at;
}

/** XSAVE, XSAVEOPT, XSAVEC: the components that EDX:EAX names and XCR0 has. */
export function saveExtended(cpu: Cpu, instruction: Instruction): void {
  const { state, memory } = cpu;
  const at = areaAt(cpu, instruction, true);
  const { mnemonic } = instruction;
  const compacts = mnemonic === Mnemonic.Xsavec || mnemonic === Mnemonic.Xsavec64;
  const optimizes = compacts || mnemonic === Mnemonic.Xsaveopt || mnemonic === Mnemonic.Xsaveopt64;
  const wanted = pair(state) & state.xcr0;
  const used = inUse(state) | (compacts && state.mxcsr !== RESET_MXCSR ? COMPONENT.SSE : 0n);
  // What is in its initial state need not be written: the header says so.
  const written = optimizes ? wanted & used : wanted;
  const get = (offset: number) => memory.read(at + BigInt(offset), 8);
  const put = (offset: number, value: bigint) => memory.write(at + BigInt(offset), 8, value);
  // XSAVEC does not read its image.
  const before = compacts ? 0n : get(HEADER);
  if (written & COMPONENT.X87) {
    x87Image(state.view, isWide(instruction)).forEach((word, i) => {
      // MXCSR is here: it belongs to SSE.
      if (8 * i !== IMAGE.mxcsr) put(8 * i, word);
    });
  }
  if (wanted & COMPONENT.SSE && (!compacts || written & COMPONENT.SSE)) {
    put(IMAGE.mxcsr, BigInt(state.mxcsr) | BigInt(MXCSR_BITS) << 32n);
  }
  if (written & COMPONENT.SSE) {
    for (let i = 0; i < (state.bitness === 64 ? 16 : 8); i++) {
      const value = state.xmm(i);
      put(IMAGE.xmm + 16 * i, BigInt.asUintN(64, value));
      put(IMAGE.xmm + 16 * i + 8, value >> 64n);
    }
  }
  put(HEADER, (before & ~wanted) | (wanted & used));
  if (compacts) put(HEADER + 8, COMPACTED | wanted);
}

/** XRSTOR: components that the header does not have are put into their initial state. */
export function restoreExtended(cpu: Cpu, instruction: Instruction): void {
  const { state, memory } = cpu;
  const at = areaAt(cpu, instruction, false);
  const get = (offset: number) => memory.read(at + BigInt(offset), 8);
  const [present, compacted] = [get(HEADER), get(HEADER + 8)];
  const isCompacted = (compacted & COMPACTED) !== 0n;
  if (isCompacted) {
    const format = compacted & ~COMPACTED;
    if (format & ~state.xcr0 || present & ~format) throw refuse();
  } else if (compacted !== 0n || present & ~state.xcr0) throw refuse();
  // Of the standard form's header, 16 bytes more are checked; of the compacted one's, all (SDM vol. 1, 13.8).
  for (let i = 16; i < (isCompacted ? 64 : 24); i += 8) if (get(HEADER + i) !== 0n) throw refuse();
  const wanted = pair(state) & state.xcr0;
  const loaded = wanted & present;
  // The standard form's MXCSR is loaded even where SSE state is initialized.
  const takesControl = (isCompacted ? loaded : wanted) & COMPONENT.SSE;
  const mxcsr = takesControl ? Number(BigInt.asUintN(32, get(IMAGE.mxcsr))) : RESET_MXCSR;
  if (mxcsr & ~MXCSR_BITS) throw refuse();
  const words: bigint[] = [];
  for (let i = 0; i < HEADER - 96; i += 8) words.push(loaded ? get(i) : 0n);
  const word = (offset: number) => words[offset / 8] ?? 0n;
  if (wanted & COMPONENT.X87) {
    const image = loaded & COMPONENT.X87 ? words.slice(0, IMAGE_WORDS) : INITIAL_X87;
    loadX87Image(state.view, image, isWide(instruction));
  }
  if (!(wanted & COMPONENT.SSE)) return;
  state.mxcsr = mxcsr;
  for (let i = 0; i < (state.bitness === 64 ? 16 : 8); i++) {
    const offset = IMAGE.xmm + 16 * i;
    state.setXmm(i, loaded & COMPONENT.SSE ? word(offset) | word(offset + 8) << 64n : 0n);
  }
}
