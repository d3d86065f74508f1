// Guest-physical memory as the CPU reaches it. RAM is there; anything else is a device, reached by the bus or by leaving the
// guest. An instruction may reach several devices, and is started again after each exit: what was answered already is kept
// until it is done, and no device sees an access twice.
import type { PhysicalMemory } from "../../cpu/cpu.ts";
import { RAM } from "../../cpu/layout.ts";
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
  /** Answers to the device accesses of the instruction under way. */
  #answers: bigint[] = [];
  #next = 0;
  #reached = false;
  /** Are devices reached now? Only when a single instruction is executed. */
  stepping = false;

  /** `onWrite` is told of writes to RAM before they are done, `onDevice` of accesses that reach the bus. */
  constructor(
    buffer: ArrayBuffer,
    readonly size: number,
    readonly bus: Bus | undefined,
    readonly onWrite: (gpa: number, length: number) => void,
    readonly onDevice: () => void,
  ) {
    this.#view = new DataView(buffer, RAM, size);
  }

  isRam(address: number, length: number): boolean {
    return address >= 0 && address + length <= this.size;
  }

  read(address: number, size: 1 | 2 | 4 | 8): bigint {
    if (this.isRam(address, size)) {
      switch (size) {
        case 1:
          return BigInt(this.#view.getUint8(address));
        case 2:
          return BigInt(this.#view.getUint16(address, true));
        case 4:
          return BigInt(this.#view.getUint32(address, true));
        case 8:
          return this.#view.getBigUint64(address, true);
      }
    }
    return this.#device(address, size, false, 0n);
  }

  write(address: number, size: 1 | 2 | 4 | 8, value: bigint): void {
    if (this.isRam(address, size)) {
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
