// The GDB stub of a running QEMU, on its standard streams (a socket would need permission to use the network): what stops it,
// looks into it and lets it go on. Every wait ends when the process does.
import { Disconnected, fromHex, RemoteProtocol, toHex, type Wire } from "../../engine/gdb/rsp.ts";
import { type RegisterLayout, registerLayout } from "../../engine/gdb/layout.ts";
import { GENERAL_REGISTERS, SPECIAL_REGISTERS } from "../../base/registers.ts";
import type { Child } from "../child.ts";
import { FENCE_PORT } from "./log.ts";

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

/** Numbers of the signals in stop replies (GDB's own numbering; QEMU 7.2, gdb_vm_state_change). */
const SIGNALS: Readonly<Record<string, Halted>> = {
  "02": "interrupted",
  "03": "shutdown",
  "05": "breakpoint",
  // KVM can't go on with the guest.
  "06": "shutdown",
};
const STOP_REPLY = /^[ST]([0-9a-f]{2})/;
/** Of what is none, in a message. */
const SHOWN_LENGTH = 40;

/** QEMU takes packets of 4096 bytes (its PacketSize), two digits a byte. */
const MOST_BYTES = 1024;
/** A pipe that QEMU does not empty for so long is not going to be. */
const WRITE_MS = 10_000;

/** Names in the stub's description, where they are not ours. */
const NAMES: Readonly<Record<string, string>> = { rflags: "eflags" };

/** A CPU of a machine that stands still. */
export interface CpuState {
  /** Linear address of the next instruction. */
  readonly instruction: bigint;
  readonly halted: boolean;
  /** Are interrupts on? */
  readonly interruptible: boolean;
}

/** What the monitor and the stub tell of a machine that stands still. */
export class Stub {
  readonly #remote: RemoteProtocol;
  readonly #layout: RegisterLayout;
  #running = false;

  private constructor(remote: RemoteProtocol, layout: RegisterLayout) {
    this.#remote = remote;
    this.#layout = layout;
  }

  /** Greets it. Throws where QEMU does not answer as it should, or ends. */
  static async connect(child: Child): Promise<Stub> {
    const remote = new RemoteProtocol(wireOf(child));
    await remote.ask("qSupported:xmlRegisters=i386");
    return new Stub(remote, await registerLayout(remote));
  }

  /** `hardware`: by debug registers. */
  async setBreakpoints(addresses: readonly bigint[], hardware: boolean): Promise<void> {
    await this.#breakpoints("Z", addresses, hardware);
  }
  async clearBreakpoints(addresses: readonly bigint[], hardware: boolean): Promise<void> {
    await this.#breakpoints("z", addresses, hardware);
  }

  async #breakpoints(letter: string, addresses: readonly bigint[], hardware: boolean) {
    for (const address of addresses) {
      await this.#remote.ask(`${letter}${hardware ? 1 : 0},${address.toString(16)},1`);
    }
  }

  /** Stops the guest if it runs. */
  interrupt(): void {
    if (!this.#running) return;
    void this.#remote.interrupt().catch(() => {});
  }

  /** One instruction of the guest's. */
  async step(): Promise<Halted> {
    try {
      await this.#remote.send("s");
      return await this.#halted();
    } catch (error) {
      return goneBy(error);
    }
  }

  /** Lets it run until it stops by itself, or for `ms`. Throws where what the stub says is no stop reply. */
  async run(ms: number): Promise<Halted> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      this.#running = true;
      await this.#remote.send("c");
      timer = setTimeout(() => this.interrupt(), ms);
      return await this.#halted();
    } catch (error) {
      return goneBy(error);
    } finally {
      this.#running = false;
      clearTimeout(timer);
    }
  }

  async #halted(): Promise<Halted> {
    const reply = await this.#remote.receive();
    const halted = SIGNALS[STOP_REPLY.exec(reply)?.[1] ?? ""];
    if (halted) return halted;
    throw new Error(`the guest has stopped by ${JSON.stringify(reply.slice(0, SHOWN_LENGTH))}`);
  }

  /** Writes memory, ROM as well, where linear addresses are physical ones. */
  async poke(address: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += MOST_BYTES) {
      const part = bytes.subarray(at, at + MOST_BYTES);
      const where = `${(address + at).toString(16)},${part.length.toString(16)}`;
      await this.#remote.ask(`M${where}:${toHex(part)}`);
    }
  }

  /** A command of the monitor's that says nothing where it works. */
  async command(text: string): Promise<void> {
    const said = (await this.#remote.monitor(text)).trim();
    if (said !== "") throw new Error(`${text}: ${said}`);
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

  /** Where every CPU is. */
  async cpus(): Promise<readonly CpuState[]> {
    const text = await this.#remote.monitor("info registers -a");
    return [...text.matchAll(CPU_STATE)].map(([, ip, flags, halted, base]) => ({
      instruction: BigInt(`0x${base}`) + BigInt(`0x${ip}`),
      halted: halted === "1",
      interruptible: (parseInt(flags ?? "", 16) & INTERRUPT_FLAG) !== 0,
    }));
  }

  /** Does every CPU sleep, never to wake? */
  async sleepsForGood(cpus: readonly CpuState[], picAlone: boolean): Promise<boolean> {
    return cpus.length > 0 && cpus.every(({ halted }) => halted) &&
      await this.undisturbed(cpus, picAlone);
  }

  /** Comes no interrupt to any of these CPUs: they are off or, where the PIC alone has any, none is let through? */
  async undisturbed(cpus: readonly CpuState[], picAlone: boolean): Promise<boolean> {
    return cpus.every(({ interruptible }) => !interruptible) ||
      (picAlone && ALL_MASKED.test(await this.#remote.monitor("info pic")));
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

/** QEMU is gone; any other error is thrown. */
function goneBy(error: unknown): "gone" {
  if (error instanceof Disconnected) return "gone";
  throw error;
}

const INTERRUPT_FLAG = 0x200;
/** A CPU's part of `info registers`. */
const CPU_STATE = /[ER]IP=([0-9a-f]+) [ER]FL=([0-9a-f]+).*?HLT=(\d).*?CS =\w+ ([0-9a-f]+)/gs;
/** The first PIC, through which the second one goes. */
const ALL_MASKED = /^pic0:.* imr=ff /m;

function wireOf(child: Child): Wire {
  let rest = new Uint8Array();
  return {
    read: async (buffer) => {
      if (rest.length === 0) {
        const chunk = await child.bytes();
        if (!chunk) return null;
        rest = chunk as Uint8Array<ArrayBuffer>;
      }
      const part = rest.subarray(0, buffer.length);
      rest = rest.subarray(part.length);
      buffer.set(part);
      return part.length;
    },
    write: async (bytes) => {
      const written = await child.write(bytes, WRITE_MS);
      if (written === "closed") throw new Disconnected("QEMU has closed its input");
      if (written === "late") throw new Error("QEMU does not read its input");
      return bytes.length;
    },
    close: () => {},
  };
}
