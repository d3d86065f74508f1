// Guests and runs for the tests of this folder.
import { buildGuest } from "../../guest/build.ts";
import type { GuestImage } from "../../guest/image.ts";
import { guestOf } from "../../guest/testing.ts";
import { renderDiagnostic } from "../../base/diagnostic.ts";
import { DEFAULT_LIMITS, type Entry, type Limits } from "../../scenario/case.ts";
import type { Job } from "../../vmm/subject.ts";
import { profileNamed } from "../../vmm/testing_runs.ts";

/** What a test says of a program. */
export interface ProgramOptions {
  readonly memory?: number;
  /** Labels, and bytes from there. */
  readonly observe?: Readonly<Record<string, number>>;
  readonly limits?: Partial<Limits>;
}

/** A run on bare hardware to make; throws when the text does not assemble. */
export function job(entry: Entry, text: string, options: ProgramOptions = {}): Job {
  const { memory = 2 << 20, observe = {}, limits = {} } = options;
  const guest = guestOf(text, { entry, memory, observe: { registers: [], memory: observe } });
  const { image, diagnostics } = buildGuest(guest, "bare");
  if (!image) throw new Error(diagnostics.map(renderDiagnostic).join("\n"));
  return {
    group: { guest, limits: { ...DEFAULT_LIMITS, wallMs: 10_000, ...limits } },
    subject: {
      id: "test",
      backend: "full-bt",
      engine: "qemu",
      expect: { registers: {}, memory: {} },
    },
    image,
    profile: profileNamed("kvm-2017"),
  };
}

/** The image of a program. */
export function program(entry: Entry, text: string): GuestImage {
  return job(entry, text).image;
}
