// Where neither breakpoints nor debug registers stop a guest: in place of the instructions that end its run stand jumps to
// themselves, until the guest is found there. An OUT to a port that the instruction names is as long as such a jump.
import type { GuestImage } from "../../guest/image.ts";
import { readAt, writeAt } from "./files.ts";
import type { CpuState, Stub } from "./stub.ts";

/** JMP to itself (SDM vol. 2, JMP). */
const LOOP = Uint8Array.of(0xeb, 0xfe);

/** The jumps in the RAM of one run. */
export class ExitLoops {
  readonly #ram: string;
  /** By their places, what they stand in for. */
  #replaced: ReadonlyMap<number, Uint8Array> = new Map();

  private constructor(ram: string) {
    this.#ram = ram;
  }

  /** Puts them into a guest that has not begun. In files, what looks like an OUT may be something else: they get none. */
  static async put(image: GuestImage, points: readonly bigint[], ram: string): Promise<ExitLoops> {
    const loops = new ExitLoops(ram);
    if (image.format !== undefined) return loops;
    const replaced = new Map<number, Uint8Array>();
    const places = new Set(points.map(Number));
    for (const at of places) {
      // Where a byte before it may be its prefix, or may not.
      if (places.has(at - 1) || places.has(at + 1)) continue;
      replaced.set(at, await readAt(ram, at, LOOP.length));
      await writeAt(ram, at, LOOP);
    }
    loops.#replaced = replaced;
    return loops;
  }

  /** The CPU that has come to one. */
  async reached(
    stub: Pick<Stub, "translate">,
    cpus: readonly CpuState[],
  ): Promise<CpuState | undefined> {
    if (this.#replaced.size === 0) return undefined;
    for (const cpu of cpus) {
      const place = await stub.translate(cpu.instruction);
      if (!cpu.halted && place !== undefined && this.#replaced.has(place)) return cpu;
    }
    return undefined;
  }

  /** RAM is the guest's own again, but for what it has written over meanwhile. */
  async remove(): Promise<void> {
    const replaced = this.#replaced;
    this.#replaced = new Map();
    for (const [at, bytes] of replaced) {
      const now = await readAt(this.#ram, at, LOOP.length);
      if (now.every((byte, i) => byte === LOOP[i])) await writeAt(this.#ram, at, bytes);
    }
  }
}
