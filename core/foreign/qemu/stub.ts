// The GDB stub of a running QEMU: what stops it, looks into it and lets it go on. Every wait ends when the process does.
import { fromHex, RemoteProtocol, type Wire } from "../../engine/gdb/rsp.ts";
import { type RegisterLayout, registerLayout } from "../../engine/gdb/layout.ts";
import { GENERAL_REGISTERS, SPECIAL_REGISTERS } from "../../base/registers.ts";

/** Why the guest stands still. */
export type Halted =
  /** At a breakpoint, or after a step. */
  | "breakpoint"
  /** As asked for. */
  | "interrupted"
  /** The machine has shut down or would have been reset. */
  | "shutdown"
  /** QEMU is gone. */
  | "gone";

/** Numbers of the signals in stop replies (GDB's own numbering). */
const SIGNALS: Readonly<Record<string, Halted>> = {
  "02": "interrupted",
  "05": "breakpoint",
};

/** A port that nobody listens on: PCs use it as a delay. */
const FENCE_PORT = 0xed;

/** Between two attempts to connect. */
const PAUSE_MS = 2;

/** Names in the stub's description, where they are not ours. */
const NAMES: Readonly<Record<string, string>> = { rflags: "eflags" };

/** What the monitor and the stub tell of a machine that stands still. */
export class Stub {
  readonly #remote: RemoteProtocol;
  readonly #layout: RegisterLayout;

  private constructor(remote: RemoteProtocol, layout: RegisterLayout) {
    this.#remote = remote;
    this.#layout = layout;
  }

  /** Connects as soon as the socket is there; undefined if `alive` says no before that. */
  static async connect(path: string, alive: () => boolean): Promise<Stub | undefined> {
    const wire = await connected(path, alive);
    if (!wire) return undefined;
    const remote = new RemoteProtocol(wire);
    try {
      await remote.ask("qSupported:xmlRegisters=i386");
      return new Stub(remote, await registerLayout(remote));
    } catch (error) {
      remote.close();
      if (alive()) throw error;
      return undefined;
    }
  }

  close(): void {
    this.#remote.close();
  }

  /** `hardware`: by debug registers, which leave the guest's code alone. */
  async setBreakpoint(address: bigint, hardware: boolean): Promise<void> {
    await this.#remote.ask(`Z${hardware ? 1 : 0},${address.toString(16)},1`);
  }
  async clearBreakpoint(address: bigint, hardware: boolean): Promise<void> {
    await this.#remote.ask(`z${hardware ? 1 : 0},${address.toString(16)},1`);
  }

  /** Lets it run until it stops by itself, or for `ms`. */
  async run(ms: number): Promise<Halted> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await this.#remote.send("c");
      timer = setTimeout(() => void this.#remote.interrupt().catch(() => {}), ms);
      return SIGNALS[(await this.#remote.receive()).slice(1, 3)] ?? "shutdown";
    } catch {
      return "gone";
    } finally {
      clearTimeout(timer);
    }
  }

  /** General and special registers and CS of the first CPU, by our names; those it does not tell are left out. */
  async registers(): Promise<Record<string, bigint>> {
    const bytes = fromHex(await this.#remote.ask("g"));
    const view = new DataView(bytes.buffer);
    const result: Record<string, bigint> = {};
    for (const name of [...GENERAL_REGISTERS, ...SPECIAL_REGISTERS, "cs"]) {
      const field = this.#layout.get(NAMES[name] ?? name);
      if (!field || field.at + field.size > bytes.length) continue;
      const low = BigInt(view.getUint32(field.at, true));
      const high = field.size < 8 ? 0n : BigInt(view.getUint32(field.at + 4, true));
      result[name] = high << 32n | low;
    }
    return result;
  }

  /** Does every CPU sleep, never to wake: halted, with interrupts off? */
  async sleepsForGood(): Promise<boolean> {
    const text = await this.#remote.monitor("info registers -a");
    const cpus = [...text.matchAll(/[ER]FL=([0-9a-f]+).*?HLT=(\d)/gs)];
    return cpus.length > 0 &&
      cpus.every(([, flags = "", halted]) =>
        halted === "1" && (parseInt(flags, 16) & INTERRUPT_FLAG) === 0
      );
  }

  /** Has the monitor read a port: all that the guest has done is in the log before that. */
  async fence(): Promise<void> {
    await this.#remote.monitor(`i /b 0x${FENCE_PORT.toString(16)}`);
  }

  /** Guest-physical address behind a linear one, by the first CPU's tables. */
  async translate(linear: bigint): Promise<number | undefined> {
    const text = await this.#remote.monitor(`gva2gpa 0x${linear.toString(16)}`);
    const address = /gpa: 0x([0-9a-f]+)/.exec(text)?.[1];
    return address === undefined ? undefined : parseInt(address, 16);
  }
}

const INTERRUPT_FLAG = 0x200;

async function connected(path: string, alive: () => boolean): Promise<Wire | undefined> {
  while (alive()) {
    try {
      return await Deno.connect({ transport: "unix", path });
    } catch (error) {
      const early = error instanceof Deno.errors.NotFound ||
        error instanceof Deno.errors.ConnectionRefused;
      if (!early) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
  return undefined;
}
