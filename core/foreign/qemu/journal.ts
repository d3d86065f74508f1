// Follows QEMU's log while the guest runs, and records what it tells of.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";
import type { Recorder } from "../../trace/recorder.ts";
import type { Child } from "../child.ts";
import { accessOf, ConsoleBytes, type DeviceRange, loggedAccess } from "./access_log.ts";
import { boardRanges } from "./board_ranges.ts";

/** Between two looks at whether anybody still waits. */
const PATIENCE_MS = 60_000;

/** The log of one run. */
export class Journal {
  readonly #child: Child;
  readonly #recorder: Recorder;
  readonly #ranges: readonly DeviceRange[];
  readonly #most: number;
  readonly #console = new ConsoleBytes();
  #lines = 0;
  #fenced: (() => void) | undefined;
  /** What the guest wrote to the port that ends the run. */
  exitCode: number | undefined;
  /** There were more accesses, or more output, than allowed: QEMU has been ended. */
  flooded = false;

  /** `most`: accesses at most. */
  constructor(child: Child, image: GuestImage, recorder: Recorder, most: number) {
    this.#child = child;
    this.#recorder = recorder;
    this.#ranges = boardRanges(image);
    this.#most = most;
  }

  /** Reads to the end of the log, which is QEMU's end. */
  async read(): Promise<void> {
    try {
      for (;;) {
        const line = await this.#child.line(PATIENCE_MS);
        if (line.kind === "line") this.#line(line.text);
        else if (line.kind === "flood") this.flooded = true;
        else if (line.kind === "end") return;
        if (this.flooded) {
          await this.#child.end();
          return;
        }
      }
    } finally {
      this.#fenced?.();
    }
  }

  /** Resolves when the monitor's next access is in the log, or the log has ended. */
  fence(): Promise<void> {
    return new Promise((resolve) => this.#fenced = resolve);
  }

  #line(text: string): void {
    // Whatever it is about: QEMU has little else to say, unless it is made to.
    if (++this.#lines > this.#most) {
      this.flooded = true;
      return;
    }
    const logged = loggedAccess(text);
    if (!logged) return;
    if (logged.cpu < 0) return this.#fenced?.();
    const { address, direction, value } = logged;
    this.#recorder.access(accessOf(logged, this.#ranges));
    if (address === DEBUG_EXIT_PORT && direction === "out") this.exitCode ??= value;
    const sent = this.#console.sent(logged);
    if (sent !== undefined) this.#recorder.console(Uint8Array.of(sent));
  }
}
