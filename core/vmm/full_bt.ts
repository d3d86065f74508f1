// `full-bt`: an unmodified guest under binary translation. Its kernel runs translated: simple sensitive operations are
// inlined, the others call out to here. Its user code runs directly, and whatever it may not do faults to here. Memory is
// shadowed; instructions that keep faulting on page tables or devices are retranslated into callouts (adaptation).
import { treatments } from "../cpu/sensitive_operations.ts";
import type { ExecutionControls } from "../engine/vcpu.ts";
import { BACKEND_DESCRIPTIONS } from "./descriptions.ts";
import {
  emulated,
  type ExitHandlers,
  halt,
  ignored,
  injectException,
  interruptWindow,
  msrRead,
  portIo,
  tripleFault,
  undefinedInstruction,
} from "./exit_handlers.ts";
import type { BackendDefinition } from "./monitor.ts";
import { PcMonitor } from "./pc_monitor.ts";

const CONTROLS: ExecutionControls = {
  kernel: treatments("translated"),
  // What the guest's kernel has let its user mode do (IOPL, I/O permission map) the real CPU would refuse all the same.
  user: treatments("direct", { "port-io": "fault" }),
  exceptionVia: "fault",
  exceptions: -1,
  paging: "shadow",
};

/** Callouts of translated code, and faults of code that runs directly. Shadow paging brings its own. */
const HANDLERS: ExitHandlers = {
  "cr-access": emulated,
  "dr-access": emulated,
  "exception": (exit, machine) => injectException(machine, { type: "exception", ...exit.detail }),
  "gdtr-idtr": emulated,
  "hlt": halt,
  "instruction": emulated,
  "interrupt-window": interruptWindow,
  "invd": emulated,
  "invpcid": emulated,
  "io": portIo,
  "ldtr-tr": emulated,
  "monitor": ignored,
  "msr-read": msrRead,
  "msr-write": emulated,
  "mwait": ignored,
  "rdpmc": emulated,
  // Carried on to the guest's kernel, through its IDT or its SYSCALL entry.
  "software-interrupt": emulated,
  "syscall": emulated,
  "task-switch": emulated,
  "triple-fault": tripleFault,
  // A VMM that hides has no hypercalls.
  "vmcall": undefinedInstruction,
  "wbinvd": emulated,
  "xsetbv": emulated,
};

export const fullBt: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS["full-bt"],
  create: (setup) =>
    new PcMonitor(setup, {
      controls: CONTROLS,
      handlers: HANDLERS,
      // Translated code looks for events between blocks; code that runs directly has to be interrupted.
      preempts: "callout",
      preemptsUser: "fault",
      adapts: true,
    }),
};
