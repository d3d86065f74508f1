// What KVM can do itself or leave to its user: the same guest loop under each option. `options.ts` measures it.
import { LAPIC_BASE } from "../guest/layout.ts";
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import type { BareMachine } from "./bare_machine.ts";
import type { EventCounter } from "./c_library.ts";
import { DOORBELL, END_PORT, HANDLER, VECTOR } from "./cost_loops.ts";

/** What a loop is given beside its machine. */
export interface Counters {
  /** Counts notifications, where they are not exits. */
  readonly doorbell: EventCounter;
  /** What is added to it raises the interrupt line, where that is an option. */
  readonly interrupt: EventCounter;
}

/** One option of one operation. */
export interface OptionLoop {
  readonly operation: string;
  readonly option: string;
  readonly irqchip: boolean;
  /** Notifications are counted by the kernel, and do not exit. */
  readonly ioeventfd?: true;
  /** The interrupt line is an event counter's. */
  readonly irqfd?: true;
  /** A thread of its own waits for notifications, and answers each by an interrupt. */
  readonly thread?: true;
  readonly program: string;
  /** At each exit. */
  readonly serve?: (machine: BareMachine, reason: number, counters: Counters) => void;
}

/** The first PIC's line 5, which is that vector. */
export const LINE = 5;
/**
 * The first PIC, edge-triggered, from the vector's block on, ending its interrupts by itself; only our line is open (Intel 8259A
 * datasheet, ICW1 to ICW4, OCW1). Where there is no PIC, the ports answer nothing.
 */
const PIC = `mov al, 0x11
out 0x20, al
mov al, ${VECTOR & ~7}
out 0x21, al
mov al, 4
out 0x21, al
mov al, 3
out 0x21, al
mov al, ${0xff & ~(1 << LINE)}
out 0x21, al
`;
const END = `cli
mov al, 0
out ${END_PORT}, al
`;
const loop = (body: string) => `again:\n${body}\ndec esi\njnz again\n${END}`;

const NOTIFY = `mov edx, ${DOORBELL}\nmov eax, 1\n` + loop("mov [edx], eax");
/** Halts until the answer comes, as a guest with nothing else to do. */
const NOTIFY_AND_HALT = PIC + `mov edx, ${DOORBELL}\nmov eax, 1\n` +
  loop("mov [edx], eax\nsti\nhlt\ncli");

/** A port whose device is a timer of the user's. */
const TIMER_PORT = 0x81;
const HALT_WITH_PORT_TIMER = PIC + loop(`mov al, 1\nout ${TIMER_PORT}, al\nsti\nhlt\ncli`);
/** Nanoseconds until the local APIC's timer goes off; KVM's counts nanoseconds, at a divisor of 1. */
const TICKS = 1000;
const REGISTER = { EOI: 0xb0, SPURIOUS: 0xf0, TIMER: 0x320, COUNT: 0x380, DIVIDE: 0x3e0 } as const;
const lapic = (register: keyof typeof REGISTER) => `[${LAPIC_BASE + REGISTER[register]}]`;
const HALT_WITH_LAPIC = `mov dword ${lapic("SPURIOUS")}, 0x1ff
mov dword ${lapic("DIVIDE")}, 0xb
mov dword ${lapic("TIMER")}, ${VECTOR}
` + loop(`mov dword ${lapic("COUNT")}, ${TICKS}
sti
hlt
cli
mov dword ${lapic("EOI")}, 0`);

const injectAtHalt = (machine: BareMachine, reason: number) => {
  if (reason !== KVM_EXIT.HLT) return;
  machine.ioctl("KVM_INTERRUPT", STRUCT.kvm_interrupt, { irq: VECTOR }, "cpu");
};
const pulse = (machine: BareMachine, reason: number) => {
  if (reason !== KVM_EXIT.MMIO) return;
  for (const level of [1, 0]) {
    machine.ioctl("KVM_IRQ_LINE", STRUCT.kvm_irq_level, { irq: LINE, level });
  }
};

const NOTIFICATION = "notification of a device";
const ANSWER = "notification, halt, interrupt as the answer";
const TIMER = "timer set, halt, timer interrupt";

/** All of them; the first of each operation is what the others are compared with. */
export const OPTION_LOOPS: readonly OptionLoop[] = [
  { operation: NOTIFICATION, option: "exit", irqchip: false, program: NOTIFY },
  {
    operation: NOTIFICATION,
    option: "ioeventfd",
    irqchip: false,
    ioeventfd: true,
    program: NOTIFY,
  },
  {
    operation: ANSWER,
    option: "irqchip=user",
    irqchip: false,
    program: NOTIFY_AND_HALT,
    serve: injectAtHalt,
  },
  {
    operation: ANSWER,
    option: "irqchip=kernel",
    irqchip: true,
    program: NOTIFY_AND_HALT,
    serve: pulse,
  },
  {
    operation: ANSWER,
    option: "irqchip=kernel,irqfd",
    irqchip: true,
    irqfd: true,
    program: NOTIFY_AND_HALT,
    serve: (_machine, reason, { interrupt }) => {
      if (reason === KVM_EXIT.MMIO) interrupt.add();
    },
  },
  {
    operation: ANSWER,
    option: "irqchip=kernel,ioeventfd,irqfd, another thread",
    irqchip: true,
    ioeventfd: true,
    irqfd: true,
    thread: true,
    program: NOTIFY_AND_HALT,
  },
  {
    operation: TIMER,
    option: "irqchip=user",
    irqchip: false,
    program: HALT_WITH_PORT_TIMER,
    serve: injectAtHalt,
  },
  { operation: TIMER, option: "irqchip=kernel", irqchip: true, program: HALT_WITH_LAPIC },
];

/** Puts a loop into its machine; where it starts. */
export function placeOptionLoop(machine: BareMachine, { program }: OptionLoop): number {
  machine.gate(VECTOR, machine.place(HANDLER));
  return machine.place(program);
}
