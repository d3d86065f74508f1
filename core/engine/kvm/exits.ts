// Why KVM came back, as exits of the contract, and how the VMM's answers get to KVM.
import { MSR } from "../../cpu/msr.ts";
import type { Exit, ExitKind } from "../../trace/exit.ts";
import type { Event, Stop } from "../vcpu.ts";
import { KVM_EXIT, KVM_EXIT_IO_OUT, KVM_MSR_EXIT_REASON, STRUCT } from "./abi.ts";
import { failureOf, shutdownLack } from "./failures.ts";
import { type Open, SettledCpu } from "./settled_cpu.ts";
import type { Place } from "./sites.ts";

const RUN = STRUCT.kvm_run.fields;
export const BUDGET: Stop = { reason: "budget" };
/** Bytes of VMCALL and VMMCALL, and of RDMSR and WRMSR. */
const HYPERCALL_LENGTH = 3, MSR_LENGTH = 2;
const HLT_BYTES = Uint8Array.of(0xf4);
/** The one fault that an MSR access ends with. */
export const GENERAL_PROTECTION: Event = { type: "exception", vector: 13, errorCode: 0 };

export class ExitingCpu extends SettledCpu {
  /** What KVM_RUN came back with. */
  protected stop(): Stop {
    const page = this.page;
    const reason = page.getUint32(RUN.exit_reason, true);
    switch (reason) {
      case KVM_EXIT.IO:
        return this.#port();
      case KVM_EXIT.MMIO:
        return this.#deviceMemory();
      case KVM_EXIT.HLT:
        return this.#hlt();
      case KVM_EXIT.XEN:
        return this.#hypercall();
      case KVM_EXIT.X86_RDMSR:
      case KVM_EXIT.X86_WRMSR:
        return this.#msr(reason === KVM_EXIT.X86_WRMSR);
      case KVM_EXIT.IRQ_WINDOW_OPEN:
        return this.exit("interrupt-window", {});
      case KVM_EXIT.SHUTDOWN:
        return this.#shutdown();
      case KVM_EXIT.INTR:
      case KVM_EXIT.SET_TPR:
        return BUDGET;
      default:
        throw failureOf(reason, this.page, this.file, this.code, this.machine.system.pvm);
    }
  }

  protected exit<K extends ExitKind>(
    kind: K,
    detail: Extract<Exit, { kind: K }>["detail"],
    { linear: rip, bytes, bitness }: Place = this.sites.here(),
  ): Stop {
    const exit = { kind, via: "vm-exit", rip, bytes, bitness, detail };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  /** The VMM has an exit: RIP is shown at its instruction. */
  #hand(kind: Open["kind"], place: Place, elements = 0): Open {
    if (place.past > 0) this.showRip(place.rip);
    return this.handed = { kind, place, elements, element: 0 };
  }

  #port(): Stop {
    const page = this.page;
    const out = page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    const size = page.getUint8(RUN["io.size"]);
    const port = page.getUint16(RUN["io.port"], true);
    const place = this.sites.port(port, size, out);
    return this.element(this.#hand("io", place, page.getUint32(RUN["io.count"], true)));
  }

  protected element({ element, place }: Open): Stop {
    const page = this.page;
    const out = page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    const size = page.getUint8(RUN["io.size"]);
    const port = page.getUint16(RUN["io.port"], true);
    const at = this.#dataAt(element, size);
    const value = !out
      ? 0
      : size === 1
      ? page.getUint8(at)
      : size === 2
      ? page.getUint16(at, true)
      : page.getUint32(at, true);
    const direction = out ? "out" : "in";
    const detail = { port, direction, size, value } as const;
    return this.exit("io", place.string ? { ...detail, string: true } : detail, place);
  }

