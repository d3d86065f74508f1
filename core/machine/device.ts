// The contract of every device, and the seams it may be handed. A device knows no base address, no bus and no CPU.

/** Bytes moved by one access; wider ones are split by the engine, as a 32-bit bus does. */
export type AccessSize = 1 | 2 | 4;

/** State of a device as a plain, named, JSON-serializable value. */
export type DeviceState = Readonly<Record<string, unknown>>;

/** What answers at a range of ports or of device memory. */
export interface Device {
  /** Value at `offset` from the start of the range, `size` bytes, unsigned. */
  read(offset: number, size: AccessSize): number;
  /** `value` is unsigned and below 2^(8 * size). */
  write(offset: number, size: AccessSize, value: number): void;
  /** Everything that later behaviour depends on. */
  save(): DeviceState;
  /** Takes over what `save` told; throws `TypeError`, and changes nothing, when that is not a state of this device. */
  restore(state: DeviceState): void;
}

/** A level-triggered wire to an interrupt controller. */
export interface InterruptLine {
  /** Raises (true) or lowers it; setting the level that it has does nothing. */
  set(level: boolean): void;
}

/** What a CPU, or a monitor for it, asks the interrupt controller. */
export interface InterruptController {
  /** Is there an interrupt to deliver? */
  pending(): boolean;
  /** Takes the highest pending interrupt and tells its vector; call only when `pending()`. */
  acknowledge(): number;
}

/** Where a device's output bytes go. */
export interface Sink {
  /** Takes the bytes; the caller may reuse the array. */
  write(bytes: Uint8Array): void;
}

/** What a block device stands on. 512-byte sectors. */
export interface BlockSource {
  /** How many there are. */
  readonly sectors: number;
  /** Are writes refused? */
  readonly readOnly: boolean;
  /** Copy of one sector; throws `RangeError` outside the disk. */
  readSector(sector: number): Uint8Array;
  /** Writes 512 bytes; throws `RangeError` outside the disk, or where it is read-only. */
  writeSector(sector: number, bytes: Uint8Array): void;
}

/** The gate of address line 20. Closed, addresses wrap at 1 MiB as on an 8086, and at every odd MiB above. */
export interface AddressGate {
  set(open: boolean): void;
}

/** The machine's power switch. */
export interface Power {
  /** Ends the run with a code that the guest chose. */
  off(code: number): void;
  /** A reset request (triple fault, keyboard controller, port 0xcf9). */
  reset(): void;
}
