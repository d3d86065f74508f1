// What translated regions call when a TLB has no entry for them: memory through the MMU, and the few computations that
// WebAssembly has no instruction for. What can't be done in the middle of a region makes it bail.
import { SEGMENT_REGISTERS, VECTOR } from "../../base/registers.ts";
import { computeSimd } from "../../cpu/execute/simd/simd.ts";
import { unitOf } from "../../cpu/execute/x87.ts";
import { GuestFault } from "../../cpu/fault.ts";
import * as L from "../../cpu/layout.ts";
import { linearAddress } from "../../cpu/linear.ts";
import { isMisaligned, type Mmu } from "../../cpu/mmu.ts";
import type { CpuState } from "../../cpu/state.ts";
import { THROUGH_STACK } from "../../cpu/translate/runtime.ts";
import { compute } from "../../cpu/x87/instructions.ts";
import type { Unit } from "../../cpu/x87/unit.ts";
import type { CodePages } from "./code_pages.ts";
import type { SlowPaths } from "./core.ts";
import { DeviceAccess, type EnginePhysicalMemory } from "./physical.ts";
import type { Tlb } from "./tlb.ts";

/** Why a region left at the start of an instruction: `step` asks for that instruction by itself. */
export type Bail = GuestFault | DeviceAccess | "step";

/** The parts of a virtual CPU that its memory accesses go through. */
export interface MemoryParts {
  readonly state: CpuState;
  readonly mmu: Mmu;
  readonly physical: EnginePhysicalMemory;
  readonly tlb: Tlb;
  readonly code: CodePages;
}

type AccessSize = 1 | 2 | 4 | 8;

/** Exceptions that regions raise with an error code. */
const WITH_ERROR_CODE: ReadonlySet<number> = new Set([VECTOR.SS, VECTOR.GP, VECTOR.AC]);

export class RegionMemory implements SlowPaths {
  readonly #parts: MemoryParts;
  readonly #unit: Unit;
  #bailed: Bail | undefined;
  /** Are accesses checked as user mode's? What the TLBs hold was. */
  user = false;
  /** Is a single instruction executed? Only then are devices reached and is code changed. */
  stepping = false;
  /** May a protected page be written for one store? Then nothing of that stays in the TLB. */
  unprotected = false;

  constructor(parts: MemoryParts) {
    this.#parts = parts;
    this.#unit = unitOf(parts.state);
  }

