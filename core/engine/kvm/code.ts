// The guest's code as it stands in memory: linear addresses by the guest's own tables, as of now.
import { PAGE_SIZE } from "../../base/address.ts";
import { ROM_END } from "../../guest/layout.ts";
import { type WalkStep, walkTables } from "../../cpu/walk.ts";
import type { KvmMachine } from "./machine.ts";
import type { SharedRegisters } from "./registers.ts";

const PAGING = 0x8000_0000n;
const WORD = Uint32Array.BYTES_PER_ELEMENT;
/** Longest instruction (SDM vol. 2, 2.3.11). */
export const MAX_INSTRUCTION = 15;

/** Where a linear address is in physical memory, and what of the guest's tables says so. */
export interface Located {
  readonly gpa: number;
  /** Words of memory, by their number, each followed by its value. */
  readonly tables: readonly number[];
}

interface Known extends Located {
  readonly page: bigint;
  readonly cr3: bigint;
}

const WITHOUT_PAGING: Located["tables"] = [];

/** Reads through one CPU's eyes. */
export class GuestCode {
  readonly #machine: KvmMachine;
  readonly #registers: SharedRegisters;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  #known: Known | undefined;

  constructor(machine: KvmMachine, registers: SharedRegisters) {
    this.#machine = machine;
    this.#registers = registers;
    const { buffer, byteOffset, byteLength } = machine.bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
    this.#words = new Uint32Array(buffer, byteOffset, byteLength / WORD);
  }

  /** Guest-physical address behind a linear one; undefined where nothing is mapped. */
  translate(linear: bigint): number | undefined {
    return this.locate(linear)?.gpa;
  }

  /** The same, with what has to stay for it to stay true as long as CR0, CR3, CR4 and EFER do. */
  locate(linear: bigint): Located | undefined {
    const registers = this.#registers;
    const cr0 = registers.get("cr0");
    if (!(cr0 & PAGING)) {
      return { gpa: Number(BigInt.asUintN(32, linear)), tables: WITHOUT_PAGING };
    }
    const cr3 = registers.get("cr3");
    const offset = Number(linear & 0xfffn);
    const page = linear - BigInt(offset);
    const known = this.#known;
    if (known && known.page === page && known.cr3 === cr3 && this.holds(known)) {
      return { gpa: known.gpa + offset, tables: known.tables };
    }
    const walk = walkTables(
      cr0,
      cr3,
      registers.get("cr4"),
      registers.get("efer"),
      (address, size) => this.#entry(address, size),
      page,
    );
    if (!walk.mapped) return undefined;
    const tables = walk.steps.flatMap(wordsOf);
    this.#known = { page, cr3, gpa: walk.gpa, tables };
    return { gpa: walk.gpa + offset, tables };
  }

  #entry(address: number, size: 4 | 8): bigint {
    if (address + size > this.#view.byteLength) return 0n;
    return size === 8
      ? this.#view.getBigUint64(address, true)
      : BigInt(this.#view.getUint32(address, true));
  }

  /** Do the tables still say what they said? */
  holds({ tables }: Located): boolean {
    for (let n = 0; n < tables.length; n += 2) {
      if (this.#words[tables[n] ?? 0] !== tables[n + 1]) return false;
    }
    return true;
  }

  /** Are these the bytes at a guest-physical address, in one page? */
  standAt(gpa: number, bytes: Uint8Array): boolean {
    const memory = this.#machine.bytes;
    const now = gpa < memory.length ? memory : this.at(gpa, bytes.length);
    const start = now === memory ? gpa : 0;
    for (let n = 0; n < bytes.length; n++) if (now[start + n] !== bytes[n]) return false;
    return true;
  }

  /** Bytes from a guest-physical address to the end of its page at most. */
  at(gpa: number, length: number): Uint8Array {
    const count = Math.min(length, PAGE_SIZE - gpa % PAGE_SIZE);
    const { bytes, rom } = this.#machine;
    if (gpa < bytes.length) return bytes.subarray(gpa, gpa + count);
    const romStart = ROM_END - (rom?.length ?? 0);
    if (!rom || gpa < romStart) return new Uint8Array();
    return rom.subarray(gpa - romStart, gpa - romStart + count);
  }

  /** A copy of so many bytes from a linear address on, fewer where the next page is not mapped. */
  bytes(linear: bigint, length = MAX_INSTRUCTION): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const gpa = this.translate(BigInt.asUintN(64, linear + BigInt(done)));
      const found = gpa === undefined ? new Uint8Array() : this.at(gpa, length - done);
      if (found.length === 0) break;
      bytes.set(found, done);
      done += found.length;
    }
    return bytes.slice(0, done);
  }
}

/** An entry of the guest's tables, as {@linkcode Located} has it. */
function wordsOf({ address, size, entry }: WalkStep): number[] {
  const low = [address / WORD, Number(entry & 0xffff_ffffn)];
  return size === 4 ? low : [...low, address / WORD + 1, Number(entry >> 32n)];
}
