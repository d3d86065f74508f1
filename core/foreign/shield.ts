// Children live in sessions of their own, where neither Ctrl-C nor the terminal's end reaches them: when a signal ends this
// process, or an error, they are ended first. Used by `child.ts`.

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** The other ends: `Deno.exit`, and what nobody has caught. */
const ENDS = ["unload", "error", "unhandledrejection"] as const;

const ENDED_BY_SIGNAL = 130;

const kills = new Set<() => void>();
const listeners = new Map<Deno.Signal, () => void>();

/** Calls `kill` should a signal end this process, `Deno.exit`, or a defect; what is returned takes that back. */
export function shield(kill: () => void): () => void {
  if (kills.size === 0) watch();
  kills.add(kill);
  return () => {
    if (kills.delete(kill) && kills.size === 0) unwatch();
  };
}

function killAll(): void {
  for (const kill of kills) kill();
}

function watch(): void {
  for (const end of ENDS) globalThis.addEventListener(end, killAll);
  for (const signal of SIGNALS) {
    const listener = () => {
      killAll();
      unwatch();
      try {
        // Now the signal does what it does without a listener.
        Deno.kill(Deno.pid, signal);
      } catch {
        Deno.exit(ENDED_BY_SIGNAL); // no permission to run anything
      }
    };
    try {
      Deno.addSignalListener(signal, listener);
      listeners.set(signal, listener);
    } catch {
      // Not on this system.
    }
  }
}

function unwatch(): void {
  for (const end of ENDS) globalThis.removeEventListener(end, killAll);
  for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  listeners.clear();
}
