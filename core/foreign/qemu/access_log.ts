// QEMU's log: one line for every access to a device, as its tracing of memory regions writes them.
import { DEBUG_CONSOLE_PORTS } from "../../machine/devices/debug_console.ts";
import { UART_COM1_PORT } from "../../machine/devices/uart.ts";
import type { Access, Direction } from "../../trace/exit.ts";

/** What QEMU is to log, as `-trace` and `-d` have it. */
export const LOGGED: { readonly trace: string; readonly mask: string } = {
  trace: "memory_region_ops_*",
  mask: "guest_errors,unimp",
};

/** A line of the log that tells of an access. */
export interface LoggedAccess {
  /** The number of the CPU; -1 where it was the monitor or a device. */
  readonly cpu: number;
  readonly direction: Direction;
  readonly address: number;
  /** Unknown where nobody is there to be written to. */
  readonly value: number | undefined;
  readonly size: number;
}

/** Later versions may say who and when first. */
const ACCESS =
  /^(?:\S+:)?memory_region_ops_(read|write) cpu (-?\d+) mr \S+ addr (0x[0-9a-f]+) value (0x[0-9a-f]+) size (\d+)/;
/** Memory that belongs to nobody has no operations to trace, but is an error of the guest's. */
const NOBODY = /^Invalid (read|write) at addr (0x[0-9A-Fa-f]+), size (\d+), region '\(null\)'/;
/** What QEMU answers for such memory (7.2, softmmu/memory.c). */
const NOBODYS_ANSWER = 0;

/** Reads a line; undefined where it is about something else. */
export function loggedAccess(line: string): LoggedAccess | undefined {
  const [, what, cpu, address, value, size] = ACCESS.exec(line) ?? [];
  if (what !== undefined) {
    return {
      cpu: Number(cpu),
      direction: what === "read" ? "in" : "out",
      address: Number(address),
      value: Number(BigInt.asUintN(8 * Number(size), BigInt(value ?? 0))),
      size: Number(size),
    };
  }
  const [, doing, where, length] = NOBODY.exec(line) ?? [];
  if (doing === undefined) return undefined;
  return {
    cpu: 0,
    direction: doing === "read" ? "in" : "out",
    address: Number(where),
    value: doing === "read" ? NOBODYS_ANSWER : undefined,
    size: Number(length),
  };
}

/** Ports end here. Memory below is RAM on every board, so that an address says which space it is in. */
const PORTS = 0x1_0000;

/** A device's place on a board. */
export interface DeviceRange {
  readonly space: "port" | "memory";
  readonly base: number;
  readonly length: number;
  readonly name: string;
}

/** The access as our board records it, under the name that it has for the device there. */
export function accessOf(logged: LoggedAccess, ranges: readonly DeviceRange[]): Access {
  const { address, direction, size, value = 0 } = logged;
  const space = address < PORTS ? "port" : "memory";
  const device =
    ranges.find((range) =>
      range.space === space && address >= range.base && address < range.base + range.length
    )?.name ?? "none";
  return { kind: space === "port" ? "io" : "mmio", device, address, direction, size, value };
}

/** Line and modem control of a 16550 and the bits that keep a byte from the line (PC16550D data sheet, table II). */
const LCR = UART_COM1_PORT + 3, LCR_DLAB = 0x80, MCR = UART_COM1_PORT + 4, MCR_LOOP = 0x10;

/** Tells which accesses put a byte onto the console. */
export class ConsoleBytes {
  #lineControl = 0;
  #modemControl = 0;

  /** The byte that this access sends, if it does. */
  sent({ address, direction, value = 0 }: LoggedAccess): number | undefined {
    if (direction === "in") return undefined;
    if (address === LCR) this.#lineControl = value;
    if (address === MCR) this.#modemControl = value;
    const transmits = address === UART_COM1_PORT && (this.#lineControl & LCR_DLAB) === 0 &&
      (this.#modemControl & MCR_LOOP) === 0;
    const debug = DEBUG_CONSOLE_PORTS.some((port) => port === address);
    return transmits || debug ? value & 0xff : undefined;
  }
}
