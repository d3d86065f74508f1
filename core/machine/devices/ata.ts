// The primary ATA channel with up to two disks, programmed I/O only. A command is done by the time it has been written:
// no seek is modelled, so BSY shows during a software reset alone. After ATA/ATAPI-6 (T13/1410D).
import { fromHexBytes, hexBytes } from "../../base/hex.ts";
import type { AccessSize, BlockSource, Device, DeviceState, InterruptLine } from "../device.ts";
import { restored } from "../saved_state.ts";
import { showSector, startSector, TASK_FILE } from "./ata_address.ts";
import { identify } from "./ata_identify.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const ATA_COMMAND_PORT = 0x1f0;
export const ATA_COMMAND_LENGTH = 8;
export const ATA_CONTROL_PORT = 0x3f6;
export const ATA_CONTROL_LENGTH = 1;
/** PIC input of the primary channel. */
export const ATA_IRQ = 14;

const SECTOR = 512;

/** Command block registers by offset. */
const DATA = 0, ERROR_FEATURES = 1, COUNT = 2, LBA_LOW = 3, LBA_MID = 4, LBA_HIGH = 5;
const DEVICE = 6, STATUS_COMMAND = 7;

const BSY = 0x80, DRDY = 0x40, DSC = 0x10, DRQ = 0x08, ERR = 0x01;
const ABRT = 0x04, IDNF = 0x10;
/** Error register after a reset: the diagnostics passed. */
const DIAGNOSTICS_PASSED = 1;
const DEVICE_1 = 0x10;
const CONTROL_NIEN = 2, CONTROL_SRST = 4, CONTROL_HOB = 0x80;

type Direction = "none" | "in" | "out";

const RESET = {
  ...TASK_FILE,
  features: 0,
  error: DIAGNOSTICS_PASSED,
  status: DRDY | DSC,
  control: 0,
  interrupt: false,
  /** Which way the data register moves the buffer, and how far it has got. */
  direction: "none" as string,
  position: 0,
  /** The device that the command is for. */
  unit: 0,
  /** Sectors of the command that are not yet through, and the address of the first of them. */
  left: 0,
  sector: 0,
  extended: false,
};

export class Ata extends ByteDevice {
  /** The control block: device control and alternate status. */
  readonly control: Device = new ControlBlock(this);
  #state = { ...RESET };
  #buffer: Uint8Array = new Uint8Array(SECTOR);

  /** `disks` are device 0 and device 1; each may be missing. */
  constructor(
    readonly disks: readonly (BlockSource | undefined)[],
    readonly line: InterruptLine,
  ) {
    super();
  }

  override read(offset: number, size: AccessSize): number {
    return offset === DATA ? this.#readData(size) : super.read(offset, size);
  }
  override write(offset: number, size: AccessSize, value: number): void {
    if (offset === DATA) this.#writeData(size, value);
    else super.write(offset, size, value);
  }

  protected readByte(offset: number): number {
    const s = this.#state;
    const byte = (register: number) => s.control & CONTROL_HOB ? register >> 8 : register & 0xff;
    switch (offset) {
      case ERROR_FEATURES:
        return s.error;
      case COUNT:
        return byte(s.count);
      case LBA_LOW:
        return byte(s.low);
      case LBA_MID:
        return byte(s.mid);
      case LBA_HIGH:
        return byte(s.high);
      case DEVICE:
        return s.device | 0xa0; // Obsolete bits that read as one.
      case STATUS_COMMAND:
        s.interrupt = false;
        this.#update();
        return this.alternateStatus;
      default:
        return OPEN_BYTE;
    }
  }

  protected writeByte(offset: number, value: number): void {
    const s = this.#state;
    s.control &= ~CONTROL_HOB;
    const push = (register: number) => (register << 8 | value) & 0xffff;
    if (this.alternateStatus & BSY) return;
    switch (offset) {
      case ERROR_FEATURES:
        s.features = push(s.features);
        break;
      case COUNT:
        s.count = push(s.count);
        break;
      case LBA_LOW:
        s.low = push(s.low);
        break;
      case LBA_MID:
        s.mid = push(s.mid);
        break;
      case LBA_HIGH:
        s.high = push(s.high);
        break;
      case DEVICE:
        s.device = value;
        break;
      case STATUS_COMMAND:
        this.#command(value);
        break;
    }
  }

