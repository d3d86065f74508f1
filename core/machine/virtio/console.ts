// The virtio console (virtio 1.2, 5.3), one port: queue 0 brings input to the driver, queue 1 its output to a sink.
import { fromHexBytes, hexBytes } from "../../base/hex.ts";
import type { DeviceState, Sink } from "../device.ts";
import { restored } from "../saved_state.ts";
import type { VirtioDevice, VirtioTransport } from "./device.ts";
import { VirtqueueError } from "./queue.ts";

const RECEIVE = 0, TRANSMIT = 1;
const QUEUE_SIZE = 128;
/** The driver may write single characters to the configuration space, before any queue is there. */
const F_EMERG_WRITE = 1n << 2n;
/** Configuration space (5.3.4): cols and rows, 16 bits each, max_nr_ports, emerg_wr. */
const CONFIG_EMERG_WR = 8;

/** Longest output in one chain; a queue full of them still fits what a run keeps. */
export const CONSOLE_MAX_CHAIN = 65_536;
/** Bytes of host input that wait for buffers. */
export const CONSOLE_BACKLOG = 4096;

export class VirtioConsole implements VirtioDevice {
  readonly name = "console";
  readonly id = 3;
  readonly features = F_EMERG_WRITE;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE] as const;
  #transport: VirtioTransport | undefined;
  #backlog = new Uint8Array(0);

  constructor(readonly sink: Sink) {}

  attach(transport: VirtioTransport): void {
    this.#transport = transport;
  }

  /** Input from the host. Tells how many bytes there was room for, counted from the first. */
  receive(bytes: Uint8Array): number {
    const accepted = Math.min(bytes.length, CONSOLE_BACKLOG - this.#backlog.length);
    this.#backlog = Uint8Array.from([...this.#backlog, ...bytes.subarray(0, accepted)]);
    this.#deliver();
    return accepted;
  }

  notify(queue: number): void {
    if (queue === RECEIVE) this.#deliver();
    if (queue === TRANSMIT) this.#transmit();
  }

  #deliver(): void {
    if (this.#backlog.length === 0) return;
    this.#transport?.serve(RECEIVE, (queue) => {
      for (let left = queue.waiting(); left > 0 && this.#backlog.length > 0; left--) {
        const chain = queue.take();
        if (chain === undefined) return;
        const written = chain.writable.write(0, this.#backlog);
        this.#backlog = this.#backlog.slice(written);
        queue.give(chain, written);
      }
    });
  }

  #transmit(): void {
    this.#transport?.serve(TRANSMIT, (queue) => {
      for (let left = queue.waiting(); left > 0; left--) {
        const chain = queue.take();
        if (chain === undefined) return;
        const { readable } = chain;
        if (readable.length > CONSOLE_MAX_CHAIN) {
          throw new VirtqueueError(`Console output of ${readable.length} bytes in one chain`);
        }
        if (readable.length > 0) this.sink.write(readable.read(0, readable.length));
        queue.give(chain, 0);
      }
    });
  }

  /** The size of the console is not told (F_SIZE), nor are there more ports (F_MULTIPORT): all zeros. */
  readConfig(_offset: number): number {
    return 0;
  }

  writeConfig(offset: number, _size: number, value: number): void {
    if (offset === CONFIG_EMERG_WR) this.sink.write(Uint8Array.of(value & 0xff));
  }

  /** Input that has not been delivered waits for the next driver. */
  reset(): void {}

  save(): DeviceState {
    return { backlog: hexBytes(this.#backlog) };
  }
  restore(state: DeviceState): void {
    const { backlog } = restored({ backlog: "" }, state);
    this.#backlog = fromHexBytes(backlog).slice(0, CONSOLE_BACKLOG);
  }
}
