// Event channels under the two-level ABI: ports, and their bits in the shared_info page. The guest reads and clears pending
// bits and sets mask bits by itself; only Xen sets pending ones (xen/include/public/event_channel.h).
import type { Gpa } from "../../base/address.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import {
  DOM0,
  ERRNO,
  EVENT_CHANNELS,
  EVENTS_PER_WORD,
  EVTCHNSTAT,
  NR_VIRQS,
  SHARED_INFO,
  VCPU_INFO,
} from "./abi.ts";
import { invalid, Refused } from "./refused.ts";

/** What a port is bound to. */
export type Channel =
  | { readonly to: "virq"; readonly virq: number }
  | { readonly to: "ipi" }
  /** Waits for another domain. There is none, so it waits for ever. */
  | { readonly to: "unbound"; readonly domain: number }
  /** A back end in dom0, which is the VMM here: told when the guest sends. */
  | { readonly to: "backend"; readonly notify: () => void };

/** The ports of one domain with one virtual CPU. */
export class EventChannels {
  readonly #channels = new Map<number, Channel>();
  readonly #memory: GuestMemory;
  readonly #sharedInfo: number;
  readonly #vcpuInfo: () => number;

  /** Guest-physical addresses of shared_info, and of where vcpu_info is now. */
  constructor(memory: GuestMemory, sharedInfo: number, vcpuInfo: () => number) {
    this.#memory = memory;
    this.#sharedInfo = sharedInfo;
    this.#vcpuInfo = vcpuInfo;
  }