  #dataAt(element: number, size: number): number {
    return this.page.getUint32(RUN["io.data_offset"], true) + element * size;
  }

  #deviceMemory(): Stop {
    const page = this.page;
    const gpa = Number(page.getBigUint64(RUN["mmio.phys_addr"], true));
    const size = page.getUint32(RUN["mmio.len"], true);
    const write = page.getUint8(RUN["mmio.is_write"]) !== 0;
    const value = write ? BigInt.asUintN(8 * size, page.getBigUint64(RUN["mmio.data"], true)) : 0n;
    const place = this.sites.memory(gpa, size, write);
    this.#hand("memory", place);
    return this.exit(
      "ept-violation",
      { gpa, access: write ? "write" : "read", size, value },
      place,
    );
  }

  #hlt(): Stop {
    const place = this.sites.here(HLT_BYTES.length, HLT_BYTES);
    this.#hand("hlt", place);
    return this.exit("hlt", {}, place);
  }

  #hypercall(): Stop {
    const bytes = this.code.bytes(this.file.linearRip, HYPERCALL_LENGTH);
    const place = this.sites.here(0, bytes);
    this.#hand("vmcall", place);
    return this.exit("vmcall", { number: this.file.get("rax") }, place);
  }

  /** KVM would answer the guest and go on behind the instruction, unless RIP is elsewhere by then. */
  protected refuseHypercall(): void {
    this.handed = undefined;
    const rip = this.file.get("rip");
    this.file.set("rip", rip + BigInt(HYPERCALL_LENGTH));
    this.unsettled = true;
    this.settle();
    this.file.set("rip", rip);
  }

  #msr(write: boolean): Stop {
    const msr = this.page.getUint32(RUN["msr.index"], true);
    const reason = this.page.getUint32(RUN["msr.reason"], true);
    const place = this.sites.here(0, this.code.bytes(this.file.linearRip, MSR_LENGTH));
    this.#hand(write ? "msr-write" : "msr-read", place);
    const { writableMsrs } = this.config.controls.intercepts ?? {};
    if (reason === KVM_MSR_EXIT_REASON.INVAL && writableMsrs?.has(msr)) {
      // The guest's own, with a value that the kernel has refused: no more an exit than where the hardware does it.
      this.answerMsr(0n, true);
      return BUDGET;
    }
    if (!write) return this.exit("msr-read", { msr }, place);
    const value = this.page.getBigUint64(RUN["msr.data"], true);
    return this.exit("msr-write", { msr, value }, place);
  }

  #shutdown(): Stop {
    const lack = shutdownLack(this.file, this.code, this.settings, this.machine.system.pvm);
    if (lack) throw lack;
    return this.exit("triple-fault", {});
  }

  // ---- After an exit -----------------------------------------------------------------------------------------------

  complete(value = 0n): void {
    const open = this.handed;
    if (!open) throw new Error("Nothing to complete");
    const page = this.page;
    if (open.kind === "memory") {
      page.setBigUint64(RUN["mmio.data"], value, true);
      this.close();
      return;
    }
    if (page.getUint8(RUN["io.direction"]) !== KVM_EXIT_IO_OUT) {
      const size = page.getUint8(RUN["io.size"]);
      const at = this.#dataAt(open.element, size);
      if (size === 1) page.setUint8(at, Number(value & 0xffn));
      else if (size === 2) page.setUint16(at, Number(value & 0xffffn), true);
      else page.setUint32(at, Number(value & 0xffffffffn), true);
    }
    if (++open.element >= open.elements) this.close();
  }

  protected close(): void {
    this.showKernelRip();
    this.unsettled = this.handed?.kind !== "hlt";
    this.handed = undefined;
  }

  get midway(): boolean {
    return this.exited || this.handed?.kind === "io" && this.handed.element > 0;
  }

  skip(): void {
    const { kind } = this.handed ?? {};
    if (kind === "msr-read") {
      const half = (name: "rax" | "rdx") => this.file.get(name) & 0xffffffffn;
      this.answerMsr(half("rdx") << 32n | half("rax"));
    } else if (kind === "msr-write") this.answerMsr();
    else if (kind === "hlt") this.close();
    else if (kind === "vmcall") this.set("rip", this.get("rip") + BigInt(HYPERCALL_LENGTH));
  }

  /** KVM goes on with the value, or gives the guest #GP. */
  protected answerMsr(value = 0n, error = false): void {
    this.page.setBigUint64(RUN["msr.data"], value, true);
    this.page.setUint8(RUN["msr.error"], error ? 1 : 0);
    this.close();
  }

  emulate(): Event | undefined {
    const { localApic } = this.config;
    const { kind } = this.handed ?? {};
    const msr = this.page.getUint32(RUN["msr.index"], true);
    if (kind === "msr-read") {
      const value = localApic?.readMsr(msr);
      if (value === undefined) return GENERAL_PROTECTION;
      this.answerMsr(value);
      return undefined;
    }
    if (kind === "msr-write") {
      const data = this.page.getBigUint64(RUN["msr.data"], true);
      if (!localApic?.writeMsr(msr, data)) return GENERAL_PROTECTION;
      if (msr === MSR.APIC_BASE) this.file.setApicBase(data);
      this.answerMsr();
      return undefined;
    }
    throw new Error("KVM does by itself what there would be to emulate");
  }
}
