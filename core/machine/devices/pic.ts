// The PC's pair of 8259A: fifteen interrupt lines, the slave on input 2 of the master, and the edge/level registers of the
// chip set. It delivers nothing until the guest has programmed it.
import type { DeviceState, InterruptController, InterruptLine } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";
import { PicChip } from "./pic_chip.ts";

export const PIC_MASTER_PORT = 0x20;
export const PIC_SLAVE_PORT = 0xa0;
export const PIC_LENGTH = 2;
/** Edge/level control registers of master and slave. */
export const ELCR_PORT = 0x4d0;
export const ELCR_LENGTH = 2;

const CASCADE = 2;
/** IRQ 0, 1, 2, 8 and 13 are always edge-triggered (82371AB data sheet, 4.3.6). */
const MASTER_LEVEL_CAPABLE = 0xf8, SLAVE_LEVEL_CAPABLE = 0xde;

export class Pic implements InterruptController {
  readonly master: PicChip = new PicChip(
    (level) => this.output?.set(level),
    1 << CASCADE,
    MASTER_LEVEL_CAPABLE,
  );
  readonly slave: PicChip = new PicChip(
    (level) => this.master.setLine(CASCADE, level),
    0,
    SLAVE_LEVEL_CAPABLE,
  );
  readonly elcr: ElcrPorts = new ElcrPorts(this.master, this.slave);

  /** `output` is told the level of INT: wire it to LINT0 of a local APIC; a CPU without one asks `pending()`. */
  constructor(readonly output?: InterruptLine) {}

  /** Interrupt request line 0 to 15; 2 is taken by the cascade. Throws `RangeError` for any other. */
  line(n: number): InterruptLine {
    if (!Number.isInteger(n) || n < 0 || n > 15 || n === CASCADE) {
      throw new RangeError(`Not an interrupt line of a PC: ${n}`);
    }
    const chip = n < 8 ? this.master : this.slave;
    return { set: (level) => chip.setLine(n & 7, level) };
  }

  pending(): boolean {
    return this.master.asserted;
  }

  /** When the request went away since `pending()`, tells the spurious vector: that of IRQ 7 or 15. */
  acknowledge(): number {
    const { input, vector } = this.master.acknowledge();
    let result = vector;
    if (input === CASCADE) {
      result = this.slave.acknowledge().vector;
      // INT falls during the acknowledge sequence, so that the master sees an edge if the slave has more.
      this.master.setLine(CASCADE, false);
      this.slave.update();
    }
    this.master.update();
    return result;
  }
}

/** Ports 0x4d0 and 0x4d1. Their state is kept by the two chips. */
class ElcrPorts extends ByteDevice {
  constructor(readonly master: PicChip, readonly slave: PicChip) {
    super();
  }
  protected readByte(offset: number): number {
    return offset === 0 ? this.master.elcr : offset === 1 ? this.slave.elcr : OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset === 0) this.master.elcr = value;
    if (offset === 1) this.slave.elcr = value;
  }
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}
