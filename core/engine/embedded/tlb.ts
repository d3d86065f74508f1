// The translation lookaside buffers in WebAssembly memory: written here, read by translated code.
import {
  JUMP_CACHE,
  JUMP_CACHE_ENTRIES,
  RAM,
  READ_TLB,
  TLB_EMPTY,
  TLB_ENTRIES,
  WRITE_TLB,
} from "../../cpu/layout.ts";

const ENTRY = 16;
const PAGE_MASK = ~0xfffn;

/** Both TLBs and the jump cache: what must go when translations change. */
export class Tlb {
  readonly #view: DataView;
  readonly #words: BigInt64Array;
  /** What is to be forgotten when its CPU comes back: while another one has the memory, these are not there. */
  #pending: Set<"all" | "writes" | "jumps"> | undefined;

  constructor(buffer: ArrayBuffer) {
    this.#view = new DataView(buffer);
    this.#words = new BigInt64Array(buffer, 0, (JUMP_CACHE + ENTRY * JUMP_CACHE_ENTRIES) / 8);
  }

  /** Remembers that the page of `linear` is the RAM page at `gpa`, for reads, writes or both. */
  fill(linear: bigint, gpa: number, forRead: boolean, forWrite: boolean): void {
    const page = linear & PAGE_MASK;
    const base = gpa - gpa % 4096;
    const addend = BigInt.asIntN(64, BigInt(RAM + base) - page);
    const at = ENTRY * (Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1)));
    for (const [wanted, tlb] of [[forRead, READ_TLB], [forWrite, WRITE_TLB]] as const) {
      if (!wanted) continue;
      this.#view.setBigUint64(tlb + at, page, true);
      this.#view.setBigInt64(tlb + at + 8, addend, true);
    }
  }

  /** Another CPU's TLBs come where these are: what is to be forgotten until `unpark` is done then. */
  park(): void {
    this.#pending = new Set();
  }

  unpark(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending?.has("all")) this.flush();
    if (pending?.has("writes")) this.flushWrites();
    if (pending?.has("jumps")) this.flushJumps();
  }

  /** Forgets everything, or one page. */
  flush(linear?: bigint): void {
    if (this.#pending) {
      this.#pending.add("all");
      return;
    }
    if (linear === undefined) {
      this.#clear(READ_TLB, TLB_ENTRIES);
      this.#clear(WRITE_TLB, TLB_ENTRIES);
      return;
    }
    const at = ENTRY * (Number((linear >> 12n) & BigInt(TLB_ENTRIES - 1)));
    this.#view.setBigInt64(READ_TLB + at, TLB_EMPTY, true);
    this.#view.setBigInt64(WRITE_TLB + at, TLB_EMPTY, true);
  }

  flushWrites(): void {
    if (this.#pending) {
      this.#pending.add("writes");
      return;
    }
    this.#clear(WRITE_TLB, TLB_ENTRIES);
  }

  /** Remembers which region starts at `rip`. */
  setJump(rip: bigint, slot: number): void {
    const at = JUMP_CACHE + ENTRY * Number(rip & BigInt(JUMP_CACHE_ENTRIES - 1));
    this.#view.setBigUint64(at, rip, true);
    this.#view.setInt32(at + 8, slot, true);
  }

  flushJumps(): void {
    if (this.#pending) {
      this.#pending.add("jumps");
      return;
    }
    this.#clear(JUMP_CACHE, JUMP_CACHE_ENTRIES);
    // All ones is an RIP that a guest may jump to, and belongs into the last entry: that one is empty with another's.
    this.#view.setBigInt64(JUMP_CACHE + ENTRY * (JUMP_CACHE_ENTRIES - 1), 0n, true);
  }

  #clear(from: number, entries: number): void {
    // No page is all ones, nor is an RIP in whose entry it would be looked for (but see `flushJumps`).
    this.#words.fill(TLB_EMPTY, from / 8, from / 8 + 2 * entries);
  }
}
