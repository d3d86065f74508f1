// A 16550A serial port, COM1 of a PC. What the guest transmits goes to a sink at once: no baud rate is modelled, so the
// transmitter is always empty and a character timeout is always over. After the National Semiconductor PC16550D data sheet.
import type { DeviceState, InterruptLine, Sink } from "../device.ts";
import { fromHexBytes, hexBytes } from "../../base/hex.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const UART_COM1_PORT = 0x3f8;
export const UART_LENGTH = 8;
/** PIC input of COM1. */
export const UART_COM1_IRQ = 4;

/** Bytes of host input that wait for room in the FIFO. */
export const UART_BACKLOG = 4096;
const FIFO_SIZE = 16;

/** Registers by offset; 0 and 1 are the divisor while LCR.DLAB is set. */
const DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCRATCH = 7;

const IER_RECEIVE = 1, IER_THRE = 2, IER_LINE = 4, IER_MODEM = 8;
const IIR_NONE = 1, IIR_MODEM = 0, IIR_THRE = 2, IIR_RECEIVE = 4, IIR_LINE = 6, IIR_TIMEOUT = 0xc;
const IIR_FIFOS = 0xc0;
const FCR_ENABLE = 1, FCR_CLEAR_RECEIVER = 2;
/** Receiver trigger levels by FCR bits 7:6. */
const TRIGGERS = [1, 4, 8, 14] as const;
const LCR_DLAB = 0x80;
const MCR_DTR = 1, MCR_RTS = 2, MCR_OUT1 = 4, MCR_OUT2 = 8, MCR_LOOP = 0x10;
const LSR_DATA = 1, LSR_OVERRUN = 2, LSR_THRE = 0x20, LSR_TEMT = 0x40;
const MSR_CTS = 0x10, MSR_DSR = 0x20, MSR_RI = 0x40, MSR_DCD = 0x80;
/** Modem inputs when nothing is looped back: a peer that is there and ready. */
const MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD;

const RESET = {
  divisor: 12,
  ier: 0,
  fcr: 0,
  lcr: 3,
  mcr: 0,
  scratch: 0,
  /** Transmitter-empty interrupt not yet told by an IIR read. */
  threPending: false,
  overrun: false,
  modem: MSR_CONNECTED,
  /** MSR bits 3:0, cleared by reading. */
  modemDeltas: 0,
};

export class Uart extends ByteDevice {
  #state = { ...RESET };
  #fifo: number[] = [];
  #backlog: number[] = [];

  constructor(readonly sink: Sink, readonly line: InterruptLine) {
    super();
  }

  /** Input from the host. Tells how many bytes there was room for, counted from the first. */
  receive(bytes: Uint8Array): number {
    const accepted = Math.min(bytes.length, UART_BACKLOG - this.#backlog.length);
    for (const byte of bytes.subarray(0, accepted)) this.#backlog.push(byte);
    this.#update();
    return accepted;
  }

  protected readByte(offset: number): number {
    const s = this.#state;
    switch (offset) {
      case DATA:
        return s.lcr & LCR_DLAB ? s.divisor & 0xff : this.#readData();
      case IER:
        return s.lcr & LCR_DLAB ? s.divisor >> 8 : s.ier;
      case IIR_FCR: {
        const cause = this.#cause();
        if (cause === IIR_THRE) s.threPending = false;
        this.#update();
        return cause | (s.fcr & FCR_ENABLE ? IIR_FIFOS : 0);
      }
      case LCR:
        return s.lcr;
      case MCR:
        return s.mcr;
      case LSR: {
        const value = LSR_THRE | LSR_TEMT | (this.#fifo.length > 0 ? LSR_DATA : 0) |
          (s.overrun ? LSR_OVERRUN : 0);
        s.overrun = false;
        this.#update();
        return value;
      }
      case MSR: {
        const value = s.modem | s.modemDeltas;
        s.modemDeltas = 0;
        this.#update();
        return value;
      }
      case SCRATCH:
        return s.scratch;
      default:
        return OPEN_BYTE;
    }
  }

  protected writeByte(offset: number, value: number): void {
    const s = this.#state;
    switch (offset) {
      case DATA:
        if (s.lcr & LCR_DLAB) s.divisor = s.divisor & 0xff00 | value;
        else this.#transmit(value);
        break;
      case IER:
        if (s.lcr & LCR_DLAB) s.divisor = s.divisor & 0xff | value << 8;
        else {
          // Enabling the interrupt while the transmitter is empty, as it always is here, raises it.
          if (value & ~s.ier & IER_THRE) s.threPending = true;
          s.ier = value & (IER_RECEIVE | IER_THRE | IER_LINE | IER_MODEM);
        }
        break;
      case IIR_FCR:
        // Turning the FIFOs on or off empties them.
        if ((value ^ s.fcr) & FCR_ENABLE || value & FCR_CLEAR_RECEIVER) this.#fifo = [];
        s.fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | 0xc0) : 0;
        break;
      case LCR:
        s.lcr = value;
        break;
      case MCR:
        s.mcr = value & 0x1f;
        this.#updateModem();
        break;
      case SCRATCH:
        s.scratch = value;
        break;
    }
    this.#update();
  }

  #readData(): number {
    const byte = this.#fifo.shift() ?? 0;
    this.#update();
    return byte;
  }

