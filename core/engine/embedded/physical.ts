// Guest-physical memory as the CPU reaches it. RAM is there; anything else is a device, reached by the bus or by leaving the
// guest. An instruction may reach several devices, and is started again after each exit: what was answered already is kept
// until it is done, and no device sees an access twice.
import type { PhysicalMemory } from "../../cpu/cpu.ts";
import { RAM } from "../../cpu/layout.ts";
import type { Bus } from "../../machine/bus.ts";
import type { AccessSize } from "../../machine/device.ts";

/** Thrown when an instruction needs a device that only the VMM can reach, or that must be reached one step at a time. */
export class DeviceAccess {
  /** `value` is what is written; 0 for a read. */
  constructor(
    readonly gpa: number,
    readonly size: AccessSize,
    readonly write: boolean,
    readonly value: number,
  ) {}
}

export class EnginePhysicalMemory implements PhysicalMemory {
  readonly #view: DataView;
  /** Answers to the device accesses of the instruction under way. */
  #answers: number[] = [];
  #next = 0;
  #reached = false;
  /** Are devices reached now? Only when a single instruction is executed. */
  stepping = false;

  /** `onWrite` is told of writes to RAM before they are done. */
  constructor(
    buffer: ArrayBuffer,
    readonly size: number,
    readonly bus: Bus | undefined,
    readonly onWrite: (gpa: number, length: number) => void,
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
    if (size === 8) return this.read(address, 4) | this.read(address + 4, 4) << 32n;
    return BigInt(this.#device(address, size, false, 0) >>> 0);
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
    if (size === 8) {
      this.write(address, 4, value & 0xffffffffn);
      this.write(address + 4, 4, value >> 32n);
    } else this.#device(address, size, true, Number(BigInt.asUintN(8 * size, value)));
  }

  #device(gpa: number, size: AccessSize, write: boolean, value: number): number {
    const known = this.#answers[this.#next];
    if (known !== undefined) {
      this.#next++;
      return known;
    }
    if (!this.stepping || !this.bus) throw new DeviceAccess(gpa, size, write, value);
    let answer = 0;
    this.#reached = true;
    if (write) this.bus.write("memory", gpa, size, value);
    else answer = this.bus.read("memory", gpa, size);
    this.answer(answer);
    this.#next++;
    return answer;
  }

  /** Answers the access that the last `DeviceAccess` was about. */
  answer(value: number): void {
    this.#answers.push(value);
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
    this.#answers = [];
    this.#next = 0;
  }
}
