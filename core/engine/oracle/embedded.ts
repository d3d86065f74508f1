// Runs trials on the embedded engine as bare hardware would run them, put into the mode by hand.
import { gpa } from "../../base/address.ts";
import { GENERAL_REGISTERS, type Segment, SEGMENT_REGISTERS } from "../../base/registers.ts";
import { nullSegment, parseDescriptor } from "../../cpu/descriptors.ts";
import { cpuid } from "../../cpu/cpuid.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { Bus, type Space } from "../../machine/bus.ts";
import type { AccessSize } from "../../machine/device.ts";
import { embedded } from "../embedded/engine.ts";
import type { Vcpu } from "../vcpu.ts";
import { AT, MEMORY, type Mode, msrsOf, SELECTOR, WATCHED } from "./machine.ts";
import { initialMemory } from "./memory_image.ts";
import { tableLimits } from "./setup.ts";
import type { End, Outcome, Trial } from "./trial.ts";

/** Instructions until a trial counts as endless. */
const PATIENCE = 4_000_000;

/** VMCALL ends a trial, at every level. */
const TREATMENTS = { ...treatments("bare"), vmcall: "vm-exit" } as const;

/** Nothing is attached; that device memory was reached is remembered. */
class NoDevices extends Bus {
  reached = false;
  override read(space: Space, address: number, size: AccessSize): number {
    this.reached ||= space === "memory";
    return super.read(space, address, size);
  }
  override write(space: Space, address: number, size: AccessSize, value: number): void {
    this.reached ||= space === "memory";
    super.write(space, address, size, value);
  }
}

