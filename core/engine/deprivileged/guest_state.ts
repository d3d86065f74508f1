// The registers of a deprivileged guest. While the CPU is in the shim, those that the way there has changed are kept here; the
// ones that only the VMM and the shim have a use for are kept here always.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import {
  type DescriptorTable,
  EFER,
  type RegisterName,
  type Registers,
  type Segment,
  type SegmentName,
} from "../../base/registers.ts";
import { parseDescriptor, TABLE_INDICATOR } from "../../cpu/descriptors.ts";
import { ATTRIBUTE } from "../../cpu/state.ts";
import { walkTables } from "../../cpu/walk.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import type { Vcpu } from "../vcpu.ts";

/** What an exception changes, and so the CPU pushes; and what SYSCALL does. */
export interface Interrupted {
  rip: bigint;
  rflags: bigint;
  rsp: bigint;
  cs: Segment;
  ss: Segment;
}
const INTERRUPTED = ["rip", "rflags", "rsp"] as const;

const NULL_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };
/** Longest instruction, in bytes. */
const MAX_INSTRUCTION = 15;
const PAGE = BigInt(PAGE_SIZE);
const SCE = BigInt(EFER.SCE);

/** The guest's view of `machine`, whose memory it has as far as `memory` goes. */
export class GuestState {
  /** The guest's registers where the CPU has others, in the shim. */
  interrupted: Interrupted | undefined;
  /** What it was entered with. */
  running: Pick<Interrupted, "cs" | "ss"> = { cs: NULL_SEGMENT, ss: NULL_SEGMENT };
  /** Is SYSCALL switched off, whatever the guest's EFER says? */
  readonly #refusesSyscall: boolean;
  /** CR2 is the VMM's: an exception that comes to it is no business of the guest's. */
  readonly #own = { cr2: 0n, cr3: 0n };
  #efer: bigint | undefined;
  #idtr: DescriptorTable = { base: 0n, limit: 0xffff };
  #tr = NULL_SEGMENT;
  #gdtr: DescriptorTable = { base: 0n, limit: 0xffff };

  constructor(readonly machine: Vcpu, readonly memory: GuestMemory, refusesSyscall: boolean) {
    this.#refusesSyscall = refusesSyscall;
  }

  get cr3(): bigint {
    return this.#own.cr3;
  }
  get gdtr(): DescriptorTable {
    return this.#gdtr;
  }

  get(name: RegisterName): bigint {
    if (isOwn(name)) return this.#own[name];
    if (name === "efer") return this.#efer ?? this.machine.get(name);
    const { interrupted } = this;
    if (!interrupted || !isInterrupted(name)) return this.machine.get(name);
    return interrupted[name];
  }

  set(name: RegisterName, value: bigint): void {
    if (isOwn(name)) this.#own[name] = value;
    else if (name === "efer") {
      this.#efer = value;
      this.machine.set(name, this.#refusesSyscall ? value & ~SCE : value);
    } else if (this.interrupted && isInterrupted(name)) {
      this.interrupted[name] = BigInt.asUintN(64, value);
    } else this.machine.set(name, value);
  }

  segment(name: SegmentName): Segment {
    if (name === "tr") return this.#tr;
    const { interrupted } = this;
    return interrupted && (name === "cs" || name === "ss")
      ? interrupted[name]
      : this.machine.segment(name);
  }

  setSegment(name: SegmentName, segment: Segment): void {
    const { interrupted } = this;
    if (name === "tr") this.#tr = segment;
    else if (interrupted && (name === "cs" || name === "ss")) interrupted[name] = segment;
    else this.machine.setSegment(name, segment);
  }

  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void {
    const table = { base: BigInt.asUintN(64, base), limit };
    if (name === "gdtr") this.#gdtr = table;
    else this.#idtr = table;
  }

  registers(): Registers {
    const all = this.machine.registers();
    const { cs, ss, rsp, rip, rflags } = this.interrupted ?? {
      cs: all.segments.cs,
      ss: all.segments.ss,
      ...all.special,
      rsp: all.general.rsp,
    };
    return {
      general: { ...all.general, rsp },
      special: { ...all.special, rip, rflags, ...this.#own, efer: this.get("efer") },
      segments: { ...all.segments, cs, ss, tr: this.#tr },
      gdtr: this.#gdtr,
      idtr: this.#idtr,
    };
  }

  get bitness(): 16 | 32 | 64 {
    const { attributes } = this.segment("cs");
    if (attributes & ATTRIBUTE.L) return 64;
    return attributes & ATTRIBUTE.DB ? 32 : 16;
  }

  /** Linear address of the next instruction. */
  get linearRip(): bigint {
    return this.linear(this.get("rip"));
  }

  /** Of an address in the code segment. */
  linear(rip: bigint): bigint {
    if (this.bitness === 64) return rip;
    return BigInt.asUintN(32, this.segment("cs").base + rip);
  }

  /** By the guest's own tables. */
  translate(linear: bigint): number | undefined {
    const [cr0, cr4, efer] = [this.get("cr0"), this.get("cr4"), this.get("efer")];
    const { memory } = this;
    // What isn't RAM reads as zeros, as no table does.
    const read = (gpa: number, size: 4 | 8): bigint =>
      gpa + size > memory.size
        ? 0n
        : size === 8
        ? memory.readU64(gpa as Gpa)
        : BigInt(memory.readU32(gpa as Gpa));
    const walk = walkTables(cr0, this.#own.cr3, cr4, efer, read, linear);
    return walk.mapped ? walk.gpa : undefined;
  }

  /** At most `length` bytes at a linear address, fewer where the next page is not mapped to RAM. */
  read(linear: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const size = Math.min(length - done, Number(PAGE - at % PAGE));
      const gpa = this.translate(at);
      if (gpa === undefined || gpa + size > this.memory.size) break;
      bytes.set(this.memory.read(gpa as Gpa, size), done);
      done += size;
    }
    return bytes.subarray(0, done);
  }

  instructionBytes(): Uint8Array {
    return this.read(this.linearRip, MAX_INSTRUCTION);
  }

  /**
   * What a selector that the guest has loaded stands for: `known` where it is the same one, else what the tables have. A table that
   * has changed since then can't be told.
   */
  loaded(selector: number, known: Segment): Segment {
    if (selector === known.selector) return known;
    const inLdt = (selector & TABLE_INDICATOR) !== 0;
    const { base } = inLdt ? this.segment("ldtr") : this.#gdtr;
    const bytes = this.read(base + BigInt(selector & 0xfff8), 8);
    if (bytes.length < 8) return { ...known, selector };
    return parseDescriptor(selector, new DataView(bytes.slice().buffer).getBigUint64(0, true));
  }
}

function isOwn(name: RegisterName): name is "cr2" | "cr3" {
  return name === "cr2" || name === "cr3";
}

function isInterrupted(name: RegisterName): name is typeof INTERRUPTED[number] {
  return name === "rip" || name === "rflags" || name === "rsp";
}
