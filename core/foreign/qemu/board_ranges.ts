// Where our board has which device: QEMU's log tells addresses, and our traces have our names.
import { VirtualClock } from "../../base/clock.ts";
import type { GuestImage } from "../../guest/image.ts";
import { pcBoard } from "../../machine/board.ts";
import { Bus, type Space } from "../../machine/bus.ts";
import type { Device } from "../../machine/device.ts";
import { MemoryDisk } from "../../machine/memory_disk.ts";
import { PAGE_SIZE } from "../../base/address.ts";
import { LAPIC_BASE } from "../../guest/layout.ts";
import type { DeviceRange } from "./access_log.ts";

/** Notes who is attached where. */
class RangeBus extends Bus {
  readonly ranges: DeviceRange[] = [];

  override attach(space: Space, base: number, length: number, name: string, device: Device): void {
    super.attach(space, base, length, name, device);
    this.ranges.push({ space, base, length, name });
  }
}

const NOTHING = () => {};

/** The devices of the board that an image gets on bare hardware. */
export function boardRanges(image: GuestImage): readonly DeviceRange[] {
  const bus = new RangeBus();
  const { memory, rom } = image;
  const lapic = image.format !== undefined || (image.cpus ?? 1) > 1;
  pcBoard({
    bus,
    clock: new VirtualClock(() => 0),
    console: { write: NOTHING },
    disks: image.disks.map((spec) => new MemoryDisk(spec)),
    power: { off: NOTHING, reset: NOTHING },
    cpus: image.cpus ?? 1,
    ...(image.format === undefined
      ? {}
      : { legacy: { memory, gate: { set: NOTHING }, ...(rom ? { rom } : {}) } }),
  });
  // Each CPU's own, at first where every PC has it.
  const own = { space: "memory" as const, base: LAPIC_BASE, length: PAGE_SIZE, name: "lapic" };
  return lapic ? [own, ...bus.ranges] : bus.ranges;
}
