// Reads the code at RIP: for the translator as a window to the end of the page, for the run loop as one instruction.
import { VECTOR } from "../../base/registers.ts";
import type { AccessType } from "../../cpu/cpu.ts";
import { GuestFault } from "../../cpu/fault.ts";
import type { Mmu } from "../../cpu/mmu.ts";
import type { CpuState } from "../../cpu/state.ts";
import type { CodePlace } from "./code_cache.ts";
import { DeviceAccess, type EnginePhysicalMemory } from "./physical.ts";
import { MAX_INSTRUCTION, type SlowInstruction, SlowInstructions } from "./slow_instructions.ts";

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

  /** Bytes that the code segment has from RIP on. 64-bit code knows no limit. */
  #inSegment(): number {
    if (this.#state.bitness === 64) return Infinity;
    const left = this.#state.segment("cs").limit - Number(this.#state.rip) + 1;
    if (left <= 0) throw new GuestFault(VECTOR.GP, 0);
    return left;
  }

  /** Where the code at RIP is; the first instruction is there as a whole, if its pages are, and the segment has it. */
  place(): CodePlace {
    const inSegment = this.#inSegment();
    const linear = this.linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const bytes = this.#code(gpa, inSegment);
    const start = this.#state.rip;
    if (inPage >= MAX_INSTRUCTION || inSegment <= inPage) return { start, bytes, gpa };
    const decoded = this.#slow.decode(start, this.#state.bitness, bytes);
    if (!decoded.cutOff) return { start, bytes, gpa };
    const whole = this.fetch();
    return { start, bytes: whole, gpa, nextGpa: this.#codeGpa(linear + BigInt(inPage)) };
  }

  /** Up to 15 bytes at RIP. A fault on the next page counts only if the instruction needs it. */
  fetch(): Uint8Array {
    const inSegment = this.#inSegment();
    const linear = this.linearRip();
    const gpa = this.#codeGpa(linear);
    const inPage = 4096 - gpa % 4096;
    const first = this.#code(gpa, Math.min(MAX_INSTRUCTION, inSegment));
    if (inPage >= MAX_INSTRUCTION || inSegment <= inPage) return first;
    if (!this.#slow.decode(this.#state.rip, this.#state.bitness, first).cutOff) return first;
    const next = this.#codeGpa(linear + BigInt(inPage));
    const bytes = new Uint8Array(MAX_INSTRUCTION);
    bytes.set(first);
    bytes.set(this.#code(next, MAX_INSTRUCTION - inPage), inPage);
    return bytes.subarray(0, inSegment);
  }

  #codeGpa(linear: bigint): number {
    const access: AccessType = { write: false, execute: true, user: this.#state.cpl === 3 };
    return this.#mmu.translate(linear, access);
  }

  /** So many bytes of code from here, as far as the page has them. */
  #code(gpa: number, length: number): Uint8Array {
    const bytes = this.#physical.code(gpa, length);
    if (!bytes) throw new DeviceAccess(gpa, 1, false, 0n);
    return bytes;
  }

  /** The instruction at RIP, by itself. One beyond the segment's limit, or too long, is #GP(0). */
  decode(): SlowInstruction {
    const decoded = this.#slow.decode(this.#state.rip, this.#state.bitness, this.fetch());
    if (decoded.cutOff) throw new GuestFault(VECTOR.GP, 0);
    return decoded;
  }
}
