// One run on a VMM of the user's: what it tells becomes a trace. Whatever it does, the run has an end in time, and what it had told
// until then is kept.
import { watchedMemory } from "../../vmm/final_state.ts";
import { cyclesOf } from "../../vmm/cost_model.ts";
import type { Job } from "../../vmm/subject.ts";
import type { EndState, Exit } from "../../trace/exit.ts";
import { Recorder } from "../../trace/recorder.ts";
import type { FinalState, Hidden, Observable, Trace } from "../../trace/trace.ts";
import { type Connection, unexpected, WRITE_MS } from "./connection.ts";
import { finalDisks, FinalMemory, type ReadBytes } from "./final.ts";
import { ForwardedBoard } from "./forwarded.ts";
import { loading } from "./load.ts";
import type { Capabilities, Hello, Request, ResponseOf } from "./protocol.ts";

/** Milliseconds between two looks at whether the run is to be given up. */
const ABORT_POLL_MS = 100;

/** What a process can have written without anybody reading it, a pipe's size, takes less to be read. */
const DRAIN_MS = 500;

/** When the time is up, what is there already is looked at; this long is enough to see whether there is anything. */
const LAST_LOOK_MS = 50;

/** The run is over, for this reason, which is the VMM's fault: a clause without a full stop. */
class Trouble {
  constructor(readonly reason: string) {}
}
/** It is over a limit, and has not ended by itself. */
class Over {
  constructor(readonly limit: "exits" | "time") {}
}
/** The VMM says that it can't do this. */
export class Unsupported {
  constructor(readonly reason: string) {}
}

/** What became of a run. */
export interface Outcome {
  readonly trace: Trace;
  /** Is the VMM where it was before, and ready for another one? */
  readonly intact: boolean;
}

/** A run on a VMM that has said hello. `grace`: milliseconds beyond the run's own limit on measured time. */
export async function runOn(
  connection: Connection,
  hello: Hello,
  job: Job,
  grace: number,
): Promise<Outcome | Unsupported> {
  const session = new Session(connection, hello, job, grace);
  return await session.toEnd();
}

/** The trace of a run that came to nothing, as its VMM could not be started. */
export function nothing(reason: string, job: Job): Trace {
  const end: EndState = { kind: "crash", reason: capital(reason), rip: 0n };
  const final = { registers: {}, memory: {}, disks: [] };
  return traceOf(new Recorder(() => 0), job, end, final, 0, [
    ...["instructions", "exits", "accesses", "injections"] as const,
    ...["console", "registers", "memory", "disks"] as const,
  ]);
}

class Session {
  readonly #connection: Connection;
  readonly #can: Capabilities;
  readonly #job: Job;
  readonly #grace: number;
  readonly #started = performance.now();
  readonly #recorder: Recorder;
  readonly #board: ForwardedBoard | undefined;
  #until: number;
  /** When it was seen that the time is up: it may be this process that was slow, and the VMM's answer is there. */
  #lateSince: number | undefined;
  /** What trivisor's devices have ended it with. */
  #stop: EndState | undefined;
  #at = 0;
  #cpu: number | undefined;
  #rip = 0n;

