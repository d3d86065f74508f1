// How the exits of shadow paging are told apart and handled; the same for `full-bt` and for `full-hw/shadow`.
import { VECTOR } from "../base/registers.ts";
import { PAGE_FAULT } from "../cpu/mmu.ts";
import type { Event } from "../engine/vcpu.ts";
import type { Exit } from "../trace/exit.ts";
import {
  deviceMemory,
  type ExitHandlers,
  type ExitOf,
  injectException,
  type Machine,
  portIo,
} from "./exit_handlers.ts";
import { RESUME } from "./monitor.ts";
import { insDestination } from "./string_destination.ts";
import type { Resolution, ShadowPaging } from "./shadow.ts";

/** Stores at one place that trace, or reach device memory, before adaptation takes the place for one that always will. */
export const ADAPT_AFTER = 3;

/** Tells the page faults of shadow paging apart, and does what each needs. */
export class ShadowExits {
  readonly #shadow: ShadowPaging;
  readonly #adapts: boolean;
  /** How often each instruction has faulted into a trace or device memory, by linear address. */
  readonly #sites = new Map<bigint, number>();
  #resolution: Resolution | undefined;

  /** With `adapts`, instructions that keep faulting are retranslated into callouts, as binary translation can. */
  constructor(shadow: ShadowPaging, options: { readonly adapts: boolean }) {
    this.#shadow = shadow;
    this.#adapts = options.adapts;
  }

  /** A page fault becomes a shadow fill, a trace, or stays the guest's own exception. */
  classify(exit: Exit, { vcpu }: Machine): Exit {
    this.#resolution = undefined;
    if (!isDelivery(exit)) this.#shadow.protect();
    if (exit.kind === "exception" && exit.detail.vector === VECTOR.PF) {
      const { address = 0n, errorCode = 0 } = exit.detail;
      this.#resolution = this.#shadow.resolve(address, errorCode);
      return told(exit, this.#resolution);
    }
    if (exit.kind === "trace") {
      // A place that was adapted calls out before its store: what is behind the address may have changed.
      const user = vcpu.cpl === 3 ? PAGE_FAULT.U : 0;
      const resolution = this.#shadow.resolve(exit.detail.address, PAGE_FAULT.W | user);
      this.#resolution = resolution;
      if (resolution.is !== "guest") exit.detail.gpa = resolution.gpa;
    }
    return exit;
  }

  readonly handlers: ExitHandlers = {
    // The instruction is simply tried again.
    "shadow-fill": () => {
      if (this.#resolution?.is === "fill") this.#shadow.fill(this.#resolution);
      return RESUME;
    },
    "trace": (exit, machine) => {
      // Not an instruction's store, but that of an event being delivered to a stack on a page table. What it changes takes
      // effect at the next exit: no later than the guest, which has to flush for it, can expect.
      if (isDelivery(exit) && this.#resolution?.is === "trace") {
        this.#shadow.open(this.#resolution);
        return RESUME;
      }
      this.#adapt(exit, machine);
      const fault = this.#resolution && this.#shadow.store(this.#resolution);
      return fault ? injectException(machine, fault) : RESUME;
    },
    "mmio": (exit, machine) => {
      this.#adapt(exit, machine);
      return deviceMemory(exit, machine);
    },
    "exception": (exit, machine) => injectException(machine, { type: "exception", ...exit.detail }),
    "io": (exit, machine) => {
      const { direction, string } = exit.detail;
      if (!string || direction === "out") {
        const outcome = portIo(exit, machine);
        // A port may have moved A20.
        if (direction === "out") this.#shadow.sync();
        return outcome;
      }
      const user = machine.vcpu.cpl === 3;
      let fault: Event | undefined;
      for (const address of insDestination(exit, machine.vcpu)) {
        fault ??= this.#shadow.allow(address, user);
      }
      const outcome = fault ? injectException(machine, fault) : portIo(exit, machine);
      this.#shadow.protect();
      return outcome;
    },
    "invlpg": (exit, machine) => {
      this.#shadow.invalidate(exit.detail.address);
      machine.vcpu.skip();
      return RESUME;
    },
  };

  /** Kernel code that keeps faulting here is retranslated: user code runs directly, so nothing can be put into it. */
  #adapt(exit: ExitOf<"trace" | "mmio">, { vcpu }: Machine): void {
    if (!this.#adapts || exit.via !== "fault" || vcpu.cpl === 3) return;
    const times = (this.#sites.get(exit.rip) ?? 0) + 1;
    this.#sites.set(exit.rip, times);
    if (times === ADAPT_AFTER) vcpu.callOutAt(exit.rip, exit.kind);
  }
}

/** Did it come up while an event was being delivered (or code fetched), so that there is no instruction to it? */
function isDelivery(exit: Exit): boolean {
  return exit.bytes.length === 0;
}

/** The exit that a page fault turns out to be. */
function told(exit: ExitOf<"exception">, resolution: Resolution): Exit {
  const { address = 0n } = exit.detail;
  switch (resolution.is) {
    case "fill":
      return { ...exit, kind: "shadow-fill", detail: { address, access: resolution.access } };
    case "trace":
      return { ...exit, kind: "trace", detail: { address, gpa: resolution.gpa } };
    case "granted":
      return exit;
    case "guest": {
      // The shadow's error code tells what the shadow lacked; the guest gets that of its own tables.
      const { errorCode = 0 } = resolution.event;
      return { ...exit, detail: { vector: VECTOR.PF, errorCode, address } };
    }
    default:
      return resolution satisfies never;
  }
}
