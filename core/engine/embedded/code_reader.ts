// Reads the code at RIP: for the translator as a window to the end of the page, for the run loop as one instruction.
import type { AccessType } from "../../cpu/cpu.ts";
import type { Mmu } from "../../cpu/mmu.ts";
import type { CpuState } from "../../cpu/state.ts";
import type { CodePlace } from "./code_cache.ts";
import { DeviceAccess, type EnginePhysicalMemory } from "./physical.ts";
import { type SlowInstruction, SlowInstructions } from "./slow_instructions.ts";

/** Longest instruction (SDM vol. 2, 2.3.11). */
const MAX_INSTRUCTION = 15;

/** Every method may throw `GuestFault`, and `DeviceAccess` for code that is neither in RAM nor ROM. */
export class CodeReader {
  readonly #state: CpuState;
  readonly #mmu: Mmu;
  readonly #physical: EnginePhysicalMemory;
  readonly #slow = new SlowInstructions();

  constructor(state: CpuState, mmu: Mmu, physical: EnginePhysicalMemory) {
    this.#state = state;
    this.#mmu = mmu;
    this.#physical = physical;
  }

  dispose(): void {
    this.#slow.dispose();
  }

  /** What RIP counts from. */
  base(): bigint {
    return this.#state.bitness === 64 ? 0n : this.#state.segment("cs").base;
  }

  /** Linear address of the instruction at RIP. */
  linearRip(): bigint {
    const linear = this.base() + this.#state.rip;
    return this.#state.bitness === 64 ? linear : BigInt.asUintN(32, linear);
  }

  /** Where the code at RIP is; the first instruction is there as a whole, if its pages are. */
  place(): CodePlace {
    const linear = this.linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const bytes = this.#page(gpa);
    const start = this.#state.rip;
    if (inPage >= MAX_INSTRUCTION) return { start, bytes, gpa };
    const decoded = this.#slow.decode(start, this.#state.bitness, bytes);
    if (!decoded.insn.isInvalid) return { start, bytes, gpa };
    const whole = this.fetch();
    return { start, bytes: whole, gpa, nextGpa: this.#codeGpa(linear + BigInt(inPage)) };
  }

  /** Up to 15 bytes at RIP. A fault on the next page counts only if the instruction needs it. */
  fetch(): Uint8Array {
    const linear = this.linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const first = this.#page(gpa).subarray(0, MAX_INSTRUCTION);
    if (inPage >= MAX_INSTRUCTION) return first;
    if (!this.#slow.decode(this.#state.rip, this.#state.bitness, first).insn.isInvalid) {
      return first;
    }
    const next = this.#codeGpa(linear + BigInt(inPage));
    const bytes = new Uint8Array(MAX_INSTRUCTION);
    bytes.set(first);
    bytes.set(this.#page(next).subarray(0, MAX_INSTRUCTION - inPage), inPage);
    return bytes;
  }

  #codeGpa(linear: bigint): number {
    const access: AccessType = { write: false, execute: true, user: this.#state.cpl === 3 };
    return this.#mmu.translate(linear, access);
  }

  /** Code from here to the end of the page. */
  #page(gpa: number): Uint8Array {
    const bytes = this.#physical.page(gpa);
    if (!bytes) throw new DeviceAccess(gpa, 1, false, 0n);
    return bytes;
  }

  /** The instruction at RIP, by itself. */
  decode(): SlowInstruction {
    const bytes = this.fetch();
    return this.#slow.decode(this.#state.rip, this.#state.bitness, bytes);
  }
}
