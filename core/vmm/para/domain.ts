// One PV domain with its one virtual CPU: what Xen keeps of it. Hypercalls and trap delivery work on this.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import type { Alarm } from "../../base/clock.ts";
import type { Vcpu } from "../../engine/vcpu.ts";
import {
  XEN_BLOCK_RING,
  XEN_CONSOLE_RING,
  XEN_GRANT_TABLE,
  XEN_SHARED_INFO,
} from "../../guest/layout.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import type { Setup } from "../monitor.ts";
import { FLAT, VIRQ } from "./abi.ts";
import type { BuiltDomain } from "./domain_builder.ts";
import { EventChannels } from "./event_channels.ts";
import { GuestPointers } from "./guest_pointer.ts";
import { checkDescriptorPage, loadGuestGdt } from "./descriptors.ts";
import { MSR } from "./msrs.ts";
import { FRAME_TYPE, PageTypes } from "./page_types.ts";
import { PvClock } from "./pv_clock.ts";
import { Timers } from "./timers.ts";

/** A handler that the guest registered for a vector. */
export interface TrapHandler {
  readonly address: bigint;
  readonly cs: number;
  /** INT n from this privilege level or a numerically lower one may use it. */
  readonly dpl: number;
  readonly maskEvents: boolean;
}

/** An entry point of the guest's kernel that isn't for a vector. */
export interface Callback {
  readonly address: bigint;
  readonly maskEvents: boolean;
}

const SHARED_PAGES = [XEN_SHARED_INFO, XEN_CONSOLE_RING, XEN_GRANT_TABLE, XEN_BLOCK_RING];

/** A SCHEDOP_poll that has not returned. */
interface Poll {
  readonly ports: readonly number[];
  expired: boolean;
  alarm?: Alarm;
}

/** The domain: its CPU and memory, what it has registered, and which of its modes is running. */
export class Domain {
  /** Where it prints, keeps its disks and records. */
  readonly setup: Setup;
  readonly vcpu: Vcpu;
  readonly memory: GuestMemory;
  readonly built: BuiltDomain;
  readonly types: PageTypes;
  readonly events: EventChannels;
  readonly pointers: GuestPointers;
  readonly timers: Timers;
  readonly clock: PvClock;
  /** By vector. */
  readonly traps = new Map<number, TrapHandler>();
  readonly callbacks: {
    event?: Callback;
    failsafe?: Callback;
    syscall?: Callback;
    nmi?: Callback;
  } = {};
  /** Is the guest's kernel running, or a process of it? The hardware can't tell: both are at CPL 3. */
  kernelMode = true;
  /** Top-level tables of the kernel and of user mode; none until the guest gives one. */
  kernelTable: number;
  userTable: number | undefined;
  /** Stack on entry from user mode. */
  kernelStack: { ss: number; rsp: bigint } = { ss: FLAT.ss, rsp: 0n };
  /** Where vcpu_info is: in shared_info until the guest registers another place. */
  vcpuInfo = XEN_SHARED_INFO;
  /** A guest may move it only once. */
  vcpuInfoMoved = false;
  /** Stores to level-1 tables are emulated and validated, instead of faulting (vm_assist). */
  writablePageTables = false;
  /** Frames of the guest's own part of the GDT. */
  gdtFrames: readonly number[] = [];
  #poll: Poll | undefined;

  constructor(setup: Setup, vcpu: Vcpu, built: BuiltDomain) {
    this.setup = setup;
    this.vcpu = vcpu;
    this.memory = vcpu.memory;
    this.built = built;
    this.kernelTable = built.topTable;
    this.types = new PageTypes(this.memory, {
      flush: () => vcpu.flush(),
      adoptTopLevel: (table) => this.#adopt(table),
      checkDescriptors: (frame) => checkDescriptorPage(this.memory, frame),
    });
    this.pointers = new GuestPointers(this.memory, () => this.table);
    this.events = new EventChannels(this.memory, XEN_SHARED_INFO, () => this.vcpuInfo);
    this.timers = new Timers(setup.clock, () => this.events.raiseVirq(VIRQ.TIMER));
    this.clock = new PvClock(this.memory);
    for (const frame of built.xenFrames) this.types.reserve(frame);
    this.types.pin(built.topTable / PAGE_SIZE, FRAME_TYPE.l4);
    // One use more, as what CR3 holds.
    this.types.get(built.topTable / PAGE_SIZE, FRAME_TYPE.l4);
    // What Xen itself writes to must never become a page table.
    for (const shared of SHARED_PAGES) this.types.get(shared / PAGE_SIZE, FRAME_TYPE.writable);
  }

  /** The top-level table in use. */
  get table(): number {
    return this.kernelMode ? this.kernelTable : this.userTable ?? this.kernelTable;
  }

  /** Uses another top-level table in kernel mode, from now on. */
  setKernelTable(frame: number): void {
    const old = this.kernelTable / PAGE_SIZE;
    this.types.get(frame, FRAME_TYPE.l4);
    this.kernelTable = frame * PAGE_SIZE;
    this.vcpu.set("cr3", BigInt(this.table));
    this.types.put(old);
  }

  /** Uses another top-level table in user mode, from its next entry on. */
  setUserTable(frame: number | undefined): void {
    const old = this.userTable;
    if (frame !== undefined) this.types.get(frame, FRAME_TYPE.l4);
    this.userTable = frame === undefined ? undefined : frame * PAGE_SIZE;
    if (old !== undefined) this.types.put(old / PAGE_SIZE);
  }

  /** Begins to wait for ports (SCHEDOP_poll), until a time (0: for ever). */
  startPoll(ports: readonly number[], timeout: bigint): void {
    this.endPoll();
    const poll: Poll = { ports, expired: timeout !== 0n && timeout <= BigInt(this.timers.now) };
    if (timeout !== 0n && !poll.expired) {
      const at = Math.min(Number(timeout), Number.MAX_SAFE_INTEGER);
      poll.alarm = this.setup.clock.setAlarm(at, () => poll.expired = true);
    }
    this.#poll = poll;
  }

  /** The poll, if there was one, has returned. */
  endPoll(): void {
    this.#poll?.alarm?.cancel();
    this.#poll = undefined;
  }

  /** Is there a reason for the guest to stop waiting? */
  wakeable(): boolean {
    const poll = this.#poll;
    return this.events.upcallDue ||
      (poll !== undefined &&
        (poll.expired || poll.ports.some((port) => this.events.isPending(port))));
  }

  /** Goes from kernel to user mode or back: tables and GS change. The caller has made sure that there is a user table. */
  toggleMode(): void {
    const { vcpu } = this;
    this.kernelMode = !this.kernelMode;
    const active = vcpu.getMsr(MSR.GS_BASE) ?? 0n;
    vcpu.setMsr(MSR.GS_BASE, vcpu.getMsr(MSR.KERNEL_GS_BASE) ?? 0n);
    vcpu.setMsr(MSR.KERNEL_GS_BASE, active);
    vcpu.set("cr3", BigInt(this.table));
  }

  /** Replaces the guest's part of the GDT; the frames are validated descriptor pages. */
  setGdt(frames: readonly number[]): void {
    const old = this.gdtFrames;
    this.gdtFrames = frames;
    loadGuestGdt(this.memory, this.built.gdtTable, frames, this.built.noDescriptors);
    this.vcpu.flush();
    for (const frame of old) this.types.put(frame);
  }

  /** Every top-level table leads to Xen's own area, whatever the guest does. */
  #adopt(table: number): void {
    for (const { slot, entry } of this.built.xenEntries) {
      this.memory.writeU64(table + 8 * slot as Gpa, entry);
    }
  }
}