  constructor(connection: Connection, hello: Hello, job: Job, grace: number) {
    this.#connection = connection;
    this.#can = hello.capabilities;
    this.#job = job;
    this.#grace = grace;
    this.#until = this.#started + job.group.limits.wallMs + grace;
    this.#recorder = new Recorder(() => this.#at, () => this.#cpu);
    this.#board = this.#can.devices === "forwarded"
      ? new ForwardedBoard(job.image, this.#recorder, job.group.limits.time)
      : undefined;
  }

  async toEnd(): Promise<Outcome | Unsupported> {
    try {
      const message = await this.#run();
      const final = await this.#final(message);
      return { trace: this.#trace(this.#endOf(message), final, this.#unobserved()), intact: true };
    } catch (error) {
      if (error instanceof Unsupported) return error;
      if (error instanceof Over) await this.#drain();
      const end = this.#failure(error);
      const lost = ["registers", "memory", "instructions"] as const;
      const disks = this.#board ? [] : ["disks" as const];
      const unobserved = [...new Set([...this.#unobserved(), ...lost, ...disks])];
      const final = { registers: {}, memory: {}, disks: this.#board?.disks() ?? [] };
      return { trace: this.#trace(end, final, unobserved), intact: false };
    }
  }

  /** The end of a run that has none of its own. Anything but the VMM's doing is a defect of ours. */
  #failure(error: unknown): EndState {
    if (error instanceof Over) return { kind: "limit", limit: error.limit };
    if (error instanceof Trouble) {
      return { kind: "crash", reason: capital(error.reason), rip: this.#rip };
    }
    throw error;
  }

  /** What a VMM whose time is up had said by then, but nobody had read yet. */
  async #drain(): Promise<void> {
    this.#connection.kill();
    const until = performance.now() + DRAIN_MS;
    for (let left = DRAIN_MS; left > 0; left = until - performance.now()) {
      const received = await this.#connection.receive(left);
      if (received.kind !== "message" || received.message.type !== "events") return;
      for (const event of received.message.events) this.#event(event);
    }
  }

  /** Loads, runs, and takes what comes until the end. */
  async #run(): Promise<ResponseOf<"end">> {
    const { image, group: { limits } } = this.#job;
    this.#connection.allowance();
    await this.#send(loading(image, limits, this.#board !== undefined));
    for (;;) {
      const { message, line } = await this.#receive();
      switch (message.type) {
        case "events":
          for (const event of message.events) this.#event(event);
          this.#checkLimit();
          break;
        case "exit": {
          this.#exit(message);
          this.#checkLimit();
          const answer = this.#answer(message);
          await this.#send([answer], this.#grace);
          if (answer.type === "stop") return await this.#stopped();
          break;
        }
        case "end":
          if (message.end.kind === "stopped") {
            throw new Trouble(`line ${line} of the VMM's output: nobody has stopped it`);
          }
          return message;
        case "unsupported":
          throw new Unsupported(message.reason);
        case "error":
          throw new Trouble(`the VMM gives up: ${message.reason}`);
        case "hello":
        case "bytes":
          throw new Trouble(unexpected(message, "an event or the end", line));
        default:
          return message satisfies never;
      }
    }
  }

  #answer({ exit, interruptible }: ResponseOf<"exit">) {
    const answer = this.#board?.handle(exit, interruptible) ?? {};
    if ("end" in answer) {
      this.#stop = answer.end;
      return { type: "stop" } as const;
    }
    const { value, ...rest } = answer;
    return {
      type: "resume",
      ...rest,
      ...(value === undefined ? {} : { value: `0x${value.toString(16)}` }),
    } as const;
  }

  /** What comes after `stop`: the end. */
  async #stopped(): Promise<ResponseOf<"end">> {
    for (;;) {
      const { message, line } = await this.#receive();
      if (message.type === "end") return message;
      // Events that were on their way.
      if (message.type !== "events") throw new Trouble(unexpected(message, "the end", line));
      for (const event of message.events) this.#event(event);
    }
  }

  #endOf({ end }: ResponseOf<"end">): EndState {
    if (this.#stop) return this.#stop;
    if (end.kind === "stopped") {
      throw new Error("An end that nobody asked for has been let through");
    }
    return end;
  }

  #checkLimit(): void {
    const { exits } = this.#job.group.limits;
    if (this.#recorder.counts.exits.total > exits) throw new Over("exits");
  }

  #event(event: ResponseOf<"events">["events"][number]): void {
    this.#when(event);
    if ("exit" in event) this.#record(event.exit);
    else if ("access" in event) this.#recorder.access(event.access);
    else if ("injection" in event) this.#recorder.injection(event.injection);
    else this.#recorder.console(Uint8Array.fromBase64(event.console));
  }

  #exit(message: ResponseOf<"exit">): void {
    this.#when(message);
    this.#record(message.exit);
  }

  #record(exit: Exit): void {
    this.#rip = exit.rip;
    // Of a kind of which it does not show all, none is shown.
    if (this.#can.exits.includes(exit.kind)) this.#recorder.exit(exit);
  }

  #when({ at, cpu }: { readonly at?: number; readonly cpu?: number }): void {
    this.#at = at ?? this.#at;
    this.#cpu = cpu;
  }

