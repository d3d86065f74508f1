// The bus as one CPU sees it: its own local APIC answers at the page where that is now, and hides what others find there.
import { Bus, type Space } from "./bus.ts";
import type { AccessSize, Device } from "./device.ts";

/** A device whose page can be moved, and switched off. */
export interface MovablePage extends Device {
  /** Address of its 4 KiB; undefined: nowhere. */
  readonly page: number | undefined;
}

const PAGE = 4096;

export class CpuBus extends Bus {
  readonly #shared: Bus;
  readonly #name: string;
  readonly #own: MovablePage;

  constructor(shared: Bus, name: string, own: MovablePage) {
    super(shared.observe);
    this.#shared = shared;
    this.#name = name;
    this.#own = own;
  }

  override attach(space: Space, base: number, length: number, name: string, device: Device): void {
    this.#shared.attach(space, base, length, name, device);
  }

  override claims(space: Space, address: number): boolean {
    return this.#offset(space, address) !== undefined || this.#shared.claims(space, address);
  }

  override read(space: Space, address: number, size: AccessSize): number {
    const offset = this.#offset(space, address);
    if (offset === undefined) return this.#shared.read(space, address, size);
    const value = this.#own.read(offset, size) >>> 0;
    this.observe({ kind: "mmio", device: this.#name, address, direction: "in", size, value });
    return value;
  }

  override write(space: Space, address: number, size: AccessSize, value: number): void {
    const offset = this.#offset(space, address);
    if (offset === undefined) return this.#shared.write(space, address, size, value);
    this.observe({ kind: "mmio", device: this.#name, address, direction: "out", size, value });
    this.#own.write(offset, size, value);
  }

  #offset(space: Space, address: number): number | undefined {
    const { page } = this.#own;
    if (space !== "memory" || page === undefined) return undefined;
    return address >= page && address < page + PAGE ? address - page : undefined;
  }
}
