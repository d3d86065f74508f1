// The embedded engine as the machine of `bochs.ts`: the same RAM and ROM, the output port and the shutdown port, nothing else.
import { gpa } from "../../base/address.ts";
import { cpuid } from "../../cpu/cpuid.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { Bus } from "../../machine/bus.ts";
import { ByteDevice } from "../../machine/devices/byte_device.ts";
import { embedded } from "../embedded/engine.ts";
import type { Vcpu } from "../vcpu.ts";
import {
  BOCHS_MEMORY,
  type BochsImage,
  OUTPUT_PORT,
  ROM_AT,
  SHUTDOWN,
  SHUTDOWN_PORT,
} from "./bochs.ts";

/** Instructions until a ROM counts as endless. */
const PATIENCE = 2_000_000_000;

/** Keeps what is written to it. */
class Printer extends ByteDevice {
  readonly bytes: number[] = [];
  protected readByte(): number {
    return 0xe9;
  }
  protected writeByte(_: number, value: number): void {
    this.bytes.push(value);
  }
  save() {
    return {};
  }
  restore() {}

  get text(): string {
    return new TextDecoder().decode(Uint8Array.from(this.bytes));
  }
}

/**
 * What the ROM writes to port 0xE9 on the embedded engine. `grant`: instructions a turn; short ones make short regions.
 * `taskExits`: task switches leave, and are carried out as a monitor does.
 */
export function runOnEngine(image: BochsImage, grant = PATIENCE, taskExits = false): string {
  const output = new Printer(), shutdown = new Printer();
  const bus = new Bus();
  bus.attach("port", OUTPUT_PORT, 1, "output", output);
  bus.attach("port", SHUTDOWN_PORT, 1, "shutdown", shutdown);
  let vcpu = start(bus, taskExits);
  try {
    vcpu.memory.write(gpa(ROM_AT), image.rom);
    for (const { address, bytes } of image.ram ?? []) vcpu.memory.write(gpa(address), bytes);
    let retired = 0;
    while (retired < PATIENCE) {
      const before = vcpu.retired;
      const stop = vcpu.run(grant);
      retired += vcpu.retired - before;
      if (shutdown.text.endsWith(SHUTDOWN)) return output.text;
      if (stop.reason === "budget") continue;
      if (stop.reason === "exit" && stop.exit.kind === "triple-fault") {
        vcpu = restarted(vcpu, bus, taskExits);
        continue;
      }
      if (stop.reason === "exit" && stop.exit.kind === "task-switch") {
        const fault = vcpu.emulate();
        if (fault) vcpu.inject(fault);
        continue;
      }
      throw new Error(`The ROM stopped: ${stop.reason} at ${vcpu.get("rip").toString(16)}`);
    }
    throw new Error("The ROM does not end");
  } finally {
    vcpu.dispose();
  }
}

function start(bus: Bus, taskExits: boolean): Vcpu {
  const table = treatments("bare", taskExits ? { "task-switch": "vm-exit" } : {});
  const vcpu = embedded.create({
    memory: BOCHS_MEMORY,
    controls: {
      kernel: table,
      user: table,
      exceptionVia: "fault",
      exceptions: 0,
      paging: "direct",
    },
    bus,
    timestamp: () => 0n,
    cpuid,
    count: () => {},
  });
  // The ROM is only in its place below 1 MiB.
  vcpu.setSegment("cs", { ...vcpu.segment("cs"), base: BigInt(ROM_AT) });
  return vcpu;
}

/** A machine that has been reset: RAM is what it was. */
function restarted(vcpu: Vcpu, bus: Bus, taskExits: boolean): Vcpu {
  const memory = vcpu.memory.read(gpa(0), BOCHS_MEMORY).slice();
  vcpu.dispose();
  const next = start(bus, taskExits);
  next.memory.write(gpa(0), memory);
  return next;
}
