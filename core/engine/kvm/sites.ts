// Where the instructions are that made KVM exit: found once for each place, and taken again while their bytes are the same.
import type { GuestCode, Located } from "./code.ts";
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

/** A site where the guest is. */
export interface Place extends Site {
  /** RIP as KVM has it, and at the instruction. */
  readonly kernelRip: bigint;
  readonly rip: bigint;
  /** Linear address of the instruction. */
  readonly linear: bigint;
  readonly bitness: 16 | 32 | 64;
}

const UNKNOWN: Site = { past: 0, bytes: new Uint8Array(), string: false };
/** Places kept: a guest that makes up code for ever gets no more. */
const MAX_SITES = 4096;
const PAGE_MASK = 0xfff;

/** By where it is in physical memory. */
interface Kept extends Site {
  /** Of the first byte. */
  readonly gpa: number;
  readonly access: number;
}

/** By what RIP, and all that leads from there to memory, was. */
interface KeptPlace {
  readonly place: Place;
  readonly registers: readonly number[];
  readonly located: Located;
  /** Where the first byte is. */
  readonly start: number;
  readonly access: number;
}

export class Sites {
  readonly #registers: SharedRegisters;
  readonly #code: GuestCode;
  readonly #kept = new Map<number, Kept>();
  /** By the low half of RIP: most exits come of where one has come of, in the same way. */
  readonly #places = new Map<number, KeptPlace>();
  /** Where both readings fit: does this host's KVM leave RIP after an OUT? Learned from where only one does. */
  #outMovesOn: boolean;

  constructor(registers: SharedRegisters, code: GuestCode, outMovesOn: boolean) {
    this.#registers = registers;
    this.#code = code;
    this.#outMovesOn = outMovesOn;
  }

  /** The instruction that made a port access. */
  port(port: number, size: number, out: boolean): Place {
    const key = port | size << 16 | (out ? 1 << 20 : 0);
    return this.#again(key) ??
      this.#found(key, (rip) => this.#port(rip, { port, size, out }));
  }

  /** The instruction that reached device memory. */
  memory(gpa: number, size: number, write: boolean): Place {
    const key = size | (write ? 1 << 20 : 0) | 1 << 21;
    return this.#again(key) ??
      this.#found(key, (rip) => this.#memory(rip, { gpa, size, write }));
  }

  /** Where the guest is, `past` the start of an instruction. */
  here(past = 0, bytes = UNKNOWN.bytes): Place {
    return this.#place({ past, bytes, string: false });
  }

  /** The place where it is, if it has exited there before by such an access. */
  #again(access: number): Place | undefined {
    const kept = this.#places.get(this.#registers.ripWord);
    return kept && kept.access === access && this.#registers.isAt(kept.registers) &&
        this.#code.holds(kept.located) && this.#code.standAt(kept.start, kept.place.bytes)
      ? kept.place
      : undefined;
  }

  #place(site: Site): Place {
    const { bitness } = this.#registers;
    const { past, bytes, string } = site;
    const kernelRip = this.#registers.get("rip");
    const rip = past === 0
      ? kernelRip
      : BigInt.asUintN(bitness === 64 ? 64 : 32, kernelRip - BigInt(past));
    const linear = this.#registers.linear(rip);
    return { past, bytes, string, kernelRip, rip, linear, bitness };
  }

  #found(access: number, find: (rip: bigint) => Site): Place {
    const rip = this.#registers.linearRip;
    const located = this.#code.locate(rip);
    if (located === undefined) return this.#place(find(rip));
    const { gpa } = located;
    const kept = this.#kept.get(gpa);
    const known = kept && kept.access === access && this.#code.standAt(kept.gpa, kept.bytes);
    const site = known ? kept : find(rip);
    const place = this.#place(site);
    const start = gpa - site.past;
    const whole = (start & PAGE_MASK) + site.bytes.length <= PAGE_MASK + 1 &&
      Math.floor(start / (PAGE_MASK + 1)) === Math.floor(gpa / (PAGE_MASK + 1));
    if (site.bytes.length > 0 && whole) {
      const { past, bytes, string } = site;
      keep(this.#kept, gpa, { past, bytes, string, gpa: start, access });
      const registers = this.#registers.place();
      keep(this.#places, this.#registers.ripWord, { place, registers, located, start, access });
    }
    return place;
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

function keep<T>(kept: Map<number, T>, at: number, value: T): void {
  if (kept.size >= MAX_SITES) kept.clear();
  kept.set(at, value);
}