  #transmit(byte: number): void {
    // The holding register is full for an instant: the interrupt line falls, so that an edge-triggered controller sees
    // the next "empty".
    this.#state.threPending = false;
    this.#update();
    if (this.#state.mcr & MCR_LOOP) this.#arrive(byte);
    else this.sink.write(Uint8Array.of(byte));
    this.#state.threPending = true;
  }

  /** A character reaches the receiver; beyond its capacity the newest is lost with FIFOs, the oldest without. */
  #arrive(byte: number): void {
    if (this.#fifo.length < this.#capacity) this.#fifo.push(byte);
    else {
      this.#state.overrun = true;
      if (this.#capacity === 1) this.#fifo[0] = byte;
    }
  }

  get #capacity(): number {
    return this.#state.fcr & FCR_ENABLE ? FIFO_SIZE : 1;
  }

  /** In loopback the modem outputs drive the modem inputs. */
  #updateModem(): void {
    const s = this.#state;
    const was = s.modem;
    s.modem = s.mcr & MCR_LOOP
      ? (s.mcr & MCR_RTS ? MSR_CTS : 0) | (s.mcr & MCR_DTR ? MSR_DSR : 0) |
        (s.mcr & MCR_OUT1 ? MSR_RI : 0) | (s.mcr & MCR_OUT2 ? MSR_DCD : 0)
      : MSR_CONNECTED;
    // Bit 2 tells of the trailing edge of RI alone, the others of any change.
    const changed = (was ^ s.modem) & ~MSR_RI | was & ~s.modem & MSR_RI;
    s.modemDeltas |= changed >> 4;
  }

  /** The interrupt of highest priority, as IIR bits 3:0 (PC16550D, table 3). */
  #cause(): number {
    const s = this.#state;
    if (s.ier & IER_LINE && s.overrun) return IIR_LINE;
    if (s.ier & IER_RECEIVE && this.#fifo.length > 0) {
      const trigger = s.fcr & FCR_ENABLE ? TRIGGERS[s.fcr >> 6] ?? 1 : 1;
      return this.#fifo.length >= trigger ? IIR_RECEIVE : IIR_TIMEOUT;
    }
    if (s.ier & IER_THRE && s.threPending) return IIR_THRE;
    if (s.ier & IER_MODEM && s.modemDeltas !== 0) return IIR_MODEM;
    return IIR_NONE;
  }

  #update(): void {
    const s = this.#state;
    // Host input waits while the port talks to itself.
    while (
      !(s.mcr & MCR_LOOP) && this.#backlog.length > 0 && this.#fifo.length < this.#capacity
    ) {
      this.#fifo.push(this.#backlog.shift() ?? 0);
    }
    // On a PC, OUT2 gates the interrupt; the pin is inactive in loopback (IBM PC AT technical reference, async adapter).
    const gated = (s.mcr & MCR_OUT2) !== 0 && (s.mcr & MCR_LOOP) === 0;
    this.line.set(gated && this.#cause() !== IIR_NONE);
  }

  save(): DeviceState {
    return {
      ...this.#state,
      fifo: hexBytes(Uint8Array.from(this.#fifo)),
      backlog: hexBytes(Uint8Array.from(this.#backlog)),
    };
  }

  restore(state: DeviceState): void {
    const { fifo, backlog, ...rest } = restored({ ...RESET, fifo: "", backlog: "" }, state);
    this.#fifo = [...fromHexBytes(fifo)].slice(0, FIFO_SIZE);
    this.#backlog = [...fromHexBytes(backlog)].slice(0, UART_BACKLOG);
    this.#state = rest;
    this.#update();
  }
}
