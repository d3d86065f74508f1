// What may happen to a QEMU while it runs a guest: how it is found, what is done to it, and how its run ends then.
import type { Random } from "../../engine/oracle/random.ts";
import { packet } from "../../engine/gdb/rsp.ts";
import { FILES } from "./machine.ts";

/** A process of a run, by number, and the folder of its files. */
export interface Victim {
  readonly pid: number;
  readonly folder: string;
}

/** One thing that may happen. */
export interface Fault {
  /** How the run ends then, unless it has ended before. */
  readonly end: RegExp;
  /** It changes the guest, who need not print any more what its program says. */
  readonly spoils?: true;
  readonly strike: (victim: Victim, random: Random) => void | Promise<void>;
}

/** It goes on as if nothing had happened. */
export const UNHARMED = /^stopped by the limit on (time|exits)$/;
/** What it does about it is QEMU's business; ours, that there is a verdict. */
export const ANY = /^(stopped by|crash|shutdown|halt|triple)/;
const died = (how: string) => new RegExp(`^crash at 0x0: QEMU ended with [^]*${how}`);
const BROKEN_LOG = /^crash at 0x0: Line \d+ of QEMU's log is none of its own: /;
const BROKEN_STUB = /^crash at 0x0: QEMU's stub failed: /;

/** Bytes written at a time into what belongs to somebody else. */
const RUBBISH = 4096;
/** More than a run's output may be. */
const FLOOD = 8 << 20;
const PAUSE_MS = 5;
const LOG = 2, STUB = 1;

const signal = (name: Deno.Signal) => ({ pid }: Victim) => Deno.kill(pid, name);
const says = (fd: number, text: string) => (victim: Victim) =>
  pour(victim, fd, [new TextEncoder().encode(text)]);
const rubbish = (fd: number, bytes: number) => (victim: Victim, random: Random) =>
  pour(victim, fd, chunks(bytes, random));

function* chunks(bytes: number, random: Random): Generator<Uint8Array> {
  for (let left = bytes; left > 0; left -= RUBBISH) yield random.bytes(RUBBISH);
}

/** Writes as if it were the process's own output. */
async function pour({ pid }: Victim, fd: number, parts: Iterable<Uint8Array>): Promise<void> {
  using file = await Deno.open(`/proc/${pid}/fd/${fd}`, { write: true });
  for (const part of parts) await file.write(part);
}

/** By their names. */
export const FAULTS: Readonly<Record<string, Fault>> = {
  "nothing": { end: UNHARMED, strike: () => {} },
  "SIGKILL": { end: died("(SIGKILL|137)"), strike: signal("SIGKILL") },
  "SIGSEGV": { end: died("(SIGSEGV|139)"), strike: signal("SIGSEGV") },
  "SIGABRT": { end: died("(SIGABRT|134)"), strike: signal("SIGABRT") },
  // It tells so, and maybe in the middle of another line.
  "SIGTERM": {
    end: /^crash at 0x0: [^]*(signal 15|SIGTERM|exit status 0|none of its own)/,
    strike: signal("SIGTERM"),
  },
  "SIGSTOP": { end: UNHARMED, strike: signal("SIGSTOP") },
  "SIGSTOP, SIGCONT": {
    end: UNHARMED,
    async strike({ pid }) {
      Deno.kill(pid, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      Deno.kill(pid, "SIGCONT");
    },
  },
  "words in its log": { end: UNHARMED, strike: says(LOG, "qemu: sorry\n\nqemu: again\n") },
  "half an access in its log": {
    end: BROKEN_LOG,
    strike: says(LOG, "memory_region_ops_write cpu 0 mr 0x1 addr 0x3f8 value 0x"),
  },
  "a huge access in its log": {
    end: BROKEN_LOG,
    strike: says(
      LOG,
      `memory_region_ops_write cpu 0 mr 0x1 addr 0x3f8 value 0x41 size ${"9".repeat(30)}\n`,
    ),
  },
  "a monitor's access in its log": {
    end: BROKEN_LOG,
    strike: says(LOG, "memory_region_ops_read cpu -1 mr 0x1 addr 0xed value 0xff size 1\n"),
  },
  "rubbish in its log": { end: BROKEN_LOG, strike: rubbish(LOG, RUBBISH) },
  "a flood in its log": { end: BROKEN_LOG, strike: rubbish(LOG, FLOOD) },
  "rubbish from its stub": { end: BROKEN_STUB, strike: rubbish(STUB, RUBBISH) },
  "a flood from its stub": { end: BROKEN_STUB, strike: rubbish(STUB, FLOOD) },
  "a packet from its stub": { end: BROKEN_STUB, strike: says(STUB, packet("hello").slice(1)) },
  "its folder removed": {
    end: ANY,
    strike: ({ folder }) => Deno.removeSync(folder, { recursive: true }),
  },
  "its disk truncated": {
    end: UNHARMED,
    strike({ folder }) {
      // Not all have one.
      try {
        Deno.truncateSync(`${folder}/disk0`);
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    },
  },
  "its RAM truncated": {
    end: ANY,
    spoils: true,
    strike: ({ folder }) => Deno.truncateSync(`${folder}/${FILES.ram}`),
  },
  "its RAM overwritten": {
    end: ANY,
    spoils: true,
    strike({ folder }, random) {
      using file = Deno.openSync(`${folder}/${FILES.ram}`, { write: true });
      file.writeSync(random.bytes(file.statSync().size));
    },
  },
  "its RAM removed": {
    end: UNHARMED,
    strike: ({ folder }) => Deno.removeSync(`${folder}/${FILES.ram}`),
  },
};

/** The processes that run by this program's name. */
export function victims(program: string): Victim[] {
  const found: Victim[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    let command: string;
    try {
      command = Deno.readTextFileSync(`/proc/${name}/cmdline`);
    } catch {
      continue; // It has just ended.
    }
    const [first, ...args] = command.split("\0");
    const folder = args[args.indexOf("-bios") + 1]?.replace(/\/[^/]*$/, "");
    if (first === program && folder) found.push({ pid: Number(name), folder });
  }
  return found;
}
