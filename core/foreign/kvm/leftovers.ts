// Gives back what a thread held that was ended in the middle of its work: machines of KVM's, their memory and timers.
import type { Held, Holding, Holdings } from "../../engine/kvm/holdings.ts";
import { SIGNAL } from "../../engine/kvm/interrupter.ts";
import { type Libc, libc } from "../../engine/kvm/libc.ts";
import { gone, type Threads } from "../../engine/kvm/threads.ts";

/**
 * Milliseconds that the thread may take to end, and between two looks at it. Deno (2.9) does not end a thread that is in the middle
 * of something: it is told to be soon done.
 */
const PATIENCE_MS = 3_000, PAUSE_MS = 5;

/** In this order: a machine's memory is there as long as the machine. */
const ORDER: readonly Held[] = ["timer", "descriptor", "mapping"];

/**
 * Waits until the thread is gone, which has been told to end, and gives back what it held. A thread that does not end keeps it:
 * whoever uses memory that is taken away ends the process. So do `threads`, of the machine's CPUs: nobody tells them anything
 * any more, once it is gone.
 */
export async function freeLeftovers(holdings: Holdings, threads: Threads): Promise<void> {
  const thread = holdings.end();
  if (thread === undefined) return void threads.end();
  const system = libc();
  const until = performance.now() + PATIENCE_MS;
  while (system.signalThread(thread, signalFor(holdings))) {
    if (performance.now() > until) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  if (!await gone(threads.end(), PATIENCE_MS)) return;
  const all = holdings.all();
  for (const kind of ORDER) {
    for (const holding of all) if (holding.what === kind) free(system, holding);
  }
}

/** A guest that runs is taken from its CPU. The thread has to have blocked the signal before: its timer comes after that. */
function signalFor(holdings: Holdings): number {
  return holdings.all().some(({ what }) => what === "timer") ? SIGNAL : 0;
}

function free(system: Libc, { what, handle, size }: Holding): void {
  switch (what) {
    case "timer":
      return system.deleteTimer(handle);
    case "descriptor":
      return system.close(Number(handle));
    case "mapping":
      return system.unmap(handle, size);
    default:
      return what satisfies never;
  }
}
