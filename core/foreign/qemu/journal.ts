// Records what QEMU's log tells of one run.
import type { GuestImage } from "../../guest/image.ts";
import { DEBUG_EXIT_LENGTH, DEBUG_EXIT_PORT } from "../../machine/devices/debug_exit.ts";
import type { Recorder } from "../../trace/recorder.ts";
import { accessOf, ConsoleBytes, type DeviceRange, type LoggedAccess } from "./access_log.ts";
import { boardRanges } from "./board_ranges.ts";

/** What is to happen at once. */
export interface Alarms {
  /** There were more accesses, or other lines, than allowed. */
  readonly flood: () => void;
  /** The guest has ended its run by the port. */
  readonly exit: () => void;
}

/** The accesses of one run. */
export class Journal {
  readonly #recorder: Recorder;
  readonly #ranges: readonly DeviceRange[];
  readonly #most: number;
  readonly #alarms: Alarms;
  readonly #console = new ConsoleBytes();
  #lines = 0;
  /** What the guest wrote to the port that ends the run; what it does after that is not recorded. */
  exitCode: number | undefined;
  /** How often it did. */
  exits = 0;
  /** The guest has asked that port, which answers only where the device is. */
  askedExitPort = false;

  /** `most`: accesses at most. */
  constructor(image: GuestImage, recorder: Recorder, most: number, alarms: Alarms) {
    this.#recorder = recorder;
    this.#ranges = boardRanges(image);
    this.#most = most;
    this.#alarms = alarms;
  }

  /** The next line of the log; without an access, it is about something else. */
  line(logged: LoggedAccess | undefined): void {
    const ends = logged?.address === DEBUG_EXIT_PORT && logged.direction === "out";
    if (ends) this.exits++;
    if (this.exitCode !== undefined) return;
    // Whatever it is about: QEMU has little else to say, unless it is made to.
    if (++this.#lines > this.#most) return this.#alarms.flood();
    if (!logged) return;
    const { address, direction, value } = logged;
    this.#recorder.access(accessOf(logged, this.#ranges));
    const sent = this.#console.sent(logged);
    if (sent !== undefined) this.#recorder.console(Uint8Array.of(sent));
    this.askedExitPort ||= direction === "in" && address >= DEBUG_EXIT_PORT &&
      address < DEBUG_EXIT_PORT + DEBUG_EXIT_LENGTH;
    if (!ends) return;
    this.exitCode = value;
    this.#alarms.exit();
  }
}
