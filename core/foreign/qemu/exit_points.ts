// Where a guest's program ends its run. QEMU's process is gone as soon as the port is written, so the machine is looked into
// just before.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";

/** OUT imm8, AL (SDM vol. 2, OUT); `pv shutdown` is a line of several instructions that ends with it. */
const OUT_AL = 0xe6;
const OUT_LENGTH = 2;

/** Breakpoints cost little, but not nothing; hardware has four (SDM vol. 3, 18.2). */
export const MOST_POINTS = { software: 64, hardware: 4 } as const;

/**
 * Linear addresses of the instructions that write to the debug exit port: what was assembled tells of programs; in files it
 * is whatever looks like one, where it is loaded. Where that is in the middle of another instruction, nobody ever gets there.
 */
export function exitPoints(image: GuestImage): bigint[] {
  if (image.format !== undefined) {
    return image.placed.flatMap(({ address, bytes }) => {
      const points: bigint[] = [];
      for (let at = bytes.indexOf(OUT_AL); at >= 0; at = bytes.indexOf(OUT_AL, at + 1)) {
        if (bytes[at + 1] === DEBUG_EXIT_PORT) points.push(BigInt(address + at));
      }
      return points;
    });
  }
  return image.lines.flatMap(({ address, length }) => {
    const at = address + length - OUT_LENGTH;
    const [opcode, port] = bytesAt(image, at, OUT_LENGTH);
    return opcode === OUT_AL && port === DEBUG_EXIT_PORT ? [BigInt(at)] : [];
  });
}

function bytesAt(image: GuestImage, address: number, length: number): Uint8Array {
  const part = image.placed.find((placed) =>
    address >= placed.address && address < placed.address + placed.bytes.length
  );
  const from = address - (part?.address ?? 0);
  return part?.bytes.subarray(from, from + length) ?? new Uint8Array();
}
