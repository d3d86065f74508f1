// The registers of a virtual CPU, in the page that it shares with KVM: KVM writes them there at every exit, and takes what has
// been changed at the next entry (KVM_CAP_SYNC_REGS), so that none costs a system call. Events, which few exits have to do
// with, are there for those who look at them.
import {
  GENERAL_REGISTERS,
  type GeneralRegister,
  type RegisterName,
  type Registers,
  type Segment,
  SEGMENT_REGISTERS,
  type SegmentName,
  SPECIAL_REGISTERS,
  type SpecialRegister,
} from "../../base/registers.ts";
import { KVM_SYNC_X86, STRUCT } from "./abi.ts";

const RUN = STRUCT.kvm_run.fields;
const SYNC = STRUCT.kvm_sync_regs.fields;
const SEGMENT = STRUCT.kvm_segment.fields;
const SREGS = STRUCT.kvm_sregs.fields;
const EVENTS = STRUCT.kvm_vcpu_events.fields;

/** Offsets into the shared page. */
export const REGS_AT = RUN["s.regs"] + SYNC.regs;
export const SREGS_AT = RUN["s.regs"] + SYNC.sregs;
export const EVENTS_AT = RUN["s.regs"] + SYNC.events;

const REGISTER_AT: Readonly<Record<RegisterName, number>> = {
  ...fromEntries(
    [...GENERAL_REGISTERS, "rip", "rflags"] as const,
    (name) => REGS_AT + STRUCT.kvm_regs.fields[name],
  ),
  ...fromEntries(
    ["cr0", "cr2", "cr3", "cr4", "cr8", "efer"] as const,
    (name) => SREGS_AT + SREGS[name],
  ),
};
const SEGMENT_AT: Readonly<Record<SegmentName, number>> = fromEntries(
  SEGMENT_REGISTERS,
  (name) => SREGS_AT + SREGS[name === "ldtr" ? "ldt" : name],
);

/** What KVM shows at every exit, and what when events are looked at. */
const SHOWN = KVM_SYNC_X86.REGS | KVM_SYNC_X86.SREGS;
const SHOWN_WITH_EVENTS = SHOWN | KVM_SYNC_X86.EVENTS;

function fromEntries<K extends string, V>(keys: readonly K[], of: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<K, V>;
}

/**
 * Entries for which KVM goes on to show events when somebody has looked at them. A system call for them costs about as much
 * as showing them so often (PVM; on hardware less).
 */
const EVENTS_SHOWN = 32;

/** A word of the page, by the offset of its first byte. */
const word = (offset: number) => offset / Uint32Array.BYTES_PER_ELEMENT;
const RIP_WORD = word(REGISTER_AT.rip);
/** What says which instruction is next and where it is: of CS, the base, and the byte of L with its neighbours. */
const PLACE_WORDS = [
  RIP_WORD,
  RIP_WORD + 1,
  word(SEGMENT_AT.cs + SEGMENT.base),
  word(SEGMENT_AT.cs + SEGMENT.base) + 1,
  word(SEGMENT_AT.cs + SEGMENT.dpl),
  word(REGISTER_AT.cr0),
  word(REGISTER_AT.cr3),
  word(REGISTER_AT.cr3) + 1,
  word(REGISTER_AT.cr4),
  word(REGISTER_AT.efer),
];

/** A view of them. */
export class SharedRegisters {
  /** Bits of `KVM_SYNC_X86`: what KVM is to take at the next entry. */
  dirty = 0;
  readonly #words: Uint32Array;
  readonly #fetchEvents: () => void;
  #shown = 0;
  #eventsShown = 0;
  /** Are the events in the page those of now? */
  #eventsAreHere = false;

  /** `fetchEvents` has KVM write them into the page. */
  constructor(readonly page: DataView, fetchEvents: () => void = () => {}) {
    this.#words = new Uint32Array(page.buffer, page.byteOffset, word(page.byteLength));
    this.#fetchEvents = fetchEvents;
  }

