// Where the instructions are that made KVM exit: found once for each place, and taken again while their bytes are the same.
import type { GuestCode } from "./code.ts";
import { MAX_INSTRUCTION } from "./code.ts";
import { decodeAccess, lengthBefore, type MemoryAccessed } from "./memory_site.ts";
import {
  LONGEST_BEFORE,
  type PortAccess,
  portInstruction,
  portInstructionBefore,
} from "./port_site.ts";
import type { SharedRegisters } from "./registers.ts";

/** An instruction, and where KVM had RIP when it told of it. */
export interface Site {
  /** How far RIP was beyond the instruction's start: its length, or 0. */
  readonly past: number;
  readonly bytes: Uint8Array;
  /** Of a string instruction on a port. */
  readonly string: boolean;
}

const UNKNOWN: Site = { past: 0, bytes: new Uint8Array(), string: false };
/** Places kept: a guest that makes up code for ever gets no more. */
const MAX_SITES = 4096;
const PAGE_MASK = 0xfff;

interface Kept extends Site {
  /** Of the first byte. */
  readonly gpa: number;
  readonly access: number;
}

export class Sites {
  readonly #registers: SharedRegisters;
  readonly #code: GuestCode;
  readonly #kept = new Map<number, Kept>();
  /** Where both readings fit: does this host's KVM leave RIP after an OUT? Learned from where only one does. */
  #outMovesOn: boolean;

  constructor(registers: SharedRegisters, code: GuestCode, outMovesOn: boolean) {
    this.#registers = registers;
    this.#code = code;
    this.#outMovesOn = outMovesOn;
  }

  /** The instruction that made a port access. */
  port(rip: bigint, access: PortAccess): Site {
    const key = access.port | access.size << 16 | (access.out ? 1 << 20 : 0);
    return this.#found(rip, key, () => this.#port(rip, access));
  }

  /** The instruction that reached device memory. */
  memory(rip: bigint, access: MemoryAccessed): Site {
    const key = access.size | (access.write ? 1 << 20 : 0) | 1 << 21;
    return this.#found(rip, key, () => this.#memory(rip, access));
  }

  #found(rip: bigint, access: number, find: () => Site): Site {
    const gpa = this.#code.translate(rip);
    if (gpa === undefined) return find();
    const kept = this.#kept.get(gpa);
    if (kept && kept.access === access && this.#holds(kept)) return kept;
    const site = find();
    const start = gpa - site.past;
    const whole = (start & PAGE_MASK) + site.bytes.length <= PAGE_MASK + 1 &&
      Math.floor(start / (PAGE_MASK + 1)) === Math.floor(gpa / (PAGE_MASK + 1));
    if (site.bytes.length > 0 && whole) {
      if (this.#kept.size >= MAX_SITES) this.#kept.clear();
      this.#kept.set(gpa, { ...site, gpa: start, access });
    }
    return site;
  }

  #holds({ gpa, bytes }: Kept): boolean {
    const now = this.#code.at(gpa, bytes.length);
    for (let n = 0; n < bytes.length; n++) if (now[n] !== bytes[n]) return false;
    return true;
  }

  #port(rip: bigint, access: PortAccess): Site {
    const { bitness } = this.#registers;
    const dx = Number(this.#registers.get("rdx") & 0xffffn);
    const ahead = this.#code.bytes(rip);
    const here = portInstruction(ahead, bitness, dx, access);
    // An IN is done when it is answered.
    const before = access.out
      ? this.#before(
        rip,
        LONGEST_BEFORE + 1,
        (bytes) => portInstructionBefore(bytes, bitness, dx, access),
      )
      : undefined;
    if (here && !before) this.#outMovesOn = access.out ? false : this.#outMovesOn;
    if (before && !here) this.#outMovesOn = true;
    if (before && (!here || this.#outMovesOn)) {
      return { past: before.length, bytes: before.bytes, string: before.string };
    }
    return here ? { past: 0, bytes: ahead.slice(0, here.length), string: here.string } : UNKNOWN;
  }

  #before<T extends { readonly length: number }>(
    rip: bigint,
    most: number,
    find: (bytes: Uint8Array) => T | undefined,
  ): T & { readonly bytes: Uint8Array } | undefined {
    // What stands before may begin in a page that is not mapped: the rest of it counts then.
    for (let count = most; count > 0; count--) {
      const bytes = this.#code.bytes(BigInt.asUintN(64, rip - BigInt(count)), count);
      if (bytes.length < count) continue;
      const found = find(bytes);
      return found && { ...found, bytes: bytes.slice(count - found.length) };
    }
    return undefined;
  }

  #memory(rip: bigint, access: MemoryAccessed): Site {
    const { bitness } = this.#registers;
    const ahead = this.#code.bytes(rip);
    const here = () => decodeAccess(ahead, bitness, rip, access, this.#registers, this.#code);
    if (access.write) {
      const before = this.#before(rip, MAX_INSTRUCTION, (bytes) => {
        const length = lengthBefore(bytes, bitness, rip, access, this.#registers, this.#code);
        return length === undefined ? undefined : { length };
      });
      if (before) return { past: before.length, bytes: before.bytes, string: false };
    }
    const { length } = here();
    return { past: 0, bytes: ahead.slice(0, length), string: false };
  }
}
