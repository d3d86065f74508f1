// Why KVM came back, as exits of the contract, and how the VMM's answers get to KVM.
import type { Exit, ExitKind } from "../../trace/exit.ts";
import type { Event, Stop } from "../vcpu.ts";
import { KVM_EXIT, KVM_EXIT_IO_OUT, KVM_MSR_EXIT_REASON, STRUCT } from "./abi.ts";
import { failureOf, shutdownLack } from "./failures.ts";
import { type Open, SettledCpu } from "./settled_cpu.ts";
import type { Site } from "./sites.ts";

const RUN = STRUCT.kvm_run.fields;
export const BUDGET: Stop = { reason: "budget" };
const NO_BYTES = new Uint8Array();
/** Bytes of VMCALL and VMMCALL. */
const HYPERCALL_LENGTH = 3;
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
        return this.exit("interrupt-window", {}, NO_BYTES);
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
    bytes: Uint8Array,
  ): Stop {
    const exit = {
      kind,
      via: "vm-exit",
      rip: this.file.linearRip,
      bytes,
      bitness: this.file.bitness,
      detail,
    };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  /** The VMM has an exit: RIP is shown at its instruction. */
  #hand(kind: Open["kind"], site: Site, elements?: number): Open {
    const kernelRip = this.file.get("rip");
    if (site.past > 0) this.showRip(kernelRip - BigInt(site.past));
    const { string } = site;
    return this.handed = {
      kind,
      kernelRip,
      element: 0,
      site,
      string,
      ...(elements === undefined ? {} : { elements }),
    };
  }

  #port(): Stop {
    const page = this.page;
    const out = page.getUint8(RUN["io.direction"]) === KVM_EXIT_IO_OUT;
    const size = page.getUint8(RUN["io.size"]);
    const port = page.getUint16(RUN["io.port"], true);
    const site = this.sites.port(this.file.linearRip, { out, size, port });
    return this.element(this.#hand("io", site, page.getUint32(RUN["io.count"], true)));
  }

  protected element({ element, site: { bytes, string } }: Open): Stop {
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
    return this.exit(
      "io",
      { port, direction, size, value, ...(string ? { string } : {}) },
      bytes,
    );
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
    const site = this.sites.memory(this.file.linearRip, { gpa, size, write });
    this.#hand("memory", site);
    return this.exit(
      "ept-violation",
      { gpa, access: write ? "write" : "read", size, value },
      site.bytes,
    );
  }

  #hlt(): Stop {
    this.#hand("hlt", { past: 1, bytes: HLT_BYTES, string: false });
    return this.exit("hlt", {}, HLT_BYTES);
  }

  #hypercall(): Stop {
    const bytes = this.code.bytes(this.file.linearRip, HYPERCALL_LENGTH);
    this.#hand("vmcall", { past: 0, bytes, string: false });
    return this.exit("vmcall", { number: this.file.get("rax") }, bytes);
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
    this.#hand(write ? "msr-write" : "msr-read", { past: 0, bytes: NO_BYTES, string: false });
    const { writableMsrs } = this.config.controls.intercepts ?? {};
    if (reason === KVM_MSR_EXIT_REASON.INVAL && writableMsrs?.has(msr)) {
      // The guest's own, with a value that the kernel has refused: no more an exit than where the hardware does it.
      this.answerMsr(0n, true);
      return BUDGET;
    }
    const bytes = this.code.bytes(this.file.linearRip, 2);
    if (!write) return this.exit("msr-read", { msr }, bytes);
    return this.exit(
      "msr-write",
      { msr, value: this.page.getBigUint64(RUN["msr.data"], true) },
      bytes,
    );
  }

  #shutdown(): Stop {
    const lack = shutdownLack(this.file, this.code, this.settings, this.machine.system.pvm);
    if (lack) throw lack;
    return this.exit("triple-fault", {}, NO_BYTES);
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
    if (++open.element >= (open.elements ?? 1)) this.close();
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
      if (!localApic?.writeMsr(msr, this.page.getBigUint64(RUN["msr.data"], true))) {
        return GENERAL_PROTECTION;
      }
      this.answerMsr();
      return undefined;
    }
    throw new Error("KVM does by itself what there would be to emulate");
  }
}
