import { assert, assertEquals } from "@std/assert";
import { RFLAGS } from "../base/registers.ts";
import { Bus } from "../machine/bus.ts";
import type { Device } from "../machine/device.ts";
import type { Access, Exit } from "../trace/exit.ts";
import { Recorder } from "../trace/recorder.ts";
import { dispatch, type ExitHandlers, type Machine, unknownExit } from "./exit_handlers.ts";
import { HARDWARE_HANDLERS } from "./full_hw.ts";
import { InterruptDelivery } from "./interrupts.ts";
import { IDLE, type Outcome, RESUME } from "./monitor.ts";
import { FakeVcpu, madeExit } from "./testing.ts";

/** A device that answers each read with the next byte, repeated over the access. */
function counter(): Device {
  let next = 0x10;
  return {
    read: (_offset, size) => {
      const byte = ++next;
      return size === 1 ? byte : size === 2 ? byte * 0x0101 : byte * 0x01010101;
    },
    write: () => {},
    save: () => ({ next }),
    restore: () => {},
  };
}

function machine() {
  const vcpu = new FakeVcpu();
  const accesses: Access[] = [];
  const bus = new Bus((access) => accesses.push(access));
  bus.attach("port", 0x60, 4, "ports", counter());
  bus.attach("memory", 0xfee00000, 0x1000, "page", counter());
  const recorder = new Recorder(() => vcpu.retired);
  const controller = { pending: () => false, acknowledge: () => 0 };
  const made: Machine = {
    vcpu,
    bus,
    recorder,
    interrupts: new InterruptDelivery(vcpu, controller, recorder),
    emulate: () => vcpu.emulate(),
  };
  return { machine: made, vcpu, accesses, recorder };
}

interface Row {
  readonly exit: Exit;
  readonly flags?: number;
  readonly outcome: Outcome;
  readonly calls: readonly string[];
  /** Of each access: direction, address, size, value. */
  readonly accesses?: readonly string[];
  readonly value?: number | bigint;
}

const port = { port: 0x60, size: 1, value: 0 } as const;
const ROWS: Record<string, Row> = {
  "a port is read": {
    exit: madeExit("io", { ...port, direction: "in" }),
    outcome: RESUME,
    calls: ["complete 0x11"],
    accesses: ["in 0x60 1 0x11"],
    value: 0x11,
  },
  "a port is written": {
    exit: madeExit("io", { ...port, direction: "out", size: 2, value: 0xabcd }),
    outcome: RESUME,
    calls: ["complete"],
    accesses: ["out 0x60 2 0xabcd"],
  },
  "nobody is at the port": {
    exit: madeExit("io", { ...port, port: 0x70, direction: "in", size: 4 }),
    outcome: RESUME,
    calls: ["complete 0xffffffff"],
    accesses: ["in 0x70 4 0xffffffff"],
    value: 0xffffffff,
  },
  "device memory is read by quadword": {
    exit: madeExit("ept-violation", { gpa: 0xfee00010, access: "read", size: 8 }),
    outcome: RESUME,
    calls: ["complete 0x1212121211111111"],
    accesses: ["in 0xfee00010 4 0x11111111", "in 0xfee00014 4 0x12121212"],
    value: 0x1212121211111111n,
  },
  "device memory is written by an odd size": {
    exit: madeExit("ept-violation", {
      gpa: 0xfee00010,
      access: "write",
      size: 7,
      value: 0x77665544332211n,
    }),
    outcome: RESUME,
    calls: ["complete"],
    accesses: ["out 0xfee00010 4 0x44332211", "out 0xfee00014 2 0x6655", "out 0xfee00016 1 0x77"],
  },
  "code is fetched from a device": {
    exit: madeExit("ept-violation", { gpa: 0xfee00000, access: "execute", size: 1 }),
    outcome: {
      do: "stop",
      end: {
        kind: "crash",
        reason: "The guest's code or page tables are at 0xfee00000, where there is no RAM",
        rip: 0x1000n,
      },
    },
    calls: [],
  },
  "the guest halts": {
    exit: madeExit("hlt", {}),
    outcome: IDLE,
    calls: ["skip"],
  },
  "MWAIT with interrupts off": {
    exit: madeExit("mwait", {}),
    outcome: RESUME,
    calls: ["skip"],
  },
  "MWAIT with interrupts on": {
    exit: madeExit("mwait", {}),
    flags: RFLAGS.IF,
    outcome: RESUME,
    calls: ["skip"],
  },
  "a control register is written": {
    exit: madeExit("cr-access", { register: 0, access: "mov-to", value: 1n }),
    outcome: RESUME,
    calls: ["emulate"],
  },
  "there is no hypervisor to call": {
    exit: madeExit("vmcall", { number: 1n }),
    outcome: RESUME,
    calls: ["inject exception 6"],
  },
  "three faults are too many": {
    exit: madeExit("triple-fault", {}),
    outcome: { do: "stop", end: { kind: "triple-fault" } },
    calls: [],
  },
};

for (const [when, row] of Object.entries(ROWS)) {
  Deno.test(`dispatch() does the right thing when ${when}`, () => {
    const { machine: made, vcpu, accesses } = machine();
    vcpu.set("rflags", BigInt(row.flags ?? 0));
    assertEquals(dispatch(HARDWARE_HANDLERS, row.exit, made), row.outcome);
    assertEquals(vcpu.calls, row.calls);
    const seen = accesses.map((access) => {
      assert(access.kind === "io" || access.kind === "mmio");
      const { direction, address, size, value } = access;
      return `${direction} 0x${address.toString(16)} ${size} 0x${value.toString(16)}`;
    });
    assertEquals(seen, row.accesses ?? []);
    if (row.value !== undefined) assertEquals(Object(row.exit.detail).value, row.value);
  });
}

Deno.test("dispatch() injects the fault that emulation comes to", () => {
  const { machine: made, vcpu, recorder } = machine();
  vcpu.emulation = () => ({ type: "exception", vector: 13, errorCode: 0 });
  const exit = madeExit("msr-write", { msr: 0x12345, value: 0n });
  assertEquals(dispatch(HARDWARE_HANDLERS, exit, made), RESUME);
  assertEquals(vcpu.calls, ["emulate", "inject exception 13"]);
  assertEquals(recorder.events.map((event) => event.type === "injection" && event.injection), [
    { kind: "exception", vector: 13, errorCode: 0 },
  ]);
});

Deno.test("dispatch() shows what an MSR held", () => {
  const { machine: made, vcpu } = machine();
  vcpu.set("rax", 0x1111_2222n);
  vcpu.set("rdx", 0x3333n);
  const exit = madeExit("msr-read", { msr: 0x10 });
  dispatch(HARDWARE_HANDLERS, exit, made);
  assertEquals(Object(exit.detail).value, 0x3333_1111_2222n);
});

Deno.test("dispatch() stops loudly when there is no handler", () => {
  const none: ExitHandlers = {};
  const exit = madeExit("task-switch", { selector: 8 }, "vm-exit", 0x7c00n);
  assertEquals(dispatch(none, exit, machine().machine), {
    do: "stop",
    end: {
      kind: "crash",
      reason: "No handler for the task-switch vm-exit at 0x7c00: nop",
      rip: 0x7c00n,
    },
  });
  assertEquals(dispatch(none, exit, machine().machine), unknownExit(exit));
});
