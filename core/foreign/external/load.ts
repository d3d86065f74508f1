// What a VMM is told of a guest before it runs: memory and registers as a boot loader leaves them, so that an implementer only
// copies. And why a VMM can't run a guest, by what it said of itself.
import { hex } from "../../base/hex.ts";
import {
  GENERAL_REGISTERS,
  type Segment,
  SEGMENT_REGISTERS,
  SPECIAL_REGISTERS,
} from "../../base/registers.ts";
import { type BootState, bootState } from "../../guest/boot.ts";
import type { GuestImage } from "../../guest/image.ts";
import { ROM_END } from "../../guest/layout.ts";
import { isPvName, type PvName, usesCounter } from "../../guest/pv/operations.ts";
import { MemoryDisk, SECTOR_SIZE } from "../../machine/memory_disk.ts";
import type { DiskSpec, Expectations, Limits } from "../../scenario/case.ts";
import { type Capabilities, OWN_DEVICES, type OwnDevice, PIECE, type Request } from "./protocol.ts";

/** Everything up to the run, in order. Disks stay here where devices are `forwarded`. */
export function* loading(
  image: GuestImage,
  limits: Limits,
  forwarded: boolean,
): Generator<Request> {
  const state = bootState(image);
  const disks = forwarded ? [] : image.disks;
  yield loadRequest(image, state, disks);
  for (const { address, bytes } of state.placed) yield* pieces(address, bytes);
  if (image.rom) yield* pieces(ROM_END - image.rom.length, image.rom);
  for (const [number, spec] of disks.entries()) {
    const disk = new MemoryDisk(spec);
    for (let sector = 0; sector < disk.sectors; sector++) {
      const bytes = disk.readSector(sector);
      if (bytes.every((byte) => byte === 0)) continue;
      yield { ...piece(sector * SECTOR_SIZE, bytes), disk: number };
    }
  }
  const { instructions, exits, time, wallMs } = limits;
  yield { type: "run", limits: { instructions, exits, timeNs: time, wallMs } };
}

function* pieces(address: number, bytes: Uint8Array): Generator<Request> {
  for (let done = 0; done < bytes.length; done += PIECE) {
    yield piece(address + done, bytes.subarray(done, done + PIECE));
  }
}

function piece(address: number, bytes: Uint8Array) {
  return { type: "write", address, bytes: bytes.toBase64() } as const;
}

function loadRequest(
  image: GuestImage,
  state: BootState,
  disks: readonly DiskSpec[],
): Request {
  const { rom, format } = image;
  const general = GENERAL_REGISTERS.map((name) => [name, hex(state.general[name] ?? 0n)]);
  const special = SPECIAL_REGISTERS.map((name) => [name, hex(state.special[name] ?? 0n)]);
  const segments = SEGMENT_REGISTERS.map((name) => [name, segment(state.segments[name])]);
  return {
    type: "load",
    memory: image.memory,
    cpus: image.cpus ?? 1,
    entry: image.entry,
    ...(format ? { format } : {}),
    ...(rom ? { rom: { address: ROM_END - rom.length, length: rom.length } } : {}),
    disks: disks.map(({ sectors, readOnly }) => ({ sectors, readOnly })),
    registers: Object.fromEntries([...general, ...special]),
    segments: Object.fromEntries(segments),
    gdtr: { ...state.gdtr, base: hex(state.gdtr.base) },
    idtr: { ...state.idtr, base: hex(state.idtr.base) },
  };
}

function segment({ base, ...rest }: Segment) {
  return { ...rest, base: hex(base) };
}

/** What pv-ops drive on the platform `bare`, and on `kvm` where that differs. */
const DRIVES: Readonly<Partial<Record<PvName, readonly OwnDevice[]>>> = {
  shutdown: ["debug-exit"],
  console_write: ["uart"],
  wait: ["pic", "pit"],
  timer_set: ["pic", "pit"],
  timer_periodic: ["pic", "pit"],
  block_read: ["ata"],
  block_write: ["ata"],
};
const HYBRID_DRIVES: typeof DRIVES = {
  ...DRIVES,
  console_write: ["virtio-console"],
  block_read: ["virtio-block"],
  block_write: ["virtio-block"],
};

/** Why what is expected can't come of a VMM with these capabilities: a clause; undefined if nothing is known against it. */
export function lackingFor(
  { accesses }: Expectations,
  { devices }: Capabilities,
): string | undefined {
  if (devices === "forwarded") return undefined;
  const { exactly, inOrder, anyOrder } = accesses ?? {};
  for (const { fields } of [exactly, inOrder, anyOrder].flatMap((some) => some?.value ?? [])) {
    const device = fields["device"];
    const missing = device?.is === "literal" &&
      OWN_DEVICES.find((known) => known === device.value && !devices.includes(known));
    if (missing) return `it has no ${missing}, which the scenario expects to be used`;
  }
  return undefined;
}

/** Why a VMM with these capabilities can't run the image: a clause; undefined if nothing is known against it. */
export function lacking(image: GuestImage, can: Capabilities): string | undefined {
  const { format, platform } = image;
  if (!can.entries.includes(image.entry)) return `it starts no guest in ${image.entry}`;
  if ((image.cpus ?? 1) > can.cpus) return `it has ${can.cpus} CPU, the guest wants ${image.cpus}`;
  if (image.memory > can.memory) return `it has no more than ${can.memory} bytes of RAM`;
  if (image.rom && !can.rom) return "it has no ROM";
  if (format !== undefined) {
    if (!can.formats.includes(format)) return `it runs no guest of the format ${format}`;
    if (can.devices === "forwarded") return "guests from files expect more than forwarded devices";
  }
  if (can.devices === "forwarded") {
    if (platform !== "bare") return "virtio devices can't be forwarded, as they reach into memory";
    const waits = image.pvOps.find((name) => isPvName(name) && DRIVES[name]?.includes("pit"));
    if (waits && !can.interrupts) return `it delivers no interrupts, which ${waits} needs`;
    return waits && usesCounter(image.pvOps)
      ? "forwarded timers do not go by its guests' time stamp counter"
      : undefined;
  }
  if (image.disks.length > 0 && !can.disks) return "it has no disks";
  const drives = platform === "kvm" ? HYBRID_DRIVES : DRIVES;
  for (const name of image.pvOps) {
    const needed = isPvName(name) ? drives[name] ?? [] : [];
    const missing = needed.find((device) => !can.devices.includes(device));
    if (missing) return `it has no ${missing}, which ${name} needs`;
  }
  return undefined;
}
