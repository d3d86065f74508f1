// The registers of a virtual CPU, in the page that it shares with KVM: KVM writes them there at every exit, and takes what has
// been changed at the next entry (KVM_CAP_SYNC_REGS), so that none costs a system call.
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

function fromEntries<K extends string, V>(keys: readonly K[], of: (key: K) => V): Record<K, V> {
  return Object.fromEntries(keys.map((key) => [key, of(key)])) as Record<K, V>;
}

/** A view of them. */
export class SharedRegisters {
  /** Bits of `KVM_SYNC_X86`: what KVM is to take at the next entry. */
  dirty = 0;

  constructor(readonly page: DataView) {}

  get(name: RegisterName): bigint {
    return this.page.getBigUint64(REGISTER_AT[name], true);
  }

  set(name: RegisterName, value: bigint): void {
    const at = REGISTER_AT[name];
    this.page.setBigUint64(at, BigInt.asUintN(64, value), true);
    this.dirty |= at < SREGS_AT ? KVM_SYNC_X86.REGS : KVM_SYNC_X86.SREGS;
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
    const base = this.page.getBigUint64(SEGMENT_AT.cs + SEGMENT.base, true);
    const rip = this.get("rip");
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

  #descriptorTable(at: number): { base: bigint; limit: number } {
    return {
      base: this.page.getBigUint64(SREGS_AT + at + STRUCT.kvm_dtable.fields.base, true),
      limit: this.page.getUint16(SREGS_AT + at + STRUCT.kvm_dtable.fields.limit, true),
    };
  }

  /** A field of the event state. */
  event(field: keyof typeof EVENTS): number {
    return this.page.getUint8(EVENTS_AT + EVENTS[field]);
  }

  setEvent(field: keyof typeof EVENTS, value: number): void {
    this.page.setUint8(EVENTS_AT + EVENTS[field], value);
    this.dirty |= KVM_SYNC_X86.EVENTS;
  }

  setErrorCode(code: number): void {
    this.page.setUint32(EVENTS_AT + EVENTS["exception.error_code"], code, true);
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
