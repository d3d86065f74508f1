// Where a guest's program ends its run. QEMU's process is gone as soon as the port is written, so the machine is looked into
// just before.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";

/** OUT imm8 with AL, and with AX or EAX (SDM vol. 2, OUT); the latter may have a prefix. */
const OUT_AL = 0xe6, OUT_EAX = 0xe7, OPERAND_SIZE = 0x66;

/** OUT DX with AL, and with AX or EAX; and MOV to DX or EDX of the port, which is not far before it. */
const OUT_DX = [0xee, 0xef], MOV_DX_PORT = [0xba, DEBUG_EXIT_PORT, 0], NOT_FAR = 32;

/** MOV to a debug register (SDM vol. 2, MOV): hardware breakpoints of ours would be in its way. */
const MOV_TO_DEBUG = [0x0f, 0x23];

/**
 * How a guest is stopped there.
 * - `translator`: its TCG knows the addresses, and the guest sees nothing of it.
 * - `registers`: KVM's, by debug registers, which the guest can't use meanwhile.
 * - `loops`: not at all; the guest is made to wait there ({@linkcode ExitLoops}).
 */
export type Breakpoints = "translator" | "registers" | "loops";

/** Does something that is loaded look like these bytes? */
export function contains(image: GuestImage, wanted: readonly number[]): boolean {
  return image.placed.some(({ bytes }) => !found(bytes, wanted).next().done);
}

/** Where these bytes are. */
function* found(bytes: Uint8Array, wanted: readonly number[]): Generator<number> {
  const [first = 0] = wanted;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) yield at;
  }
}

/** Breakpoints cost little, but not nothing; hardware has four (SDM vol. 3, 18.2). */
const MOST_POINTS = { software: 64, hardware: 4 } as const;

/**
 * Linear addresses of the instructions that write to the debug exit port: what was assembled tells of programs; in files it
 * is whatever looks like one, where it is loaded. Where that is in the middle of another instruction, nobody ever gets there.
 */
export function exitPoints(image: GuestImage, by: Breakpoints): bigint[] {
  const hardware = by === "registers";
  if (hardware && contains(image, MOV_TO_DEBUG)) return [];
  // `pv shutdown` is a line of several instructions that ends with the OUT.
  const ends = new Set(image.lines.map(({ address, length }) => address + length));
  const points = new Set<number>();
  for (const { address, bytes } of image.placed) {
    for (
      let at = bytes.indexOf(DEBUG_EXIT_PORT);
      at >= 0;
      at = bytes.indexOf(DEBUG_EXIT_PORT, at + 1)
    ) {
      const opcode = bytes[at - 1];
      if (opcode !== OUT_AL && opcode !== OUT_EAX) continue;
      if (image.format === undefined && !ends.has(address + at + 1)) continue;
      if (opcode === OUT_EAX && bytes[at - 2] === OPERAND_SIZE) points.add(address + at - 2);
      points.add(address + at - 1);
    }
  }
  // What is not known is tried, one instruction at a time, which only the translator does.
  if (by === "translator") { for (const point of outsByDx(image)) points.add(point); }
  return [...points].slice(0, MOST_POINTS[hardware ? "hardware" : "software"]).map(BigInt);
}

/** In what was assembled: OUTs by DX soon after DX was loaded with the port. */
function* outsByDx(image: GuestImage): Generator<number> {
  const ends = new Set(image.lines.map(({ address, length }) => address + length));
  for (const { address, bytes } of image.placed) {
    for (const load of found(bytes, MOV_DX_PORT)) {
      const from = load + MOV_DX_PORT.length;
      for (let at = from; at < Math.min(from + NOT_FAR, bytes.length); at++) {
        if (!OUT_DX.includes(bytes[at] ?? 0) || !ends.has(address + at + 1)) continue;
        if (bytes[at - 1] === OPERAND_SIZE) yield address + at - 1;
        yield address + at;
        break;
      }
    }
  }
}
