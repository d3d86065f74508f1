// Ports and device memory: who answers where. One choke point, so that what devices saw is recorded in one place.
import type { Access, Direction } from "../trace/exit.ts";
import type { AccessSize, Device } from "./device.ts";

/** Port addresses are 0 to 0xffff, memory addresses guest-physical ones. */
export type Space = "port" | "memory";

interface Range {
  readonly name: string;
  readonly base: number;
  readonly length: number;
  readonly device: Device;
}

/** What an unclaimed address reads as: all ones, as an open bus does. */
const OPEN_BUS = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;

/** Two address spaces and their devices. */
export class Bus {
  readonly #ranges: Record<Space, Range[]> = { port: [], memory: [] };

  /** `observe` is told of every access, also of unclaimed ones (device `none`). */
  constructor(readonly observe: (access: Access) => void = () => {}) {}

  /** Throws when the range overlaps one that is taken. */
  attach(space: Space, base: number, length: number, name: string, device: Device): void {
    const taken = this.#ranges[space].find((r) =>
      base < r.base + r.length && r.base < base + length
    );
    if (taken) {
      throw new Error(`${name} overlaps ${taken.name} at ${space} 0x${taken.base.toString(16)}`);
    }
    this.#ranges[space].push({ name, base, length, device });
  }

  /** Is there a device at this address? */
  claims(space: Space, address: number): boolean {
    return this.#find(space, address) !== undefined;
  }

  /** What the device there answers, unsigned; all ones where there is none. */
  read(space: Space, address: number, size: AccessSize): number {
    const range = this.#find(space, address);
    const value = range ? range.device.read(address - range.base, size) >>> 0 : OPEN_BUS[size];
    this.#observe(space, address, "in", size, value, range);
    return value;
  }

  /** Hands the value to the device there; where there is none it is lost. */
  write(space: Space, address: number, size: AccessSize, value: number): void {
    const range = this.#find(space, address);
    // Recorded first: what the device does because of it (console output, a notification) comes after.
    this.#observe(space, address, "out", size, value, range);
    range?.device.write(address - range.base, size, value);
  }

  #observe(
    space: Space,
    address: number,
    direction: Direction,
    size: number,
    value: number,
    range?: Range,
  ) {
    const kind = space === "port" ? "io" : "mmio";
    this.observe({ kind, device: range?.name ?? "none", address, direction, size, value });
  }

  #find(space: Space, address: number): Range | undefined {
    return this.#ranges[space].find((r) => address >= r.base && address < r.base + r.length);
  }
}