  /** Binds the lowest free port, or a given free one. */
  bind(channel: Channel, at?: number): number {
    if (channel.to === "virq") {
      if (channel.virq >= NR_VIRQS) throw invalid();
      if (this.#portOf(channel.virq) !== undefined) throw new Refused(ERRNO.EEXIST);
    }
    let port = at ?? 1;
    while (at === undefined && port < EVENT_CHANNELS && this.#channels.has(port)) port++;
    if (port >= EVENT_CHANNELS || this.#channels.has(port)) throw new Refused(ERRNO.ENOSPC);
    this.#channels.set(port, channel);
    return port;
  }

  /** EVTCHNOP_close. */
  close(port: number): void {
    if (!this.#channels.delete(port)) throw invalid();
    this.#clear(this.#pendingWord(port), port);
  }

  /** EVTCHNOP_reset. */
  closeAll(): void {
    for (const port of [...this.#channels.keys()]) this.close(port);
  }

  /** EVTCHNSTAT of a port, and what it is bound to. */
  status(port: number): { status: number; channel?: Channel } {
    if (port >= EVENT_CHANNELS) throw invalid();
    const channel = this.#channels.get(port);
    switch (channel?.to) {
      case undefined:
        return { status: EVTCHNSTAT.closed };
      case "virq":
        return { status: EVTCHNSTAT.virq, channel };
      case "ipi":
        return { status: EVTCHNSTAT.ipi, channel };
      case "unbound":
        return { status: EVTCHNSTAT.unbound, channel };
      case "backend":
        return { status: EVTCHNSTAT.interdomain, channel };
    }
  }

  /** EVTCHNOP_send: the guest notifies whoever is at the other end. */
  send(port: number): void {
    const channel = this.#channels.get(port);
    switch (channel?.to) {
      case undefined:
      case "virq":
        throw invalid();
      case "ipi":
        this.raise(port);
        return;
      case "unbound":
        return;
      case "backend":
        channel.notify();
    }
  }

  /** Makes a port pending; an upcall follows unless the port is masked. */
  raise(port: number): void {
    if (!this.#channels.has(port)) return;
    if (this.#set(this.#pendingWord(port), port)) return;
    if (!this.#test(this.#maskWord(port), port)) this.#select(port);
  }

  /** A virtual interrupt; lost when nobody bound it. */
  raiseVirq(virq: number): void {
    const port = this.#portOf(virq);
    if (port !== undefined) this.raise(port);
  }

  /** EVTCHNOP_unmask. */
  unmask(port: number): void {
    if (port >= EVENT_CHANNELS || !this.#channels.has(port)) throw invalid();
    this.#clear(this.#maskWord(port), port);
    if (this.#test(this.#pendingWord(port), port)) this.#select(port);
  }

  /** Is its pending bit set, masked or not? */
  isPending(port: number): boolean {
    return port < EVENT_CHANNELS && this.#test(this.#pendingWord(port), port);
  }

  /** The vcpu_info has moved: nothing that came before may be lost, so everything counts as pending. */
  selectAll(): void {
    this.#memory.writeU64(this.#at(VCPU_INFO.evtchn_pending_sel), (1n << 64n) - 1n);
    this.#writeByte(VCPU_INFO.evtchn_upcall_pending, 1);
  }

  /** Is an upcall due: pending and not held back? */
  get upcallDue(): boolean {
    const flags = this.#flags();
    return (flags & 0xff) !== 0 && flags >> 8 === 0;
  }

  /** evtchn_upcall_mask: the virtual interrupt flag, inverted. */
  get masked(): boolean {
    return this.#flags() >> 8 !== 0;
  }

  /** Holds upcalls back, or lets them in. */
  set masked(masked: boolean) {
    this.#writeByte(VCPU_INFO.evtchn_upcall_mask, masked ? 1 : 0);
  }

  /** The lowest port that is pending and unmasked; 0 if the upcall is for none. */
  lowestPending(): number {
    for (let word = 0; word < EVENT_CHANNELS / EVENTS_PER_WORD; word++) {
      const port = word * EVENTS_PER_WORD;
      const pending = this.#memory.readU64(this.#pendingWord(port)) &
        ~this.#memory.readU64(this.#maskWord(port));
      for (let bit = 0; pending !== 0n && bit < EVENTS_PER_WORD; bit++) {
        if ((pending >> BigInt(bit) & 1n) !== 0n) return port + bit;
      }
    }
    return 0;
  }

  #portOf(virq: number): number | undefined {
    for (const [port, channel] of this.#channels) {
      if (channel.to === "virq" && channel.virq === virq) return port;
    }
    return undefined;
  }

  /** Selects the port's word and asks for an upcall. */
  #select(port: number): void {
    const word = Math.floor(port / EVENTS_PER_WORD);
    this.#set(this.#at(VCPU_INFO.evtchn_pending_sel), word);
    this.#writeByte(VCPU_INFO.evtchn_upcall_pending, 1);
  }

  #at(offset: number): Gpa {
    return this.#vcpuInfo() + offset as Gpa;
  }
  #pendingWord(port: number): Gpa {
    return this.#word(SHARED_INFO.evtchn_pending, port);
  }
  #maskWord(port: number): Gpa {
    return this.#word(SHARED_INFO.evtchn_mask, port);
  }
  #word(table: number, port: number): Gpa {
    return this.#sharedInfo + table + 8 * Math.floor(port / EVENTS_PER_WORD) as Gpa;
  }

  #test(word: Gpa, bit: number): boolean {
    return (this.#memory.readU64(word) >> BigInt(bit % EVENTS_PER_WORD) & 1n) !== 0n;
  }
  /** Sets a bit and tells what it was. */
  #set(word: Gpa, bit: number): boolean {
    const was = this.#test(word, bit);
    const mask = 1n << BigInt(bit % EVENTS_PER_WORD);
    if (!was) this.#memory.writeU64(word, this.#memory.readU64(word) | mask);
    return was;
  }
  #clear(word: Gpa, bit: number): void {
    const mask = 1n << BigInt(bit % EVENTS_PER_WORD);
    this.#memory.writeU64(word, this.#memory.readU64(word) & ~mask);
  }
  /** Both flags, in one read as it is done before every entry: pending below, mask above. */
  #flags(): number {
    return this.#memory.readU16(this.#at(VCPU_INFO.evtchn_upcall_pending));
  }
  #writeByte(offset: number, value: number): void {
    this.#memory.write(this.#at(offset), Uint8Array.of(value));
  }
}

/** The domain at the other end, as EVTCHNOP_status tells it. */
export function remoteDomain(channel: Channel): number {
  return channel.to === "unbound" ? channel.domain : DOM0;
}
