// A virtual CPU of the KVM engine with a program in it, and no monitor.
import { startBare } from "../engine/bare_start.ts";
import { kvm } from "../engine/kvm/engine.ts";
import type { Vcpu } from "../engine/vcpu.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import type { GuestImage } from "../guest/image.ts";
import { PROGRAM_BASE } from "../guest/layout.ts";
import { NESTED_CONTROLS } from "../vmm/full_hw.ts";

const MEMORY = 2 << 20;

/** 32 bits, flat, as a boot loader leaves it. Throws `KvmUnavailable` where there is no KVM. */
export function createKvmVcpu(program: string): Vcpu {
  const { assembled, diagnostics } = assemble([
    sourceOfFile({ name: "bench.asm", text: program }),
  ], { bits: 32, origin: PROGRAM_BASE });
  if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("; "));
  const image: GuestImage = {
    entry: "protected32",
    platform: "bare",
    memory: MEMORY,
    placed: [{ address: PROGRAM_BASE, bytes: assembled.bytes }],
    start: PROGRAM_BASE,
    free: PROGRAM_BASE + 0x1000,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [],
  };
  const vcpu = kvm.create({
    memory: MEMORY,
    controls: NESTED_CONTROLS,
    timestamp: () => 0n,
    cpuid: () => [0, 0, 0, 0],
    count: () => {},
  });
  startBare(vcpu, image);
  return vcpu;
}