  /** Status without taking the interrupt back. A device that is not there answers 0. */
  get alternateStatus(): number {
    if (this.#state.control & CONTROL_SRST) return BSY;
    return this.disks[this.#selected] === undefined ? 0 : this.#state.status;
  }

  /** Device control: nIEN, SRST, HOB. */
  writeControl(value: number): void {
    const was = this.#state.control;
    if (was & CONTROL_SRST && (value & CONTROL_SRST) === 0) this.#state = { ...RESET };
    this.#state.control = value & (CONTROL_NIEN | CONTROL_SRST | CONTROL_HOB);
    if (value & CONTROL_SRST) this.#state.interrupt = false;
    this.#update();
  }

  get #selected(): number {
    return this.#state.device & DEVICE_1 ? 1 : 0;
  }

  #update(): void {
    this.line.set(this.#state.interrupt && (this.#state.control & CONTROL_NIEN) === 0);
  }

  #command(code: number): void {
    const s = this.#state;
    // EXECUTE DEVICE DIAGNOSTIC is for both devices, whichever is selected.
    if (code === 0x90) {
      const { control } = s;
      this.#state = { ...RESET, control };
      this.#finish();
      return;
    }
    const disk = this.disks[this.#selected];
    if (disk === undefined) return;
    s.unit = this.#selected;
    // INTRQ falls, so that an edge-triggered controller sees the next interrupt.
    s.interrupt = false;
    this.#update();
    s.error = 0;
    s.status = DRDY | DSC;
    s.direction = "none";
    s.extended = false;
    switch (code) {
      case 0xec: // IDENTIFY DEVICE
        this.#buffer = identify(disk.sectors);
        s.left = 1;
        this.#offer("in");
        this.#interrupt();
        break;
      case 0x24: // READ SECTORS EXT
      case 0x34: // WRITE SECTORS EXT
      case 0x42: // READ VERIFY SECTORS EXT
        s.extended = true;
        this.#transfer(disk, code);
        break;
      case 0x20: // READ SECTORS, and without retries
      case 0x21:
      case 0x30: // WRITE SECTORS, and without retries
      case 0x31:
      case 0x40: // READ VERIFY SECTORS, and without retries
      case 0x41:
        this.#transfer(disk, code);
        break;
      case 0x91: // INITIALIZE DEVICE PARAMETERS: the one geometry there is
      case 0xe7: // FLUSH CACHE
      case 0xea: // FLUSH CACHE EXT
      case 0xef: // SET FEATURES: nothing to set
        this.#finish();
        break;
      default:
        this.#fail(ABRT);
    }
  }

  #transfer(disk: BlockSource, code: number): void {
    const s = this.#state;
    s.left = s.extended ? s.count || 0x10000 : s.count & 0xff || 0x100;
    const sector = startSector(s, s.extended);
    if (sector === undefined) return this.#fail(IDNF);
    s.sector = sector;
    switch (code & 0xf0) {
      case 0x20:
        this.#readNext(disk);
        break;
      case 0x30:
        if (disk.readOnly) this.#fail(ABRT);
        else if (s.sector >= disk.sectors) this.#notFound();
        else this.#offer("out");
        break;
      default: {
        const beyond = s.sector + s.left > disk.sectors;
        const verified = Math.min(s.left, Math.max(0, disk.sectors - s.sector));
        s.sector += verified;
        s.left -= verified;
        if (beyond) this.#notFound();
        else this.#finish();
      }
    }
  }

  #readNext(disk: BlockSource): void {
    const s = this.#state;
    if (s.sector >= disk.sectors) return this.#notFound();
    this.#buffer = disk.readSector(s.sector);
    this.#offer("in");
    this.#interrupt();
  }

  /** The buffer has been read or filled to its end. */
  #bufferDone(): void {
    const s = this.#state;
    const disk = this.disks[s.unit];
    const { direction } = s;
    s.direction = "none";
    s.status = DRDY | DSC;
    if (disk === undefined) return;
    if (direction === "out") disk.writeSector(s.sector, this.#buffer);
    s.left--;
    if (s.left > 0) {
      s.sector++;
      if (direction === "in") this.#readNext(disk);
      else if (s.sector >= disk.sectors) this.#notFound();
      else {
        this.#offer("out");
        this.#interrupt();
      }
    } else if (direction === "out") this.#finish();
  }

  #offer(direction: Direction): void {
    const s = this.#state;
    s.direction = direction;
    s.position = 0;
    s.status = DRDY | DSC | DRQ;
  }

  #finish(): void {
    this.#state.status = DRDY | DSC;
    this.#interrupt();
  }

  /** The command has come to a sector that is not on the disk. */
  #notFound(): void {
    const s = this.#state;
    showSector(s, s.extended, s.sector, s.left);
    this.#fail(IDNF);
  }

  #fail(error: number): void {
    const s = this.#state;
    s.direction = "none";
    s.error = error;
    s.status = DRDY | DSC | ERR;
    this.#interrupt();
  }

  #interrupt(): void {
    this.#state.interrupt = true;
    this.#update();
  }

  #readData(size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      const s = this.#state;
      if (s.direction !== "in") value |= OPEN_BYTE << (8 * i);
      else {
        value |= (this.#buffer[s.position++] ?? 0) << (8 * i);
        if (s.position >= SECTOR) this.#bufferDone();
      }
    }
    return value >>> 0;
  }

  #writeData(size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const s = this.#state;
      if (s.direction !== "out") return;
      this.#buffer[s.position++] = (value >>> (8 * i)) & 0xff;
      if (s.position >= SECTOR) this.#bufferDone();
    }
  }

  save(): DeviceState {
    return { ...this.#state, buffer: hexBytes(this.#buffer) };
  }
  restore(state: DeviceState): void {
    const { buffer, ...rest } = restored({ ...RESET, buffer: "" }, state);
    const bytes = fromHexBytes(buffer);
    if (bytes.length !== SECTOR) throw new TypeError("Saved state.buffer must be one sector");
    this.#buffer = bytes;
    this.#state = rest;
    this.#update();
  }
}

/** Port 0x3f6. Its state is part of the channel's. */
class ControlBlock extends ByteDevice {
  constructor(readonly channel: Pick<Ata, "alternateStatus" | "writeControl">) {
    super();
  }
  protected readByte(offset: number): number {
    return offset === 0 ? this.channel.alternateStatus : OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset === 0) this.channel.writeControl(value);
  }
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}