  /** To be called before each KVM_RUN: what KVM is to take, and to show afterwards. */
  handOver(): void {
    const { page } = this;
    if (this.dirty !== 0) page.setUint32(RUN.kvm_dirty_regs, this.dirty, true);
    this.dirty = 0;
    this.#eventsAreHere = this.#eventsShown > 0;
    if (this.#eventsShown > 0) this.#eventsShown--;
    const shown = this.#eventsAreHere ? SHOWN_WITH_EVENTS : SHOWN;
    if (shown !== this.#shown) page.setUint32(RUN.kvm_valid_regs, this.#shown = shown, true);
  }

  /** The low half of RIP. */
  get ripWord(): number {
    return this.#words[RIP_WORD] ?? 0;
  }

  /** Where the guest is, and how it gets from there to memory, to be compared with. */
  place(): readonly number[] {
    return PLACE_WORDS.map((at) => this.#words[at] ?? 0);
  }

  isAt(place: readonly number[]): boolean {
    const words = this.#words;
    for (let n = 0; n < PLACE_WORDS.length; n++) {
      if (words[PLACE_WORDS[n] ?? 0] !== place[n]) return false;
    }
    return true;
  }

  get(name: RegisterName): bigint {
    return this.page.getBigUint64(REGISTER_AT[name], true);
  }

  set(name: RegisterName, value: bigint): void {
    const at = REGISTER_AT[name];
    this.page.setBigUint64(at, BigInt.asUintN(64, value), true);
    this.dirty |= at < SREGS_AT ? KVM_SYNC_X86.REGS : KVM_SYNC_X86.SREGS;
  }

  /** IA32_APIC_BASE. */
  get apicBase(): bigint {
    return this.page.getBigUint64(SREGS_AT + SREGS.apic_base, true);
  }
  set apicBase(value: bigint) {
    this.page.setBigUint64(SREGS_AT + SREGS.apic_base, value, true);
    this.dirty |= KVM_SYNC_X86.SREGS;
  }

  segment(name: SegmentName): Segment {
    const { page } = this;
    const at = SEGMENT_AT[name];
    const bits = (field: number, shift: number) => page.getUint8(at + field) << shift;
    return {
      selector: page.getUint16(at + SEGMENT.selector, true),
      base: page.getBigUint64(at + SEGMENT.base, true),
      limit: page.getUint32(at + SEGMENT.limit, true),
      attributes: bits(SEGMENT.type, 0) | bits(SEGMENT.s, 4) | bits(SEGMENT.dpl, 5) |
        bits(SEGMENT.present, 7) | bits(SEGMENT.avl, 12) | bits(SEGMENT.l, 13) |
        bits(SEGMENT.db, 14) | bits(SEGMENT.g, 15),
    };
  }

  setSegment(name: SegmentName, { selector, base, limit, attributes }: Segment): void {
    const { page } = this;
    const at = SEGMENT_AT[name];
    const bits = (field: number, shift: number, mask = 1) =>
      page.setUint8(at + field, attributes >> shift & mask);
    page.setUint16(at + SEGMENT.selector, selector, true);
    page.setBigUint64(at + SEGMENT.base, base, true);
    page.setUint32(at + SEGMENT.limit, limit, true);
    bits(SEGMENT.type, 0, 15);
    bits(SEGMENT.s, 4);
    bits(SEGMENT.dpl, 5, 3);
    bits(SEGMENT.present, 7);
    bits(SEGMENT.avl, 12);
    bits(SEGMENT.l, 13);
    bits(SEGMENT.db, 14);
    bits(SEGMENT.g, 15);
    page.setUint8(at + SEGMENT.unusable, attributes & 0x80 ? 0 : 1);
    this.dirty |= KVM_SYNC_X86.SREGS;
  }

  /** Of the next instruction. */
  get linearRip(): bigint {
    return this.linear(this.get("rip"));
  }

  /** Of an address in the code segment. */
  linear(rip: bigint): bigint {
    const base = this.page.getBigUint64(SEGMENT_AT.cs + SEGMENT.base, true);
    return base === 0n ? rip : BigInt.asUintN(64, base + rip);
  }

  /** Of SS: the current privilege level, where there are any. */
  get cpl(): number {
    return this.page.getUint8(SEGMENT_AT.ss + SEGMENT.dpl);
  }

  /** CS.L and CS.D, as bits of a bitness; outside long mode L means nothing, nor does D in real mode. */
  get bitness(): 16 | 32 | 64 {
    const { page } = this;
    const long = page.getUint8(SREGS_AT + SREGS.efer + 1) & 4;
    if (long && page.getUint8(SEGMENT_AT.cs + SEGMENT.l)) return 64;
    return page.getUint8(SEGMENT_AT.cs + SEGMENT.db) ? 32 : 16;
  }

  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    const at = SREGS_AT + SREGS[name === "gdtr" ? "gdt" : "idt"];
    this.page.setBigUint64(at + STRUCT.kvm_dtable.fields.base, base, true);
    this.page.setUint16(at + STRUCT.kvm_dtable.fields.limit, limit, true);
    this.dirty |= KVM_SYNC_X86.SREGS;
  }

  /** IA32_APIC_BASE as KVM has it. Its APIC is the board's, but CPUID's bit for that goes by it. */
  setApicBase(value: bigint): void {
    this.page.setBigUint64(SREGS_AT + SREGS.apic_base, value, true);
    this.dirty |= KVM_SYNC_X86.SREGS;
  }

  #descriptorTable(at: number): { base: bigint; limit: number } {
    return {
      base: this.page.getBigUint64(SREGS_AT + at + STRUCT.kvm_dtable.fields.base, true),
      limit: this.page.getUint16(SREGS_AT + at + STRUCT.kvm_dtable.fields.limit, true),
    };
  }

  /** A field of the event state, in a byte of its own. */
  event(field: keyof typeof EVENTS): number {
    this.#needEvents();
    return this.page.getUint8(EVENTS_AT + EVENTS[field]);
  }

  setEvent(field: keyof typeof EVENTS, value: number): void {
    this.#needEvents();
    this.page.setUint8(EVENTS_AT + EVENTS[field], value);
    this.dirty |= KVM_SYNC_X86.EVENTS;
  }

  setErrorCode(code: number): void {
    this.#needEvents();
    this.page.setUint32(EVENTS_AT + EVENTS["exception.error_code"], code, true);
  }

  /** KVM is to take this too of what is there (`KVM_VCPUEVENT_VALID`). */
  addEventFlag(flag: number): void {
    this.#needEvents();
    const at = EVENTS_AT + EVENTS.flags;
    this.page.setUint32(at, this.page.getUint32(at, true) | flag, true);
  }

  #needEvents(): void {
    this.#eventsShown = EVENTS_SHOWN;
    if (this.#eventsAreHere) return;
    this.#fetchEvents();
    this.#eventsAreHere = true;
  }

  all(): Registers {
    return {
      general: fromEntries<GeneralRegister, bigint>(GENERAL_REGISTERS, (name) => this.get(name)),
      special: fromEntries<SpecialRegister, bigint>(SPECIAL_REGISTERS, (name) => this.get(name)),
      segments: fromEntries<SegmentName, Segment>(SEGMENT_REGISTERS, (name) => this.segment(name)),
      gdtr: this.#descriptorTable(SREGS.gdt),
      idtr: this.#descriptorTable(SREGS.idt),
    };
  }
}