export class EmbeddedCpu {
  readonly #bus = new NoDevices();
  readonly #vcpu: Vcpu = embedded.create({
    memory: MEMORY,
    controls: {
      kernel: TREATMENTS,
      user: TREATMENTS,
      exceptionVia: "fault",
      exceptions: 0,
      paging: "direct",
    },
    bus: this.#bus,
    timestamp: () => 0n,
    cpuid,
    count: () => {},
  });
  #family: string | undefined;
  #initial: Uint8Array = new Uint8Array();

  /** Runs a trial in grants of so many instructions: short ones make short regions. */
  run(trial: Trial, grant = PATIENCE): Outcome {
    const vcpu = this.#vcpu;
    const { mode } = trial;
    this.#enter(mode);
    for (const { address, bytes } of trial.patches ?? []) vcpu.memory.write(gpa(address), bytes);
    for (const name of ["cr4", "efer", "cr0"] as const) {
      if (trial.control) vcpu.set(name, trial.control[name]);
    }
    vcpu.flush();
    const start = AT.end - trial.code.length;
    vcpu.memory.write(gpa(start), trial.code);
    GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, trial.general[i] ?? 0n));
    vcpu.set("rip", BigInt(mode.bits === 16 ? start - AT.code : start));
    vcpu.set("rflags", trial.rflags);
    this.#bus.reached = false;
    const end = this.#run(grant);
    return {
      end: this.#bus.reached ? "elsewhere" : end,
      registers: this.#registers(),
      memory: WATCHED.map(({ address, length }) => vcpu.memory.read(gpa(address), length)),
    };
  }

  /** Did the last trial write where nothing is watched: to code, handlers, or unused memory? */
  damaged(): boolean {
    const words = (from: number, to: number) => {
      const bytes = this.#vcpu.memory.read(gpa(from), to - from);
      return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    };
    const image = new Int32Array(this.#initial.buffer);
    // The last page under `end` holds the code of trials.
    const lower = words(0, AT.gdt), scratch = (AT.end - 0x1000) / 4, end = AT.end / 4;
    for (let i = 0; i < lower.length; i++) {
      if (lower[i] !== image[i] && (i < scratch || i >= end)) return true;
    }
    return words(this.#initial.length, MEMORY).some((word) => word !== 0);
  }

  dispose(): void {
    this.#vcpu.dispose();
  }

  #run(grant: number): End {
    const vcpu = this.#vcpu;
    const before = vcpu.retired;
    for (let turns = 0; turns < PATIENCE && vcpu.retired - before < PATIENCE; turns++) {
      const stop = vcpu.run(grant);
      if (stop.reason === "budget") continue;
      if (stop.reason !== "exit") return "elsewhere";
      if (stop.exit.kind === "triple-fault") return "shutdown";
      return stop.exit.kind === "vmcall" ? endAt(Number(stop.exit.rip)) : "elsewhere";
    }
    return "endless";
  }

  #enter(mode: Mode): void {
    const vcpu = this.#vcpu;
    if (this.#family !== mode.family) {
      this.#family = mode.family;
      this.#initial = initialMemory(mode.family, true);
      vcpu.memory.write(gpa(0), this.#initial);
    }
    for (const { address, length } of WATCHED) {
      vcpu.memory.write(gpa(address), this.#initial.subarray(address, address + length));
    }
    const real = mode.family === "real";
    vcpu.set("cr0", mode.cr0);
    vcpu.set("cr2", 0n);
    vcpu.set("cr3", mode.cr3);
    vcpu.set("cr4", mode.cr4);
    vcpu.set("cr8", 0n);
    vcpu.set("efer", mode.efer);
    const limits = tableLimits(mode);
    vcpu.setDescriptorTable("gdtr", BigInt(AT.gdt), limits.gdt);
    vcpu.setDescriptorTable("idtr", BigInt(real ? AT.ivt : AT.idt), real ? 0x3ff : limits.idt);
    const segment = (selector: number, code: boolean) =>
      real ? realSegment(selector, code) : this.#descriptor(selector);
    vcpu.setSegment("cs", segment(mode.cs, true));
    vcpu.setSegment("ss", segment(mode.ss, false));
    for (const name of ["ds", "es"] as const) vcpu.setSegment(name, segment(mode.data, false));
    for (const name of ["fs", "gs"] as const) {
      vcpu.setSegment(name, mode.bits === 64 ? nullSegment(0) : segment(mode.data, false));
    }
    vcpu.setSegment("ldtr", this.#descriptor(SELECTOR.ldt));
    vcpu.setSegment("tr", this.#descriptor(SELECTOR.tss));
    for (const [msr, value] of msrsOf(mode)) vcpu.setMsr(msr, value);
    vcpu.flush();
  }

  #descriptor(selector: number): Segment {
    const view = new DataView(this.#initial.buffer, this.#initial.byteOffset);
    return parseDescriptor(selector, view.getBigUint64(AT.gdt + (selector & ~7), true));
  }

  #registers(): Record<string, string> {
    const vcpu = this.#vcpu;
    const registers: Record<string, string> = { cpl: vcpu.cpl.toString() };
    const put = (name: string, value: bigint | number) => registers[name] = value.toString(16);
    for (const name of GENERAL_REGISTERS) put(name, vcpu.get(name));
    for (const name of ["rip", "rflags", "cr0", "cr2", "cr3", "cr4", "efer"] as const) {
      put(name, vcpu.get(name));
    }
    for (const name of SEGMENT_REGISTERS) {
      const { selector, base, limit, attributes } = vcpu.segment(name);
      put(`${name}.selector`, selector);
      put(`${name}.base`, base);
      put(`${name}.limit`, limit);
      put(`${name}.attributes`, attributes);
    }
    const { gdtr, idtr } = vcpu.registers();
    put("gdtr.base", gdtr.base);
    put("gdtr.limit", gdtr.limit);
    put("idtr.base", idtr.base);
    put("idtr.limit", idtr.limit);
    return registers;
  }
}

function realSegment(selector: number, code: boolean): Segment {
  return {
    selector,
    base: BigInt(selector << 4),
    limit: 0xffff,
    attributes: code ? 0x9b : 0x93,
  };
}

/** What stands at a linear address where trials stop. */
export function endAt(linear: number): End {
  switch (linear) {
    case AT.end:
      return "end";
    case AT.target:
      return "target";
    case AT.handled:
    case AT.realHandled:
      return "handler";
    default:
      return "elsewhere";
  }
}
