// What this process holds, before and after runs that go wrong.
import { assert, assertEquals } from "@std/assert";
import v8 from "node:v8";
import vm from "node:vm";

/** What this process holds. */
export interface Census {
  /** Processes that live, by command line: those that have the token (see {@linkcode census}) in it. */
  readonly processes: readonly string[];
  readonly descriptors: number;
  /** What they and the threads are, by kind, for messages. */
  readonly kinds: string;
  /** Without those that Deno keeps for a while for whatever blocks. */
  readonly threads: number;
  /** Stretches of address space that come from /dev/kvm, or are shared memory: a guest's RAM. */
  readonly maps: number;
  /** The kernel's, of this process. */
  readonly timers: number;
  /** Resident bytes. */
  readonly memory: number;
}

const SHARED = / \S\S\Ss .*(\/dev\/zero|kvm)/;

/** For memory alone: whatever else is left to the collector is left. */
function collectGarbage(): void {
  v8.setFlagsFromString("--expose-gc");
  const collect: unknown = vm.runInNewContext("gc");
  if (typeof collect === "function") collect();
}

const lines = (path: string) => Deno.readTextFileSync(path).split("\n");

/** {@linkcode Census.maps} alone, at once: a whole census takes as long as a guest lives, where guests keep the host busy. */
export function countMaps(): number {
  return lines("/proc/self/maps").filter((line) => SHARED.test(line)).length;
}

/** Counts what there is. `token`: text by which the processes are known that are to be gone, whoever their parent is. */
export async function census(token: string): Promise<Census> {
  const processes: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    const [command, stat] = await Promise.all([
      Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""),
      Deno.readTextFile(`/proc/${name}/stat`).catch(() => ""),
    ]);
    // The dead whose parent has not asked for their status have no command line.
    if (command.includes(token)) {
      processes.push(
        `${name} ${command.replaceAll("\0", " ")} ${/\) (\w)/.exec(stat)?.[1] ?? "?"}`,
      );
    }
  }
  const own = (what: string) => [...Deno.readDirSync(`/proc/self/${what}`)].length;
  return {
    processes,
    descriptors: own("fd"),
    kinds: `${kinds("fd", fileOf)}, ${kinds("task", threadOf)}`,
    threads: threads(),
    maps: countMaps(),
    timers: lines("/proc/self/timers").filter((line) => line.startsWith("ID:")).length,
    memory: Deno.memoryUsage().rss,
  };
}

function fileOf(path: string): string {
  return Deno.readLinkSync(path).replace(/\[\d+\]/, "");
}
function threadOf(path: string): string {
  return Deno.readTextFileSync(`${path}/comm`).trim().replace(/\d+$/, "");
}

/** By the name that Deno gives them. */
const KEPT_THREADS = /^tokio/;

function threads(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/task")) {
    try {
      if (!KEPT_THREADS.test(threadOf(`/proc/self/task/${name}`))) count++;
    } catch {
      // It has just ended.
    }
  }
  return count;
}

/** How many there are of what `kindOf` says. */
function kinds(what: string, kindOf: (path: string) => string): string {
  const counts = new Map<string, number>();
  for (const { name } of Deno.readDirSync(`/proc/self/${what}`)) {
    let kind = "gone";
    try {
      kind = kindOf(`/proc/self/${what}/${name}`);
    } catch {
      // It was there for this folder to be read.
    }
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].map(([kind, count]) => `${count} ${kind}`).join(", ");
}

/**
 * Memory that a run of many may leave to caches and to whoever gives it back to the system: floods are tens of MiB, eight at once.
 * In eight rounds after a first one, it was between 93 MiB less and 150 more.
 */
const SLACK_BYTES = 320 << 20;
/** Looks at what is dying, so many milliseconds apart. */
const LOOKS = 150, PAUSE_MS = 20;

const COUNTED = ["descriptors", "threads", "maps", "timers"] as const;

/** Holds that nothing is left of what was made since `before`: waits a moment for what is dying. */
export async function assertNothingLeft(before: Census, token: string): Promise<void> {
  let after = await census(token);
  const dying = () =>
    after.processes.length > 0 || COUNTED.some((what) => after[what] > before[what]);
  for (let looks = 0; looks < LOOKS && dying(); looks++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    after = await census(token);
  }
  assertEquals(after.processes, [], "processes that are left");
  for (const what of COUNTED) {
    assert(
      after[what] <= before[what],
      `${after[what]} ${what}, where there were ${
        before[what]
      }; after: ${after.kinds}; before: ${before.kinds}`,
    );
  }
  collectGarbage();
  const grown = Deno.memoryUsage().rss - before.memory;
  assert(grown < SLACK_BYTES, `${Math.round(grown / 2 ** 20)} MiB of memory more`);
}

/** For people. */
export function describeCensus({ memory, ...counts }: Census): string {
  return [
    ...COUNTED.map((what) => `${counts[what]} ${what}`),
    `${Math.round(memory / 2 ** 20)} MiB`,
  ].join(", ");
}
