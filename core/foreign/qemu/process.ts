// A QEMU process with its folder, its stub and its log. It serves one run, or, where the machine can be put back into the state
// of its start, one after another.
import type { GuestImage } from "../../guest/image.ts";
import { ROM_LOW_BYTES, ROM_LOW_END } from "../../guest/layout.ts";
import { type Child, spawnChild } from "../child.ts";
import { romOf, writeFiles, writeRam } from "./files.ts";
import { Log } from "./log.ts";
import { type Accelerator, FILES, qemuArguments } from "./machine.ts";
import { emptySnapshotFile } from "./snapshot_file.ts";
import { Stub } from "./stub.ts";

/** How a process is started. */
export interface ProcessSettings {
  readonly program: string;
  readonly accelerator: Accelerator;
  /** Its own; not there yet. */
  readonly folder: string;
  /** Is it to serve several runs? */
  readonly reused: boolean;
  /** It lives no longer, whatever becomes of this process. */
  readonly lifeMs: number;
  /** `timeout` of coreutils, which sees to that; absent: nobody does. */
  readonly timeout?: string | undefined;
  /** Bytes of its output in the first run. */
  readonly maxOutput: number;
}

/** Between SIGKILL and the end. */
const KILL_MS = 2_000;
/** Name of the state at the start. */
const START = "start";
/** The ROM is compared in units of this many bytes. */
const GRAIN = 64;

/** It is there, and has the first image loaded. */
export class QemuProcess {
  readonly child: Child;
  readonly log: Log;
  readonly folder: string;
  readonly reused: boolean;
  /** Settles when it has been ended, and nothing is left of it. */
  readonly gone: Promise<void>;
  readonly #gone = Promise.withResolvers<void>();
  readonly #dies: number;
  /** As it was started with. */
  readonly #rom: Uint8Array;
  #stub: Promise<Stub> | undefined;
  #saved = false;

  private constructor(child: Child, settings: ProcessSettings, image: GuestImage) {
    this.child = child;
    this.gone = this.#gone.promise;
    this.log = new Log(child);
    this.folder = settings.folder;
    this.reused = settings.reused;
    this.#dies = performance.now() + settings.lifeMs;
    this.#rom = romOf(image);
  }

  /** Throws {@linkcode SubjectLacks} for an image that does not fit QEMU's machines. */
  static async start(image: GuestImage, settings: ProcessSettings): Promise<QemuProcess> {
    const { program, accelerator, folder, reused, lifeMs, timeout, maxOutput } = settings;
    await Deno.mkdir(folder);
    try {
      await writeFiles(folder, image);
      if (reused) await Deno.writeFile(`${folder}/${FILES.state}`, emptySnapshotFile());
      const command = [program, ...qemuArguments(image, folder, accelerator, reused)];
      if (timeout !== undefined) {
        // In the foreground it makes no process group of its own, which a kill of the child's would miss.
        const seconds = Math.ceil(lifeMs / 1000);
        command.unshift(timeout, "--foreground", "--signal=KILL", `${seconds}`);
      }
      const [first = program, ...args] = command;
      const spawned = spawnChild({ program: first, args, lines: "stderr", maxOutput });
      if ("failed" in spawned) throw new Error(spawned.failed);
      return new QemuProcess(spawned.child, settings, image);
    } catch (error) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
      throw error;
    }
  }

  /** Milliseconds that it has to live; none if it is not what it should be any more. */
  get left(): number {
    const { flooded, complaint } = this.log;
    const lost = this.child.ended || flooded || complaint !== undefined;
    return lost ? 0 : this.#dies - performance.now();
  }

  /** Its stub. Throws what that says, and where QEMU has ended. */
  stub(): Promise<Stub> {
    return this.#stub ??= Stub.connect(this.child);
  }

  /** Has it served a run already? */
  get used(): boolean {
    return this.#saved;
  }

  /** The machine is at its start, with this image loaded. Throws what the stub says, and {@linkcode SubjectLacks}. */
  async load(image: GuestImage): Promise<Stub> {
    const stub = await this.stub();
    if (!this.reused) return stub;
    if (this.#saved) {
      await this.#reload(stub, image);
      return stub;
    }
    // RAM is a file: it need not be in the state, which takes a millisecond then, whatever its size.
    await stub.command("migrate_set_capability x-ignore-shared on");
    await stub.command(`savevm ${START}`);
    this.#saved = true;
    return stub;
  }

  async #reload(stub: Stub, image: GuestImage): Promise<void> {
    const rom = romOf(image);
    await writeRam(`${this.folder}/${FILES.ram}`, image, "mapped");
    // This drops all translations, too.
    await stub.command(`loadvm ${START}`);
    for (let at = 0; at < ROM_LOW_BYTES; at += GRAIN) {
      const part = rom.subarray(at, at + GRAIN);
      if (this.#rom.subarray(at, at + GRAIN).every((byte, i) => byte === part[i])) continue;
      await stub.poke(ROM_LOW_END - ROM_LOW_BYTES + at, part);
    }
    // Should its log have been spoiled since the last run, that is known before the guest starts.
    await this.fence();
  }

  /** All that the guest has done is with the log's listener now. Throws where the log can't be trusted. */
  async fence(): Promise<void> {
    const stub = await this.stub();
    const fenced = this.log.fence();
    await stub.fence();
    await fenced;
    const { complaint } = this.log;
    if (complaint !== undefined) throw new Error(complaint);
  }

  /** Ends it, and sees its log to the end: what is on its way there still belongs to the run. */
  async stop(): Promise<void> {
    this.child.kill();
    // Nothing comes from a process that can't be killed.
    if (await this.child.exit(KILL_MS)) await this.log.read;
  }

  /** Ends it; nothing is left of it. To be called also where it has ended by itself. */
  async end(): Promise<void> {
    await this.stop();
    await this.child.end();
    await this.log.read;
    await Deno.remove(this.folder, { recursive: true }).catch(() => {});
    this.#gone.resolve();
  }
}