  /** Where the VMM has closed its input, what it says next tells why. */
  async #send(requests: Iterable<Request>, most = WRITE_MS): Promise<void> {
    const left = Math.max(LAST_LOOK_MS, this.#until - performance.now());
    if (await this.#connection.send(requests, Math.min(left, most)) !== "late") return;
    if (performance.now() >= this.#until) throw new Over("time");
    throw new Trouble("the VMM does not read what it is sent");
  }

  /** The next message. */
  async #receive() {
    for (;;) {
      if (this.#job.abort?.()) throw new Over("time");
      const now = performance.now();
      if (now >= this.#until) this.#lateSince ??= now;
      if (this.#lateSince !== undefined && now > this.#lateSince + DRAIN_MS) throw new Over("time");
      const wait = Math.max(LAST_LOOK_MS, Math.min(this.#until - now, ABORT_POLL_MS));
      const received = await this.#connection.receive(wait);
      if (received.kind === "silence") {
        if (this.#lateSince !== undefined) throw new Over("time");
        continue;
      }
      if (received.kind === "message") return received;
      throw new Trouble(received.reason);
    }
  }

  /** What is left of the guest; a VMM that can't say is at fault here, not the guest. */
  async #final(message: ResponseOf<"end">): Promise<FinalState> {
    const { image, group, subject } = this.#job;
    this.#until = performance.now() + this.#grace;
    this.#lateSince = undefined;
    const registers = message.registers ?? {};
    const missing = this.#can.registers && !message.registers
      ? "registers"
      : this.#can.instructions && message.instructions === undefined
      ? "instructions"
      : undefined;
    if (missing) throw new Trouble(`the end has no ${missing}, though hello says so`);
    if (message.instructions !== undefined) {
      this.#recorder.counts.instructions = message.instructions;
    }
    const memory: Record<string, Uint8Array> = {};
    const read: ReadBytes = (request) => this.#read(request);
    if (this.#can.memoryReads) {
      const reader = new FinalMemory(read, registers);
      const watched = watchedMemory(image, group.guest, subject);
      const bytes: [string, Uint8Array][] = [];
      for (const one of watched) bytes.push([one.label, await reader.read(one)]);
      Object.assign(memory, Object.fromEntries(bytes));
    }
    const disks = this.#board?.disks() ??
      (this.#can.disks ? await finalDisks(read, image.disks) : []);
    return { registers, memory, disks };
  }

  async #read(request: Parameters<ReadBytes>[0]): Promise<Uint8Array> {
    await this.#send([request]);
    const { message, line } = await this.#receive();
    if (message.type !== "bytes") throw new Trouble(unexpected(message, '"bytes"', line));
    const bytes = Uint8Array.fromBase64(message.bytes);
    if (bytes.length <= request.length) return bytes;
    throw new Trouble(
      `line ${line} of the VMM's output: ${bytes.length} bytes, where ${request.length} were asked for`,
    );
  }

  #unobserved(): Observable[] {
    const can = this.#can;
    const shown: Record<Observable, boolean> = {
      instructions: can.instructions,
      exits: can.exits.length > 0,
      accesses: can.accesses || this.#board !== undefined,
      // With forwarded devices they are trivisor's.
      injections: can.injections || this.#board !== undefined,
      console: can.console || this.#board !== undefined,
      registers: can.registers,
      memory: can.memoryReads,
      disks: can.disks || this.#board !== undefined,
    };
    return (Object.keys(shown) as Observable[]).filter((what) => !shown[what]);
  }

  #trace(end: EndState, final: FinalState, unobserved: readonly Observable[]): Trace {
    const { exits, injections } = this.#can;
    const ns = Math.round((performance.now() - this.#started) * 1e6);
    const trace = traceOf(this.#recorder, this.#job, end, final, ns, unobserved);
    return {
      ...trace,
      ...(exits.length > 0 ? { exitKinds: exits } : {}),
      ...(this.#board && !injections ? { hidden: BESIDE_BOARD } : {}),
    };
  }
}

/** Our board's interrupts are seen where they come from; of what the VMM delivers itself nothing is. */
const BESIDE_BOARD: Hidden = { devices: [], injections: ["exception", "nmi", "event"] };

function traceOf(
  recorder: Recorder,
  { profile }: Job,
  end: EndState,
  final: FinalState,
  wallNs: number,
  unobserved: readonly Observable[],
): Trace {
  const { events, dropped, counts } = recorder;
  const cycles = cyclesOf({ ...counts, exits: counts.ways }, profile);
  const console = recorder.consoleBytes();
  return { events, dropped, counts, cycles, console, end, final, wallNs, unobserved };
}

function capital(clause: string): string {
  return clause.charAt(0).toUpperCase() + clause.slice(1);
}
