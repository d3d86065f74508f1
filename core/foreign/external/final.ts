// What a VMM is asked for when its guest has ended: memory by label, through the guest's own page tables, and disks.
import { gpa, PAGE_SIZE } from "../../base/address.ts";
import { walkTables } from "../../cpu/walk.ts";
import { SECTOR_SIZE } from "../../machine/memory_disk.ts";
import type { DiskSpec } from "../../scenario/case.ts";
import type { Watched } from "../../vmm/final_state.ts";
import { PIECE, type Request } from "./protocol.ts";

/** Asks for bytes; fewer than asked for, or none, where there is no RAM. */
export type ReadBytes = (request: Extract<Request, { type: "read" }>) => Promise<Uint8Array>;

/** A page-table entry that has to be asked for before the walk can go on. */
class Missing {
  constructor(readonly address: number, readonly size: 4 | 8) {}
}

/** The guest's memory, read through its page tables where `registers` tell of them. */
export class FinalMemory {
  readonly #read: ReadBytes;
  readonly #registers: Readonly<Record<string, bigint>>;
  readonly #entries = new Map<number, bigint>();

  constructor(read: ReadBytes, registers: Readonly<Record<string, bigint>>) {
    this.#read = read;
    this.#registers = registers;
  }

  /** Page by page, as far as there is memory. */
  async read({ address, size }: Watched): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    let done = 0;
    while (done < size) {
      const at = BigInt.asUintN(64, address + BigInt(done));
      const length = Math.min(size - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)), PIECE);
      const physical = await this.#translate(at) ?? Number(at);
      if (!isAddress(physical)) break;
      const got = await this.#read({ type: "read", address: physical, length });
      bytes.set(got, done);
      done += got.length;
      if (got.length < length) break;
    }
    return bytes.subarray(0, done);
  }

  async #translate(linear: bigint): Promise<number | undefined> {
    const { cr0 = 0n, cr3 = 0n, cr4 = 0n, efer = 0n } = this.#registers;
    for (;;) {
      try {
        const walk = walkTables(cr0, cr3, cr4, efer, (at, size) => this.#entry(at, size), linear);
        return walk.mapped ? walk.gpa : undefined;
      } catch (error) {
        if (!(error instanceof Missing)) throw error;
        const { address, size } = error;
        const bytes = await this.#read({ type: "read", address: gpa(address), length: size });
        this.#entries.set(address, littleEndian(bytes));
      }
    }
  }

  #entry(address: number, size: 4 | 8): bigint {
    const entry = this.#entries.get(address);
    if (entry === undefined) throw new Missing(address, size);
    return entry;
  }
}

function isAddress(value: number): boolean {
  return Number.isSafeInteger(value);
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => value << 8n | BigInt(byte), 0n);
}

/** The whole contents of each disk. */
export async function finalDisks(
  read: ReadBytes,
  disks: readonly DiskSpec[],
): Promise<Uint8Array[]> {
  const contents: Uint8Array[] = [];
  for (const [disk, { sectors }] of disks.entries()) {
    const bytes = new Uint8Array(sectors * SECTOR_SIZE);
    for (let address = 0; address < bytes.length; address += PIECE) {
      const length = Math.min(PIECE, bytes.length - address);
      bytes.set(await read({ type: "read", disk, address, length }), address);
    }
    contents.push(bytes);
  }
  return contents;
}
