// What is done about an exit, by its kind: one table a back end, made of the handlers here and its own. A handler gets
// the exit with its details typed, and may complete them (what an `in` returned); the trace shows them so.
import { hex } from "../base/hex.ts";
import { RFLAGS, VECTOR } from "../base/registers.ts";
import type { Event, Vcpu } from "../engine/vcpu.ts";
import type { Bus } from "../machine/bus.ts";
import type { Exit, ExitKind } from "../trace/exit.ts";
import { disassemble } from "../trace/disassemble.ts";
import type { Recorder } from "../trace/recorder.ts";
import { readDevice, writeDevice } from "./device_access.ts";
import type { InterruptDelivery } from "./interrupts.ts";
import { IDLE, type Outcome, RESUME, stop } from "./monitor.ts";

/** What handlers work on. */
export interface Machine {
  readonly vcpu: Vcpu;
  readonly bus: Bus;
  readonly recorder: Recorder;
  readonly interrupts: InterruptDelivery;
  /** `vcpu.emulate()`, with whatever the monitor has to do so that it can succeed. */
  emulate(): Event | undefined;
}

export type ExitOf<K extends ExitKind> = Extract<Exit, { kind: K }>;
export type ExitHandler<K extends ExitKind> = (exit: ExitOf<K>, machine: Machine) => Outcome;
/** A back end's dispatch table. A kind that is not in it stops the run loudly. */
export type ExitHandlers = { readonly [K in ExitKind]?: ExitHandler<K> };

/** Finds the handler and calls it. */
export function dispatch(handlers: ExitHandlers, exit: Exit, machine: Machine): Outcome {
  // The table's type ties each key to its handler's argument; TypeScript can't follow that through a lookup by union.
  const handler = handlers[exit.kind] as ((exit: Exit, machine: Machine) => Outcome) | undefined;
  return handler ? handler(exit, machine) : unknownExit(exit);
}

/** The end of a run whose monitor met an exit it has no handler for. */
export function unknownExit({ kind, via, rip, bytes, bitness }: Exit): Outcome {
  const instruction = disassemble(bytes, bitness, rip);
  const reason = `No handler for the ${kind} ${via} at ${hex(rip)}` +
    (instruction ? `: ${instruction}` : "");
  return stop({ kind: "crash", reason, rip });
}

/** Delivers an exception to the guest, as the VMM's own doing. */
export function injectException(machine: Machine, event: Event): Outcome {
  const { vector, errorCode, address } = event;
  machine.recorder.injection({
    kind: "exception",
    vector,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(address === undefined ? {} : { address }),
  });
  machine.vcpu.inject(event);
  return RESUME;
}

/** The guest gets #UD: the instruction does not exist on this platform. */
export function undefinedInstruction(_exit: Exit, machine: Machine): Outcome {
  return injectException(machine, { type: "exception", vector: VECTOR.UD });
}

/** Does what the architecture says, on the guest's state; a fault that comes of it is the guest's. */
export function emulated(_exit: Exit, machine: Machine): Outcome {
  const fault = machine.emulate();
  return fault ? injectException(machine, fault) : RESUME;
}

/** As {@linkcode emulated}; the trace shows what was read. */
export function msrRead(exit: ExitOf<"msr-read">, machine: Machine): Outcome {
  const outcome = emulated(exit, machine);
  const low = machine.vcpu.get("rax") & 0xffffffffn;
  const high = machine.vcpu.get("rdx") & 0xffffffffn;
  exit.detail.value = high << 32n | low;
  return outcome;
}

/** A port: emulated by whatever device is there. */
export function portIo(exit: ExitOf<"io">, machine: Machine): Outcome {
  const { detail } = exit;
  if (detail.direction === "in") {
    const value = readDevice(machine.bus, "port", detail.port, detail.size);
    detail.value = Number(value);
    machine.vcpu.complete(value);
  } else {
    writeDevice(machine.bus, "port", detail.port, detail.size, BigInt(detail.value));
    machine.vcpu.complete();
  }
  return RESUME;
}

/** Device memory, however the access was caught. */
export function deviceMemory(
  exit: ExitOf<"ept-violation" | "mmio">,
  machine: Machine,
): Outcome {
  const { detail } = exit;
  const { gpa, access, size } = detail;
  if (access === "execute" || size === undefined) return beyondRam(exit);
  if (access === "read") {
    detail.value = readDevice(machine.bus, "memory", gpa, size);
    machine.vcpu.complete(detail.value);
  } else {
    writeDevice(machine.bus, "memory", gpa, size, detail.value ?? 0n);
    machine.vcpu.complete();
  }
  return RESUME;
}

/** The end of a guest whose code or page tables lie outside RAM: no VMM emulates that, and no machine could go on. */
export function beyondRam({ detail, rip }: ExitOf<"ept-violation" | "mmio">): Outcome {
  const reason = `The guest's code or page tables are at ${hex(detail.gpa)}, where there is no RAM`;
  return stop({ kind: "crash", reason, rip });
}

/** The guest halts: it waits for what its monitor says can wake it. */
export function halt(_exit: Exit, { vcpu }: Machine): Outcome {
  vcpu.skip();
  return IDLE;
}

/**
 * An instruction whose effect nothing here depends on. MWAIT is one: no guest is told of it, it may end at once for any reason,
 * and a guest that waits for a store would never wake from a halt.
 */
export function ignored(_exit: Exit, { vcpu }: Machine): Outcome {
  vcpu.skip();
  return RESUME;
}

/** Is RFLAGS.IF clear? */
export function interruptsMasked(vcpu: Vcpu): boolean {
  return (vcpu.get("rflags") & BigInt(RFLAGS.IF)) === 0n;
}

/** The guest can take an interrupt now: the next entry delivers it. */
export function interruptWindow(_exit: Exit, machine: Machine): Outcome {
  machine.interrupts.windowOpened();
  return RESUME;
}

/** The end of a guest that could not even take a double fault. */
export function tripleFault(): Outcome {
  return stop({ kind: "triple-fault" });
}
