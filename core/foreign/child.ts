// A child process under supervision: every foreign subject's. Whatever the child does, each call here settles in the time given,
// memory stays bounded, and after `end` neither the child nor what it has started is left.
import { LineSplitter, Tail } from "./lines.ts";
import { Pull } from "./pull.ts";
import { shield } from "./shield.ts";

/** What to start. There is no shell in between. */
export interface ChildOptions {
  /** A name that is looked up in PATH, or a path. */
  readonly program: string;
  readonly args?: readonly string[];
  /** Added to what this process has. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /**
   * The stream that has the lines: stdout by default, where the end of stderr is kept; with `stderr`, stdout is for
   * {@linkcode Child.bytes}.
   */
  readonly lines?: "stdout" | "stderr";
  /** Bytes of one line of its output; {@linkcode MAX_LINE} by default. */
  readonly maxLine?: number;
  /**
   * Bytes of its lines, and as many of its other stream, since it was started or `allowance` was called;
   * {@linkcode MAX_OUTPUT} by default.
   */
  readonly maxOutput?: number;
}

/** A line may carry a guest's memory. */
export const MAX_LINE = 64 << 20;
/** More than two million exits with all their fields. */
export const MAX_OUTPUT = 512 << 20;
/** What is kept of stderr. */
const STDERR_TAIL = 4096;
/** When a child has ended but somebody else holds its pipes: silence after which they are taken for closed. */
const DRAIN_MS = 100;
/** A process that SIGKILL does not end within this time hangs in the kernel; nothing more can be done about it. */
const KILL_MS = 10_000;

/** Why there is no child: a sentence without a full stop. */
export type Spawned = { readonly child: Child } | { readonly failed: string };

/** What the child has written next. */
export type Line =
  /** `number` counts from 1. */
  | { readonly kind: "line"; readonly text: string; readonly number: number }
  /** A line that is not UTF-8. */
  | { readonly kind: "garbled"; readonly number: number }
  /** It writes no more; `rest` is what followed the last newline. */
  | { readonly kind: "end"; readonly rest: string; readonly number: number }
  /** A line or the whole is beyond its bound, or stderr is; `what` is a sentence without a full stop. */
  | { readonly kind: "flood"; readonly what: string; readonly number: number }
  /** Nothing came in time. */
  | { readonly kind: "silence" };

/** What became of something written: `closed` if the child does not read any more, `late` if it did not in time. */
export type Written = "written" | "closed" | "late";

/** How a child has ended. */
export interface Ended {
  /** Exit status, 128 + n after signal n. */
  readonly code: number;
  readonly signal: string | undefined;
  /** In words: `exit status 3`, `SIGSEGV`. */
  readonly how: string;
}

/** Starts a program in a process group of its own. Never throws. */
export function spawnChild(options: ChildOptions): Spawned {
  const { program, args = [], env, cwd } = options;
  try {
    const process = new Deno.Command(program, {
      args: [...args],
      ...(env ? { env: { ...env } } : {}),
      ...(cwd === undefined ? {} : { cwd }),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // Its own session, hence group: what it starts can be ended with it.
      detached: true,
    }).spawn();
    return { child: new Child(process, options) };
  } catch (error) {
    return { failed: whyNotStarted(program, error) };
  }
}

function whyNotStarted(program: string, error: unknown): string {
  if (error instanceof Deno.errors.NotCapable) {
    return `trivisor has no permission to run ${program}: give it --allow-run`;
  }
  if (error instanceof Deno.errors.NotFound) return `there is no program ${program}`;
  if (error instanceof Deno.errors.PermissionDenied) return `${program} may not be executed`;
  return `${program} can't be started: ${error instanceof Error ? error.message : String(error)}`;
}

/** A running child. One caller at a time reads, one writes; {@linkcode end} must be called, whatever happened. */
export class Child {
  readonly pid: number;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  /** What has the lines, and what has not. */
  readonly #text: Pull;
  readonly #other: Pull;
  readonly #errorsRead: Promise<void> | undefined;
  readonly #exited: Promise<Ended>;
  readonly #unshield: () => void;
  readonly #lines: LineSplitter;
  #maxOutput: number;
  readonly #tail = new Tail(STDERR_TAIL);
  /** Bytes of lines, and of the other stream. */
  #bytes = 0;
  #others = 0;
  #number = 0;
  #over: Line | undefined;
  #ended: Ended | undefined;
  #ending: Promise<Ended> | undefined;

