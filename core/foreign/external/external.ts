// The subject that is a VMM of the user's: a program that speaks trivisor-vmm/1 (PROTOCOL.md) on its standard streams. Whatever
// that program does is its verdict, never an error of the harness.
import { type Backend, type SubjectId, subjectName } from "../../base/backend.ts";
import type { Platform } from "../../guest/image.ts";
import type { Trace } from "../../trace/trace.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { Availability, Job, Subject } from "../../vmm/subject.ts";
import { canary, canaryComplaint } from "../canary.ts";
import { connect, type Connected, type Connection } from "./connection.ts";
import { lacking, lackingFor } from "./load.ts";
import type { Hello } from "./protocol.ts";
import { nothing, type Outcome, runOn, Unsupported } from "./session.ts";

/** How to run it. */
export interface ExternalOptions {
  /** Program and arguments; no shell is in between. */
  readonly command: readonly string[];
  /** What it stands for; its hello has to say the same. `full-hw` by default. */
  readonly backend?: Backend;
  /** Milliseconds it may take to say hello. */
  readonly patience?: number;
  /** Milliseconds beyond a run's limit on measured time, for it to end by itself and to tell what is left. */
  readonly grace?: number;
}

/** A busy machine starts an interpreter in less. */
const PATIENCE_MS = 10_000;
const GRACE_MS = 2_000;
/** A process that ends with its run, or still speaks, is not taken for the next one; it is given so long to be noticed. */
const FITNESS_MS = 1;

/** A VMM of the user's. Runs may overlap: each has a process of its own. */
export function externalSubject(options: ExternalOptions): Subject {
  return new External(options);
}

interface Live {
  readonly connection: Connection;
  readonly hello: Hello;
}

class External implements Subject {
  readonly id: SubjectId;
  readonly platform: Platform;
  readonly #command: readonly string[];
  readonly #patience: number;
  readonly #grace: number;
  /** Processes that wait for the next run. */
  readonly #idle: Live[] = [];
  readonly #busy = new Set<Connection>();
  #hello: Hello | undefined;

  constructor(options: ExternalOptions) {
    const { command, backend = "full-hw", patience = PATIENCE_MS, grace = GRACE_MS } = options;
    this.id = { backend, engine: "external" };
    this.platform = backend === "hybrid" ? "kvm" : "bare";
    this.#command = command;
    this.#patience = patience;
    this.#grace = grace;
  }

  get summary(): string {
    const name = this.#hello ? `${this.#hello.name} ${this.#hello.version}` : "a VMM of your own";
    return `${name}, by trivisor-vmm/1: ${this.#command.join(" ")}`;
  }

  get version(): string | undefined {
    return this.#hello?.version;
  }

  get host(): string | undefined {
    return this.#hello?.host;
  }

  async probe(): Promise<Availability> {
    const connected = await connect(this.#command, this.#patience);
    if ("failed" in connected) return unavailable(connected.failed);
    const { connection, hello } = connected;
    this.#hello = hello;
    this.#idle.push({ connection, hello });
    if (hello.backend !== this.id.backend) {
      await this.close();
      const { backend } = hello;
      return unavailable(
        `it is a ${backend}, not a ${this.id.backend}: choose it by --backend ${backend}`,
      );
    }
    for (const entry of hello.capabilities.entries) {
      const complaint = await this.#try(canary(entry));
      if (complaint === undefined) continue;
      await this.close();
      return unavailable(`its canary in ${entry} has died: ${complaint}`);
    }
    return { available: true };
  }

  async #try(job: Job): Promise<string | undefined> {
    try {
      return canaryComplaint(await this.run(job));
    } catch (error) {
      if (error instanceof SubjectLacks) return error.message;
      throw error;
    }
  }

  unsuited({ entry, cpus = 1 }: Parameters<Subject["unsuited"]>[0]): string | undefined {
    const can = this.#hello?.capabilities;
    if (!can) return undefined;
    if (!can.entries.includes(entry)) return `${this.#name} starts no guest in ${entry}`;
    return cpus > can.cpus ? `${this.#name} has ${can.cpus} CPU` : undefined;
  }

  async run(job: Job): Promise<Trace> {
    const live = await this.#waiting() ?? await connect(this.#command, this.#patience);
    if ("failed" in live) return nothing(live.failed, job);
    return (await this.#runOn(live, job)).trace;
  }

  async #runOn(live: Live, job: Job): Promise<Outcome> {
    const { connection, hello } = live;
    const { capabilities: can } = hello;
    const lack = lacking(job.image, can) ?? lackingFor(job.subject.expect, can);
    if (lack) {
      this.#idle.push(live);
      throw new SubjectLacks(`${this.#name} can't: ${lack}`);
    }
    this.#busy.add(connection);
    let intact = false;
    try {
      const outcome = await runOn(connection, hello, job, this.#grace);
      if (outcome instanceof Unsupported) {
        throw new SubjectLacks(`${this.#name} can't: ${outcome.reason}`);
      }
      intact = outcome.intact && hello.capabilities.runs === "many";
      return outcome;
    } finally {
      this.#busy.delete(connection);
      if (intact) this.#idle.push(live);
      else await connection.end();
    }
  }

  /** A process that waits for a run; one that has ended over that is forgotten. */
  async #waiting(): Promise<Connected | undefined> {
    for (let live = this.#idle.pop(); live; live = this.#idle.pop()) {
      const fitness = await live.connection.fitness(FITNESS_MS);
      if (fitness === "fit") return live;
      await live.connection.end();
      if (fitness !== "gone") return { failed: fitness.wrong };
    }
    return undefined;
  }

  get #name(): string {
    return this.#hello?.name ?? subjectName(this.id);
  }

  async close(): Promise<void> {
    const connections = [...this.#idle.splice(0).map(({ connection }) => connection)];
    await Promise.all(connections.map((connection) => connection.end(true)));
    await Promise.all([...this.#busy].map((connection) => connection.end()));
  }
}

function unavailable(reason: string): Availability {
  return { available: false, why: `the VMM can't be used: ${reason}` };
}
