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

/**
 * What a line of the log is.
 * - `words`: QEMU says something, which no verdict rests on.
 * - `broken`: nothing that QEMU writes: it has part of an access in it, or bytes that are no text. Somebody else has written
 *   there, or QEMU is no longer itself, and what its log tells after that may be anything.
 *
 * A whole line that is just as QEMU's is trusted: guests have no say in the wording of any, and nobody else has the pipe.
 */
export type LogLine = LoggedAccess | "words" | "broken";

/** As QEMU 7.2 writes it; others say who and when first, or do not tell the name. Addresses have 52 bits at most. */
const ACCESS =
  /^(?:\d+@\d+\.\d+:)?memory_region_ops_(read|write) cpu (-1|[1-9]?\d) mr 0x[0-9a-f]{1,16} addr (0x[0-9a-f]{1,13}) value (0x[0-9a-f]{1,16}) size ([1248])(?: name '[^']*')?$/;
/** An access that its device refuses; `(null)` is memory that belongs to nobody, which has no operations to trace. */
const REFUSED =
  /^Invalid (read|write) at addr (0x[0-9A-F]{1,13}), size ([1248]), region '([^']*)', reason: (?:rejected|unaligned|invalid size \(min:\d+ max:\d+\))$/;
const NOBODY = "(null)";
/** What QEMU answers for such memory (7.2, softmmu/memory.c). */
const NOBODYS_ANSWER = 0;
/** In a line that is neither of these, a part of one; and what is no text (Unicode's category Cc). */
const PART = /memory_region_ops_|Invalid (?:read|write) at/, NO_TEXT = /[^\P{Cc}\t]/u;

/** Reads a line. */
export function readLine(line: string): LogLine {
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
  const [, doing, where, length, region] = REFUSED.exec(line) ?? [];
  if (doing === undefined) return PART.test(line) || NO_TEXT.test(line) ? "broken" : "words";
  // Of others the place on the board is not told, but the one in the device.
  if (region !== NOBODY) return "words";
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