  constructor(process: Deno.ChildProcess, { maxLine, maxOutput, lines }: ChildOptions) {
    this.#process = process;
    this.pid = process.pid;
    this.#lines = new LineSplitter(maxLine ?? MAX_LINE);
    this.#maxOutput = maxOutput ?? MAX_OUTPUT;
    const [stdout, stderr] = [new Pull(process.stdout), new Pull(process.stderr)];
    [this.#text, this.#other] = lines === "stderr" ? [stderr, stdout] : [stdout, stderr];
    this.#writer = process.stdin.getWriter();
    // A pipe that breaks is told by `write`; nobody waits for this.
    this.#writer.closed.catch(() => {});
    this.#unshield = shield(() => this.kill());
    this.#exited = process.status.then(({ code, signal }) => {
      // What it has started holds its pipes, and has no business after it.
      this.#killGroup();
      this.#unshield();
      this.#ended = { code, signal: signal ?? undefined, how: signal ?? `exit status ${code}` };
      // Whoever waits for output is told.
      this.#text.wake();
      this.#other.wake();
      return this.#ended;
    });
    this.#errorsRead = lines === "stderr" ? undefined : this.#watchErrors();
  }

  /** How it has ended, if it has. */
  get ended(): Ended | undefined {
    return this.#ended;
  }

  /** The last 4 KiB of its stderr, where that has not the lines. */
  get stderr(): string {
    return this.#tail.text();
  }

  /** The next line, waiting for at most `ms`. After `end` and `flood` comes the same again. */
  async line(ms: number): Promise<Line> {
    const until = performance.now() + ms;
    for (;;) {
      if (this.#over) return this.#over;
      const bytes = this.#lines.next();
      if (bytes === "too-long") return this.#flood("a line without end");
      if (bytes) return this.#line(bytes);
      if (this.#others > this.#maxOutput) return this.#flood("too much on stderr");
      const left = until - performance.now();
      const chunk = await this.#text.next(this.#ended ? Math.min(left, DRAIN_MS) : left);
      if (chunk === "woken") continue;
      // Nothing of a child that has ended: somebody who escaped holds its pipe.
      if (chunk === "late" && !this.#ended) return { kind: "silence" };
      if (chunk === "late" || chunk === undefined) {
        const rest = new TextDecoder().decode(this.#lines.rest());
        return this.#over = { kind: "end", rest, number: this.#number + 1 };
      }
      this.#bytes += chunk.length;
      this.#lines.push(chunk);
      if (this.#bytes > this.#maxOutput) return this.#flood("too much output");
    }
  }

  /** What it has written to stdout next, where stderr has the lines; undefined: no more, or it was too much. */
  async bytes(): Promise<Uint8Array | undefined> {
    while (this.#others <= this.#maxOutput) {
      const chunk = await this.#other.next(this.#ended ? DRAIN_MS : Infinity);
      if (chunk === "woken") continue;
      if (chunk === "late" || chunk === undefined) return undefined;
      this.#others += chunk.length;
      return chunk;
    }
    return undefined;
  }

  /** A new piece of work begins: what it may write counts from here. */
  allowance(maxOutput = this.#maxOutput): void {
    this.#maxOutput = maxOutput;
    this.#bytes = 0;
    this.#others = 0;
  }

  /** Hands text to its stdin, waiting for at most `ms`. */
  write(data: string | Uint8Array, ms: number): Promise<Written> {
    if (this.#ended || this.#ending) return Promise.resolve("closed");
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("late"), ms);
      const settle = (written: Written) => {
        clearTimeout(timer);
        resolve(written);
      };
      this.#writer.write(typeof data === "string" ? new TextEncoder().encode(data) : data)
        .then(() => settle("written"), () => settle("closed"));
    });
  }

  /**
   * Ends it: with `grace`, by closing its stdin, then by SIGTERM, waiting so many milliseconds after each; then by SIGKILL, and
   * whatever it has started with it. Returns when it is gone and nothing of it is held. May be called again.
   */
  end(grace = 0): Promise<Ended> {
    return this.#ending ??= this.#end(grace);
  }

  async #end(grace: number): Promise<Ended> {
    // Aborting drops what the child has not read; not waited for, as a pipe that somebody holds need not be emptied.
    const closed = grace > 0 ? this.#writer.close() : this.#writer.abort();
    closed.catch(() => {});
    if (grace > 0 && !await this.exit(grace)) {
      this.#signal("SIGTERM");
      await this.exit(grace);
    }
    this.kill();
    const gone = await this.exit(KILL_MS);
    this.#unshield();
    this.#writer.abort().catch(() => {});
    await Promise.all([this.#text.cancel(), this.#other.cancel()]);
    await this.#errorsRead;
    return gone ?? { code: 137, signal: "SIGKILL", how: "SIGKILL does not end it" };
  }

  /** Its end, if that comes within `ms`. */
  async exit(ms: number): Promise<Ended | undefined> {
    if (this.#ended) return this.#ended;
    const late = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => late.resolve(undefined), ms);
    try {
      return await Promise.race([this.#exited, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Kills it, with whatever it has started. What it had written can still be read; {@linkcode end} is due all the same. */
  kill(): void {
    if (this.#ended) return;
    this.#killGroup();
    this.#signal("SIGKILL");
  }

  #signal(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  /** Needs permission to run anything; with less, only the child itself can be ended. */
  #killGroup(): void {
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch {
      // Nobody is left in it, or there is no permission.
    }
  }

  #flood(what: string): Line {
    return this.#over = { kind: "flood", what, number: this.#number + 1 };
  }

  #line(bytes: Uint8Array): Line {
    const number = ++this.#number;
    try {
      return {
        kind: "line",
        text: new TextDecoder("utf-8", { fatal: true }).decode(bytes),
        number,
      };
    } catch {
      return { kind: "garbled", number };
    }
  }

  async #watchErrors(): Promise<void> {
    for (;;) {
      const chunk = await this.#other.next(Infinity);
      if (chunk === "woken") continue;
      if (!(chunk instanceof Uint8Array)) return;
      this.#tail.push(chunk);
      this.#others += chunk.length;
      // Reading no more holds the child up; whoever waits for output is told.
      if (this.#others > this.#maxOutput) return this.#text.wake();
    }
  }
}
