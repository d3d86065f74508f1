// Guests for tests of engines: nothing but memory, code where it is put, and a vCPU in the state of a boot loader.
import { treatments } from "../cpu/sensitive_operations.ts";
import type { GuestImage } from "../guest/image.ts";
import { startBare } from "./bare_start.ts";
import type { ExecutionControls, Vcpu, VcpuConfig, VcpuFactory } from "./vcpu.ts";

/** An image for a bare machine; what is not said is empty. */
export function bareImage(
  said: Pick<GuestImage, "entry" | "memory" | "start"> & Partial<GuestImage>,
): GuestImage {
  return {
    platform: "bare",
    placed: [],
    free: said.start,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [],
    ...said,
  };
}

/** No monitor at all: every instruction executes, and every exception comes back. */
export function everyException(): ExecutionControls {
  const table = treatments("bare");
  return { kernel: table, user: table, exceptionVia: "fault", exceptions: ~0, paging: "direct" };
}

/** A vCPU at the entry of an image. Its time stands still, and its CPUID is all zeros, unless told otherwise. */
export function startedVcpu(
  factory: VcpuFactory,
  image: GuestImage,
  config: Pick<VcpuConfig, "controls"> & Partial<VcpuConfig>,
): Vcpu {
  const vcpu = factory.create({
    memory: image.memory,
    timestamp: () => 0n,
    cpuid: () => [0, 0, 0, 0],
    count: () => {},
    ...config,
  });
  startBare(vcpu, image);
  return vcpu;
}
