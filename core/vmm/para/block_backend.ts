// The back end of the PV disk: takes requests off the ring that it shares with the guest, moves sectors to and from granted
// pages, and answers (xen/include/public/io/blkif.h, ring.h). Ring page and event channel lie where the domain builder has put
// them: the negotiation through xenstore is left out.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { XEN_BLOCK_RING } from "../../guest/layout.ts";
import type { BlockSource } from "../../machine/device.ts";
import type { Domain } from "./domain.ts";
import { withGrant } from "./grants.ts";

/** Header of a ring: indices that only grow, and the values of the other side's index at which to notify. */
const RING = { req_prod: 0, req_event: 4, rsp_prod: 8, rsp_event: 12, entries: 64 } as const;
/** struct blkif_request on x86-64, and a segment of it. */
const REQUEST = {
  operation: 0,
  nr_segments: 1,
  id: 8,
  sector: 16,
  segments: 24,
  size: 112,
} as const;
const SEGMENT = { gref: 0, first: 4, last: 5, size: 8 } as const;
/** struct blkif_response on x86-64; it takes a request's place. */
const RESPONSE = { id: 0, operation: 8, status: 10, size: 16 } as const;
const OPERATION = { read: 0, write: 1, flush: 3 } as const;
const STATUS = { okay: 0, error: -1, unsupported: -2 } as const;
const MAX_SEGMENTS = 11;
const SECTOR_SIZE = 512;
const SECTORS_PER_PAGE = PAGE_SIZE / SECTOR_SIZE;

/** Entries of a one-page ring: the largest power of two that fits. */
export const RING_ENTRIES = 32;

/** One disk's back end. */
export class BlockBackend {
  readonly #domain: Domain;
  readonly #disk: BlockSource;
  /** Raises the guest's event channel. */
  readonly #notify: () => void;
  #consumed = 0;
  #broken = false;

  constructor(domain: Domain, disk: BlockSource, notify: () => void) {
    this.#domain = domain;
    this.#disk = disk;
    this.#notify = notify;
    // Both sides start by asking to be told of the first entry.
    this.#write(RING.req_event, 1);
    this.#write(RING.rsp_event, 1);
  }

  /** The guest has sent the event: serves what is on the ring. */
  kicked(): void {
    const { recorder } = this.#domain.setup;
    recorder.access({ kind: "queue-notify", device: "block", queue: 0 });
    if (this.#broken) return;
    const produced = this.#read(RING.req_prod);
    const waiting = produced - this.#consumed >>> 0;
    if (waiting > RING_ENTRIES) {
      // More requests than the ring holds: the index is nonsense, and so is whatever it would lead to.
      this.#broken = true;
      const reason = `${waiting} requests on a ring of ${RING_ENTRIES}`;
      recorder.access({ kind: "device-needs-reset", device: "block", reason });
      return;
    }
    const answered = this.#read(RING.rsp_prod);
    for (let i = 0; i < waiting; i++) this.#serve();
    const now = answered + waiting >>> 0;
    this.#write(RING.rsp_prod, now);
    this.#write(RING.req_event, this.#consumed + 1 >>> 0);
    const wanted = this.#read(RING.rsp_event);
    // Has the index the guest waits for been passed just now? (ring.h, RING_PUSH_RESPONSES_AND_CHECK_NOTIFY)
    if ((now - wanted >>> 0) < (now - answered >>> 0)) this.#notify();
  }

  #serve(): void {
    const { memory } = this.#domain;
    const slot = this.#consumed % RING_ENTRIES;
    const at = XEN_BLOCK_RING + RING.entries + slot * REQUEST.size as Gpa;
    // A copy, so that the guest can't change what has been checked.
    const request = new DataView(memory.read(at, REQUEST.size).buffer);
    const response = new DataView(new ArrayBuffer(RESPONSE.size));
    response.setBigUint64(RESPONSE.id, request.getBigUint64(REQUEST.id, true), true);
    response.setUint8(RESPONSE.operation, request.getUint8(REQUEST.operation));
    response.setInt16(RESPONSE.status, this.#execute(request), true);
    memory.write(at, new Uint8Array(response.buffer));
    this.#consumed = this.#consumed + 1 >>> 0;
  }

  #execute(request: DataView): number {
    const operation = request.getUint8(REQUEST.operation);
    if (operation === OPERATION.flush) return STATUS.okay;
    if (operation !== OPERATION.read && operation !== OPERATION.write) return STATUS.unsupported;
    const write = operation === OPERATION.write;
    const count = request.getUint8(REQUEST.nr_segments);
    const first = request.getBigUint64(REQUEST.sector, true);
    if (count > MAX_SEGMENTS || (write && this.#disk.readOnly)) return STATUS.error;
    if (first >= BigInt(this.#disk.sectors)) return STATUS.error;
    let sector = Number(first);
    for (let i = 0; i < count; i++) {
      const at = REQUEST.segments + i * SEGMENT.size;
      const from = request.getUint8(at + SEGMENT.first);
      const to = request.getUint8(at + SEGMENT.last);
      const sectors = to - from + 1;
      const fits = to < SECTORS_PER_PAGE && sectors > 0 && sector + sectors <= this.#disk.sectors;
      const reference = request.getUint32(at + SEGMENT.gref, true);
      const moved = fits && withGrant(this.#domain, reference, !write, (page) => {
        for (let n = 0; n < sectors; n++) {
          this.#move(page + (from + n) * SECTOR_SIZE as Gpa, sector + n, write);
        }
      });
      if (!moved) return STATUS.error;
      sector += sectors;
    }
    return STATUS.okay;
  }

  #move(address: Gpa, sector: number, write: boolean): void {
    const { memory } = this.#domain;
    if (write) this.#disk.writeSector(sector, memory.read(address, SECTOR_SIZE));
    else memory.write(address, this.#disk.readSector(sector));
  }

  #read(offset: number): number {
    return this.#domain.memory.readU32(XEN_BLOCK_RING + offset as Gpa);
  }
  #write(offset: number, value: number): void {
    this.#domain.memory.writeU32(XEN_BLOCK_RING + offset as Gpa, value);
  }
}
