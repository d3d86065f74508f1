// QEMU's processes: started when they are needed, kept for runs of the same machine where that is wanted, and ended in time.
import type { GuestImage } from "../../guest/image.ts";
import { type Accelerator, keepsState } from "./machine.ts";
import type { QemuMode } from "./mode.ts";
import { QemuProcess } from "./process.ts";
import { sweepFolders, TEMPORARY } from "./leftovers.ts";

/** What processes are made of. */
export interface PoolSettings {
  readonly program: string;
  readonly accelerator: Accelerator;
  readonly mode: QemuMode;
  readonly timeout?: string | undefined;
}

/** Processes that wait for a run, at most; each has a guest's RAM. */
const MOST_IDLE = 3;
/** How long a process serves; should this process be killed, no guest of its runs on for longer. */
const LIFE_MS = 600_000;

/** The processes of a subject. */
export class Pool {
  readonly #settings: PoolSettings;
  /** By the sizes of their RAM, the last used last. */
  #idle: { readonly memory: number; readonly process: QemuProcess }[] = [];
  /** All that have been started and of which something is left. */
  readonly #living = new Set<Promise<QemuProcess>>();
  #folder: Promise<string> | undefined;
  #started = 0;
  #single = false;

  constructor(settings: PoolSettings) {
    this.#settings = settings;
  }

  /** A process for a run of at most `ms`; `alone`: for this run only. Throws {@linkcode SubjectLacks}. */
  async take(image: GuestImage, ms: number, maxOutput: number, alone: boolean) {
    const { program, accelerator, timeout, mode } = this.#settings;
    const reused = mode === "persistent" && !alone && !this.#single &&
      keepsState(image, accelerator);
    for (let kept; reused && (kept = this.#kept(image.memory));) {
      if (kept.left > ms) {
        kept.child.allowance(maxOutput);
        return kept;
      }
      await kept.end();
    }
    const folder = this.#folder ??= this.#makeFolder();
    const starting = folder.then((path) =>
      QemuProcess.start(image, {
        ...{ program, accelerator, timeout, reused, maxOutput },
        folder: `${path}/${this.#started++}`,
        lifeMs: reused ? Math.max(LIFE_MS, ms) : ms,
      })
    );
    this.#living.add(starting);
    try {
      const process = await starting;
      // One that has ended by itself still has its files and its pipes.
      void process.gone.then(() => this.#living.delete(starting));
      return process;
    } catch (error) {
      this.#living.delete(starting);
      throw error;
    }
  }

  /** This QEMU does not keep states: a process serves one run from now on. */
  keepNone(): void {
    this.#single = true;
  }

  /** A process whose machine stands still, for another run. */
  give(process: QemuProcess, memory: number): void {
    this.#idle.push({ memory, process });
    if (this.#idle.length > MOST_IDLE) void this.#idle.shift()?.process.end();
  }

  #kept(memory: number): QemuProcess | undefined {
    const at = this.#idle.findLastIndex((idle) => idle.memory === memory);
    return at < 0 ? undefined : this.#idle.splice(at, 1)[0]?.process;
  }

  async #makeFolder(): Promise<string> {
    const folder = await Deno.makeTempDir({ prefix: TEMPORARY });
    await sweepFolders(folder);
    return folder;
  }

  /** Ends all processes, also where a run is under way. */
  async close(): Promise<void> {
    this.#idle = [];
    const folder = this.#folder;
    this.#folder = undefined;
    await Promise.all(
      [...this.#living].map((starting) => starting.then((process) => process.end(), () => {})),
    );
    // Somebody may have removed it.
    if (folder) await Deno.remove(await folder, { recursive: true }).catch(() => {});
  }
}
