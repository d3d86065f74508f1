// Guest-physical memory as the CPU reaches it. RAM is there; anything else is a device, reached by the bus or by leaving the
// guest. An instruction may reach several devices, and is started again after each exit: what was answered already is kept
// until it is done, and no device sees an access twice.
import type { PhysicalMemory } from "../../cpu/cpu.ts";
import { RAM } from "../../cpu/layout.ts";
import { ROM_END, ROM_LOW_BYTES, ROM_LOW_END } from "../../guest/layout.ts";
import type { Bus } from "../../machine/bus.ts";
import type { AccessSize } from "../../machine/device.ts";

/** Thrown when an instruction needs a device that only the VMM can reach, or that must be reached one step at a time. */
export class DeviceAccess {
  /** `size` is in bytes; `value` is what is written, 0 for a read. */
  constructor(
    readonly gpa: number,
    readonly size: AccessSize | 8,
    readonly write: boolean,
    readonly value: bigint,
  ) {}
}

export class EnginePhysicalMemory implements PhysicalMemory {
  readonly #view: DataView;
  readonly #ram: Uint8Array;
  /** Answers to the device accesses of the instruction under way. */
  #answers: bigint[] = [];
  #next = 0;
  #reached = false;
  /** Are devices reached now? Only when a single instruction is executed. */
  stepping = false;

  a20 = true;
  readonly #romStart: number;
  readonly #romView: DataView | undefined;
  /** RAM that shows the ROM's end. */
  readonly #lowStart: number;

  /**
   * `onWrite` is told of writes to RAM before they are done, `onDevice` of accesses that reach the bus. `rom` is read like
   * RAM, and writes to it and to its copy below 1 MiB are the bus's affair.
   */
  constructor(
    buffer: ArrayBuffer,
    readonly size: number,
    readonly bus: Bus | undefined,
    readonly onWrite: (gpa: number, length: number) => void,
    readonly onDevice: () => void,
    readonly rom?: Uint8Array,
  ) {
    this.#view = new DataView(buffer, RAM, size);
    this.#ram = new Uint8Array(buffer, RAM, size);
    this.#romView = rom && new DataView(rom.buffer, rom.byteOffset, rom.byteLength);
    this.#romStart = ROM_END - (rom?.length ?? 0);
    this.#lowStart = ROM_LOW_END - Math.min(rom?.length ?? 0, ROM_LOW_BYTES);
  }

  isRam(address: number, length: number): boolean {
    return address >= 0 && address + length <= this.size;
  }

  isWritable(address: number, length: number): boolean {
    return this.isRam(address, length) &&
      (address + length <= this.#lowStart || address >= ROM_LOW_END);
  }

  #isRom(address: number, length: number): boolean {
    return address >= this.#romStart && address + length <= ROM_END;
  }

  /** So many bytes at an address, as far as its page has them; undefined where there is neither RAM nor ROM. */
  code(address: number, length: number): Uint8Array | undefined {
    const end = address + Math.min(length, 4096 - address % 4096);
    if (this.isRam(address, 1)) return this.#ram.subarray(address, end);
    if (!this.#isRom(address, 1)) return undefined;
    return this.rom?.subarray(address - this.#romStart, end - this.#romStart);
  }

  read(address: number, size: 1 | 2 | 4 | 8): bigint {
    if (this.isRam(address, size)) return readFrom(this.#view, address, size);
    if (this.#romView && this.#isRom(address, size)) {
      return readFrom(this.#romView, address - this.#romStart, size);
    }
    return this.#device(address, size, false, 0n);
  }

  write(address: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (this.isWritable(address, size)) {
      this.onWrite(address, size);
      switch (size) {
        case 1:
          return this.#view.setUint8(address, Number(value & 0xffn));
        case 2:
          return this.#view.setUint16(address, Number(value & 0xffffn), true);
        case 4:
          return this.#view.setUint32(address, Number(value & 0xffffffffn), true);
        case 8:
          return this.#view.setBigUint64(address, value, true);
      }
    }
    this.#device(address, size, true, BigInt.asUintN(8 * size, value));
  }

  /** One access of the CPU is one exit, whatever the bus makes of it. */
  #device(gpa: number, size: AccessSize | 8, write: boolean, value: bigint): bigint {
    const known = this.#answers[this.#next];
    if (known !== undefined) {
      this.#next++;
      return known;
    }
    if (!this.stepping || !this.bus) throw new DeviceAccess(gpa, size, write, value);
    this.#reached = true;
    this.onDevice();
    const answer = this.#cycles(this.bus, gpa, size, write, value);
    this.answer(answer);
    this.#next++;
    return answer;
  }

  /** The bus is 32 bits wide. */
  #cycles(bus: Bus, gpa: number, size: AccessSize | 8, write: boolean, value: bigint): bigint {
    if (size === 8) {
      const low = this.#cycles(bus, gpa, 4, write, value & 0xffffffffn);
      return low | this.#cycles(bus, gpa + 4, 4, write, value >> 32n) << 32n;
    }
    if (!write) return BigInt(bus.read("memory", gpa, size));
    bus.write("memory", gpa, size, Number(value));
    return 0n;
  }

  /** Answers the access that the last `DeviceAccess` was about. */
  answer(value: bigint): void {
    this.#answers.push(value);
  }

  /** Is there an answer for the instruction that is about to start again? */
  get answered(): boolean {
    return this.#answers.length > 0;
  }

  /** Has the bus been used since this was last asked? */
  takeReached(): boolean {
    const reached = this.#reached;
    this.#reached = false;
    return reached;
  }

  /** An instruction starts (again). */
  begin(): void {
    this.#next = 0;
  }

  /** It is done: the next one asks anew. */
  done(): void {
    if (this.#answers.length > 0) this.#answers = [];
    this.#next = 0;
  }
}

function readFrom(view: DataView, at: number, size: 1 | 2 | 4 | 8): bigint {
  switch (size) {
    case 1:
      return BigInt(view.getUint8(at));
    case 2:
      return BigInt(view.getUint16(at, true));
    case 4:
      return BigInt(view.getUint32(at, true));
    case 8:
      return view.getBigUint64(at, true);
  }
}
