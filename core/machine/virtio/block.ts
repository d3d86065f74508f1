// The virtio block device (virtio 1.2, 5.2): one request queue. A request is done when the notification returns.
import type { BlockSource, DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import type { Chain } from "./chain.ts";
import type { VirtioDevice, VirtioTransport } from "./device.ts";
import { VirtqueueError } from "./queue.ts";

const QUEUE_SIZE = 128;
const SECTOR = 512;
const F_RO = 1n << 5n, F_BLK_SIZE = 1n << 6n, F_FLUSH = 1n << 9n;

/** Request types (5.2.6). */
export const REQUEST = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8 } as const;
/** Status byte of a finished request. */
export const BLOCK_STATUS = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;
/** Header: type 4, reserved 4, sector 8 bytes. */
const HEADER_SIZE = 16;
/** Bytes moved for one notification: all of the largest disk. More is a driver that wants to keep the host busy. */
export const BLOCK_MAX_BYTES = 64 << 20;
/** What GET_ID tells, in 20 bytes. */
const ID = "trivisor disk";
const ID_SIZE = 20;
/** Configuration space (5.2.4): capacity in sectors at 0, blk_size at 20. */
const CONFIG_BLK_SIZE = 20, CONFIG_SIZE = 24;

interface Done {
  readonly status: number;
  /** Bytes put in front of the status byte. */
  readonly written: number;
}
const done = (status: number, written = 0): Done => ({ status, written });

export class VirtioBlock implements VirtioDevice {
  readonly name = "block";
  readonly id = 2;
  readonly features: bigint;
  readonly queueSizes = [QUEUE_SIZE] as const;
  readonly #config = new Uint8Array(CONFIG_SIZE);
  #transport: VirtioTransport | undefined;

  constructor(readonly disk: BlockSource) {
    this.features = F_BLK_SIZE | F_FLUSH | (disk.readOnly ? F_RO : 0n);
    const view = new DataView(this.#config.buffer);
    view.setBigUint64(0, BigInt(disk.sectors), true);
    view.setUint32(CONFIG_BLK_SIZE, SECTOR, true);
  }

  attach(transport: VirtioTransport): void {
    this.#transport = transport;
  }

  notify(queue: number): void {
    this.#transport?.serve(queue, (requests) => {
      let bytes = 0;
      for (let left = requests.waiting(); left > 0; left--) {
        const chain = requests.take();
        if (chain === undefined) return;
        bytes += chain.readable.length + chain.writable.length;
        if (bytes > BLOCK_MAX_BYTES) throw new VirtqueueError(`Block requests of ${bytes} bytes`);
        requests.give(chain, this.#serve(chain));
      }
    });
  }

  /** Does a request, and tells how much of its writable part is written, from its start. */
  #serve(chain: Chain): number {
    const { readable, writable } = chain;
    if (readable.length < HEADER_SIZE) {
      throw new VirtqueueError(`Block request header of ${readable.length} bytes`);
    }
    if (writable.length < 1) throw new VirtqueueError("Block request without a status byte");
    const header = new DataView(readable.read(0, HEADER_SIZE).buffer);
    const { status, written } = this.#request(
      header.getUint32(0, true),
      header.getBigUint64(8, true),
      chain,
    );
    const room = writable.length - 1;
    writable.write(room, Uint8Array.of(status));
    return written === room ? writable.length : written;
  }

  #request(type: number, sector: bigint, chain: Chain): Done {
    const { disk } = this;
    switch (type) {
      case REQUEST.IN: {
        const room = chain.writable.length - 1;
        const first = this.#range(sector, room);
        if (first === undefined) return done(BLOCK_STATUS.IOERR);
        for (let at = 0; at < room; at += SECTOR) {
          chain.writable.write(at, disk.readSector(first + at / SECTOR));
        }
        return done(BLOCK_STATUS.OK, room);
      }
      case REQUEST.OUT: {
        const length = chain.readable.length - HEADER_SIZE;
        const first = this.#range(sector, length);
        if (first === undefined || disk.readOnly) return done(BLOCK_STATUS.IOERR);
        for (let at = 0; at < length; at += SECTOR) {
          disk.writeSector(first + at / SECTOR, chain.readable.read(HEADER_SIZE + at, SECTOR));
        }
        return done(BLOCK_STATUS.OK);
      }
      case REQUEST.FLUSH:
        return done(BLOCK_STATUS.OK);
      case REQUEST.GET_ID: {
        const id = new Uint8Array(ID_SIZE);
        id.set(new TextEncoder().encode(ID));
        const room = Math.min(ID_SIZE, chain.writable.length - 1);
        return done(BLOCK_STATUS.OK, chain.writable.write(0, id.subarray(0, room)));
      }
      default:
        return done(BLOCK_STATUS.UNSUPP);
    }
  }

  /** The first sector as a number, if so many bytes from there are whole sectors of the disk. */
  #range(sector: bigint, length: number): number | undefined {
    const inside = length % SECTOR === 0 &&
      sector + BigInt(length / SECTOR) <= BigInt(this.disk.sectors);
    return inside ? Number(sector) : undefined;
  }

  readConfig(offset: number): number {
    return this.#config[offset] ?? 0;
  }
  /** Nothing here is the driver's to write. */
  writeConfig(_offset: number, _size: number, _value: number): void {}

  reset(): void {}
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}
