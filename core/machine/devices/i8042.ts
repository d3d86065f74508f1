// The keyboard controller of a PC, port 0x60 and 0x64, with a keyboard that nobody types on: guests reset the machine by it,
// open the A20 gate, and test that it is there (IBM PC AT technical reference, 1984).
import type { AddressGate, DeviceState, Power } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const I8042_DATA_PORT = 0x60;
export const I8042_COMMAND_PORT = 0x64;
/** Of each of the two. */
export const I8042_LENGTH = 1;

/** Status: output full, self test passed, the last byte was a command, the keyboard's lock is open. */
const OUTPUT_FULL = 1, SYSTEM = 4, WAS_COMMAND = 8, UNLOCKED = 0x10;
const COMMAND = {
  readConfiguration: 0x20,
  writeConfiguration: 0x60,
  disableMouse: 0xa7,
  enableMouse: 0xa8,
  testMouse: 0xa9,
  selfTest: 0xaa,
  testKeyboard: 0xab,
  disableKeyboard: 0xad,
  enableKeyboard: 0xae,
  readOutputPort: 0xd0,
  writeOutputPort: 0xd1,
  closeA20: 0xdd,
  openA20: 0xdf,
  /** And up to 0xff: pulses the lines of the output port whose bit is clear. */
  pulse: 0xf0,
} as const;
/** Configuration: keyboard interrupt, system flag, translation; bit 4 disables the keyboard. */
const CONFIGURATION_RESET = 0x45, KEYBOARD_DISABLED = 0x10;
/** Output port: bit 0 is the CPU's reset line, active low; bit 1 the A20 gate. */
const NOT_RESET = 1, A20 = 2, OUTPUT_PORT_RESET = 0xdf;
/** What the keyboard answers. */
const ACK = 0xfa, SELF_TEST_PASSED = 0xaa, IDENTITY = [0xab, 0x83];
const KEYBOARD_RESET = 0xff, KEYBOARD_IDENTIFY = 0xf2;
const MAX_OUTPUT = 16;

export class I8042 {
  #state = {
    /** What the guest has yet to read: so many of the bytes. */
    waiting: 0,
    bytes: new Array<number>(MAX_OUTPUT).fill(0),
    configuration: CONFIGURATION_RESET,
    outputPort: OUTPUT_PORT_RESET,
    /** The command that waits for its data, or 0. */
    pending: 0,
    lastWasCommand: false,
  };
  readonly data: ByteDevice;
  readonly command: ByteDevice;

  constructor(readonly power: Power, readonly gate: AddressGate) {
    this.data = new Port(() => this.#take(), (value) => this.#data(value), {
      save: () => structuredClone(this.#state),
      restore: (state) => void (this.#state = restored(this.#state, state)),
    });
    this.command = new Port(() => this.#status(), (value) => this.#command(value));
  }

  #status(): number {
    const { waiting, lastWasCommand } = this.#state;
    return SYSTEM | UNLOCKED | (waiting > 0 ? OUTPUT_FULL : 0) | (lastWasCommand ? WAS_COMMAND : 0);
  }

  #take(): number {
    const s = this.#state;
    if (s.waiting === 0) return 0;
    const [first = 0, ...rest] = s.bytes;
    s.waiting--;
    s.bytes = [...rest, 0];
    return first;
  }

  #put(...values: readonly number[]): void {
    const s = this.#state;
    for (const value of values) {
      if (s.waiting < MAX_OUTPUT) s.bytes[s.waiting++] = value;
    }
  }

  #command(command: number): void {
    const s = this.#state;
    s.lastWasCommand = true;
    s.pending = 0;
    switch (command) {
      case COMMAND.readConfiguration:
        return this.#put(s.configuration);
      case COMMAND.writeConfiguration:
      case COMMAND.writeOutputPort:
        s.pending = command;
        return;
      case COMMAND.selfTest:
        return this.#put(0x55);
      case COMMAND.testKeyboard:
      case COMMAND.testMouse:
        return this.#put(0);
      case COMMAND.disableKeyboard:
        s.configuration |= KEYBOARD_DISABLED;
        return;
      case COMMAND.enableKeyboard:
        s.configuration &= ~KEYBOARD_DISABLED;
        return;
      case COMMAND.readOutputPort:
        return this.#put(s.outputPort);
      case COMMAND.closeA20:
        return this.#output(s.outputPort & ~A20);
      case COMMAND.openA20:
        return this.#output(s.outputPort | A20);
    }
    if (command >= COMMAND.pulse && (command & NOT_RESET) === 0) this.power.reset();
  }

  #output(value: number): void {
    this.#state.outputPort = value;
    this.gate.set((value & A20) !== 0);
    if ((value & NOT_RESET) === 0) this.power.reset();
  }

  #data(value: number): void {
    const s = this.#state;
    const { pending } = s;
    s.lastWasCommand = false;
    s.pending = 0;
    if (pending === COMMAND.writeConfiguration) s.configuration = value;
    else if (pending === COMMAND.writeOutputPort) this.#output(value);
    else {
      this.#put(ACK);
      if (value === KEYBOARD_RESET) this.#put(SELF_TEST_PASSED);
      if (value === KEYBOARD_IDENTIFY) this.#put(...IDENTITY);
    }
  }
}

/** One of the two ports. The first keeps the state of both. */
class Port extends ByteDevice {
  constructor(
    readonly take: () => number,
    readonly put: (value: number) => void,
    readonly keeper: {
      readonly save: () => DeviceState;
      readonly restore: (state: DeviceState) => void;
    } = { save: () => ({}), restore: (state) => void restored({}, state) },
  ) {
    super();
  }
  protected readByte(offset: number): number {
    return offset === 0 ? this.take() : OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset === 0) this.put(value);
  }
  save(): DeviceState {
    return this.keeper.save();
  }
  restore(state: DeviceState): void {
    this.keeper.restore(state);
  }
}
