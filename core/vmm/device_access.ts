// From the size of a guest's access to the sizes that devices know: wider and odd ones are split, low part first, as a
// 32-bit bus does.
import type { Bus, Space } from "../machine/bus.ts";
import type { AccessSize } from "../machine/device.ts";

/** The largest access that a device knows and that fits into `left` bytes. */
function step(left: number): AccessSize {
  return left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

/** Reads `size` bytes (1 to 8) at an address of a space; little-endian. */
export function readDevice(bus: Bus, space: Space, address: number, size: number): bigint {
  let value = 0n;
  for (let done = 0; done < size;) {
    const count = step(size - done);
    value |= BigInt(bus.read(space, address + done, count)) << BigInt(8 * done);
    done += count;
  }
  return value;
}

/** Writes the low `size` bytes (1 to 8) of `value`. */
export function writeDevice(
  bus: Bus,
  space: Space,
  address: number,
  size: number,
  value: bigint,
): void {
  for (let done = 0; done < size;) {
    const count = step(size - done);
    bus.write(space, address + done, count, Number(BigInt.asUintN(8 * count, value)));
    value >>= BigInt(8 * count);
    done += count;
  }
}