  read(linear: bigint, sizeCode: number, intent: number): bigint {
    const size = (sizeCode & ~THROUGH_STACK) as AccessSize;
    const value = guarded(() => {
      if (this.#observe(linear, size, false, intent === 1)) return "step";
      if (crossesPage(linear, size)) return this.#readAcross(linear, size, intent === 1);
      const found = this.#parts.mmu.walk(linear, {
        write: intent === 1,
        execute: false,
        user: this.user,
      });
      if (!this.stepping && this.#isWholePageRam(found.gpa)) {
        this.#fill(linear, found.gpa, true, found.writable);
      }
      return this.#parts.physical.read(found.gpa, size);
    });
    if (typeof value === "bigint") return value;
    this.#bail(value, sizeCode);
    return 0n;
  }

  #readAcross(linear: bigint, size: number, write: boolean): bigint {
    // With intent to write, both pages must let it: the fault is a write's.
    if (write) {
      for (const at of [linear, this.#parts.mmu.nextPage(linear)]) {
        this.#parts.mmu.translate(at, { write, execute: false, user: this.user });
      }
    }
    return this.#parts.mmu.read(linear, size);
  }

  write(linear: bigint, value: bigint, sizeCode: number): void {
    const size = (sizeCode & ~THROUGH_STACK) as AccessSize;
    const result = guarded(() => {
      if (this.#observe(linear, size, true, true)) return "step";
      if (crossesPage(linear, size)) return this.#writeAcross(linear, value, size);
      const found = this.#parts.mmu.walk(linear, { write: true, execute: false, user: this.user });
      if (!this.stepping && this.#parts.physical.isRam(found.gpa, size)) {
        if (this.#parts.code.touchesCode(found.gpa, size)) return "step";
        if (this.#isWholePageRam(found.gpa)) {
          this.#fill(linear, found.gpa, false, true);
        }
      }
      return this.#parts.physical.write(found.gpa, size, value);
    });
    if (result !== undefined) this.#bail(result, sizeCode);
  }

  /** Code under the running region must not change: such stores, and all that cross pages into code, are single-stepped. */
  #writeAcross(linear: bigint, value: bigint, size: number): "step" | undefined {
    if (!this.stepping) {
      for (const at of [linear, this.#parts.mmu.nextPage(linear)]) {
        const gpa = this.#parts.mmu.translate(at, { write: true, execute: false, user: this.user });
        if (this.#parts.code.isCode(gpa)) return "step";
      }
    }
    this.#parts.mmu.write(linear, size, value);
    return undefined;
  }

  /**
   * Alignment, and breakpoints on data: an instruction that meets one is done by itself, so that the trap comes right behind
   * it. True asks for that. `writes`: if not now, then later.
   */
  #observe(linear: bigint, size: number, write: boolean, writes: boolean): boolean {
    const { breakpoints, checksAlignment } = this.#parts.state;
    if (checksAlignment && this.user && isMisaligned(linear, size)) {
      throw new GuestFault(VECTOR.AC, 0);
    }
    if (!breakpoints.watching) return false;
    if (!this.stepping) return breakpoints.watches(linear, size, writes);
    breakpoints.access(linear, size, write);
    return false;
  }

  /** Pages with breakpoints on their data stay out of the TLB. */
  #fill(linear: bigint, gpa: number, forRead: boolean, forWrite: boolean): void {
    const { breakpoints } = this.#parts.state;
    const free = (write: boolean) =>
      !breakpoints.watching || !breakpoints.watches(linear & ~0xfffn, 4096, write);
    const writable = forWrite && this.#mayCacheWrites(gpa);
    this.#parts.tlb.fill(linear, gpa, forRead && free(false), writable && free(true));
  }

  /** Only code, ROM and the page that is unprotected for one store stay out of the write TLB. */
  #mayCacheWrites(gpa: number): boolean {
    return !this.#parts.code.isCode(gpa) && !this.unprotected &&
      this.#parts.physical.isWritable(gpa, 1);
  }

  #isWholePageRam(gpa: number): boolean {
    return this.#parts.physical.isRam(gpa - gpa % 4096, 4096);
  }

  check(segment: number, offset: bigint, size: number, write: number): void {
    const name = SEGMENT_REGISTERS[segment];
    if (!name) throw new RangeError(`No segment ${segment}`);
    const result = guarded(() => linearAddress(this.#parts.state, name, offset, size, write !== 0));
    if (typeof result !== "bigint") this.#bail(result);
  }

  raise(vector: number): void {
    this.#bail(new GuestFault(vector, WITH_ERROR_CODE.has(vector) ? 0 : undefined));
  }

  simd(mnemonic: number, immediate: number): void {
    const result = guarded(() => computeSimd(this.#parts.state, mnemonic, immediate));
    if (result !== undefined) this.#bail(result);
  }

  x87(code: number, i: number): number {
    return compute(this.#unit, code, i) ? 1 : 0;
  }

  divide(upper: bigint, lower: bigint, divisor: bigint, signed: number): void {
    const bits = signed
      ? (n: bigint) => BigInt.asIntN(64, n)
      : (n: bigint) => BigInt.asUintN(64, n);
    const dividend = bits(upper) << 64n | BigInt.asUintN(64, lower);
    const quotient = dividend / bits(divisor);
    if (bits(quotient) !== quotient) return this.raise(VECTOR.DE);
    this.#parts.state.view.setBigUint64(L.DIVISION, BigInt.asUintN(64, quotient), true);
    this.#parts.state.view.setBigUint64(
      L.DIVISION + 8,
      BigInt.asUintN(64, dividend % bits(divisor)),
      true,
    );
  }

  #bail(cause: Bail, sizeCode = 0): void {
    if (sizeCode & THROUGH_STACK && cause instanceof GuestFault && cause.vector === VECTOR.GP) {
      return this.raise(VECTOR.SS);
    }
    // A device is reached instruction by instruction: regions only find out that it is one.
    this.#bailed = cause instanceof DeviceAccess && !this.stepping ? "step" : cause;
    this.#parts.state.view.setInt32(L.BAIL, 1, true);
  }

  /** Why the region bailed; asked once. */
  takeBail(): Bail {
    const cause = this.#bailed;
    if (!cause) throw new Error("A region bailed for no reason");
    this.#bailed = undefined;
    this.#parts.state.view.setInt32(L.BAIL, 0, true);
    return cause;
  }
}

/** Runs `work`; faults of the guest and device accesses are results here, not exceptions. */
export function guarded<T>(work: () => T): T | GuestFault | DeviceAccess {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof GuestFault || thrown instanceof DeviceAccess) return thrown;
    throw thrown;
  }
}

function crossesPage(linear: bigint, size: number): boolean {
  return Number(linear & 0xfffn) + size > 4096;
}
