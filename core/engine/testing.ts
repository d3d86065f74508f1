// Guests for tests of engines: nothing but memory, code where it is put, and a vCPU in the state of a boot loader.
import { treatments } from "../cpu/sensitive_operations.ts";
import { cpuid } from "../cpu/cpuid.ts";
import type { GuestImage } from "../guest/image.ts";
import { startBare } from "./bare_start.ts";
import { SubjectLacks } from "./lacks.ts";
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

/**
 * A vCPU at the entry of an image. Its time stands still, unless told otherwise. Its CPUID is that of any CPU of ours: real KVM
 * refuses a guest what that does not tell of.
 */
export function startedVcpu(
  factory: VcpuFactory,
  image: GuestImage,
  config: Pick<VcpuConfig, "controls"> & Partial<VcpuConfig>,
): Vcpu {
  const vcpu = factory.create({
    memory: image.memory,
    timestamp: () => 0n,
    cpuid,
    count: () => {},
    ...config,
  });
  startBare(vcpu, image);
  return vcpu;
}

/** A test that is skipped for a reason, if there is one. What the host turns out to lack is a step that is skipped visibly. */
export function testUnless(why: string | undefined, name: string, body: () => void): void {
  Deno.test({
    name: `${name}${why === undefined ? "" : `: ${why}`}`,
    ignore: why !== undefined,
    fn: async (t) => {
      try {
        body();
      } catch (error) {
        if (!(error instanceof SubjectLacks)) throw error;
        await t.step({ name: error.message, ignore: true, fn: () => {} });
      }
    },
  });
}
