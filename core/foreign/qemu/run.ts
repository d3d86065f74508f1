// One run: a QEMU of its own, from its start to the verdict's trace.
import type { EndState } from "../../trace/exit.ts";
import { Recorder } from "../../trace/recorder.ts";
import type { FinalState, Observable, Trace } from "../../trace/trace.ts";
import { cyclesOf } from "../../vmm/cost_model.ts";
import { watchedMemory } from "../../vmm/final_state.ts";
import type { Job } from "../../vmm/subject.ts";
import { PAGE_SIZE } from "../../base/address.ts";
import { EFER } from "../../base/registers.ts";
import { HYPERCALL_GAP, shutdownGap } from "../../engine/kvm/pvm.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { disassemble } from "../../trace/disassemble.ts";
import { type Child, spawnChild } from "../child.ts";
import { contains, exitPoints } from "./exit_points.ts";
import { readAt, writeFiles } from "./files.ts";
import { type Accelerator, diskFile, FILES, logsAll, qemuArguments } from "./machine.ts";
import { Journal } from "./journal.ts";
import { Stub } from "./stub.ts";

/** How a run is made. */
export interface RunSettings {
  readonly program: string;
  readonly accelerator: Accelerator;
  /** Is KVM here PVM? */
  readonly pvm: boolean;
  /** The run's own; it is there, and empty. */
  readonly folder: string;
}

/** QEMU's stub answers within this time after the limit, or is ended. */
const GRACE_MS = 2_000;
/** Of output: for each access, as a guest makes one an exit on bare hardware, and for all else. */
const BYTES_A_LINE = 128, ROOM = 1 << 20;
/** How long a guest runs before it is looked at for the first time, and at most between two looks. */
const FIRST_LOOK_MS = 4, LONGEST_LOOK_MS = 100;
/** Where several CPUs take turns, a look ends a turn, so that the trace depends on it: it comes when most have ended. */
const LOOK_AT_SEVERAL_MS = 1_000;

/** What QEMU says where KVM can't go on with a guest (KVM_EXIT_INTERNAL_ERROR). */
const KVM_GAVE_UP = /KVM internal error/;
/** Seen here, in one run of several; the guest is the same every time. */
const SEVERAL_GAP =
  "PVM, this host's software KVM, now and then resets QEMU's machines with several CPUs";
const LONGEST_INSTRUCTION = 15;
/** Opcodes (SDM vol. 2). */
const SYSCALL = [0x0f, 0x05], HYPERCALLS = [[0x0f, 0x01, 0xc1], [0x0f, 0x01, 0xd9]];

/** Registers and memory as the guest left them. */
type State = Pick<FinalState, "registers" | "memory">;

/** Runs a job. Throws only {@linkcode SubjectLacks}, and on defects of ours. */
export async function runOnce(job: Job, settings: RunSettings): Promise<Trace> {
  const started = performance.now();
  if (settings.pvm && HYPERCALLS.some((code) => contains(job.image, code))) {
    throw new SubjectLacks(HYPERCALL_GAP);
  }
  await writeFiles(settings.folder, job.image);
  const spawned = spawnChild({
    program: settings.program,
    args: qemuArguments(job.image, settings.folder, settings.accelerator),
    maxOutput: ROOM + BYTES_A_LINE * job.group.limits.exits,
  });
  if ("failed" in spawned) throw new Error(spawned.failed);
  const run = new Run(job, settings, spawned.child, started);
  try {
    return await run.toEnd();
  } finally {
    await spawned.child.end();
  }
}

class Run {
  readonly #job: Job;
  readonly #settings: RunSettings;
  readonly #child: Child;
  readonly #started: number;
  readonly #recorder = new Recorder(() => 0);
  readonly #journal: Journal;
  #state: State | undefined;

  constructor(job: Job, settings: RunSettings, child: Child, started: number) {
    this.#job = job;
    this.#settings = settings;
    this.#child = child;
    this.#started = started;
    this.#journal = new Journal(child, job.image, this.#recorder, job.group.limits.exits);
  }

  async toEnd(): Promise<Trace> {
    const read = this.#journal.read();
    const left = this.#job.group.limits.wallMs + GRACE_MS - this.#spent();
    let overdue = false;
    const watchdog = setTimeout(() => {
      overdue = true;
      void this.#child.end();
    }, Math.max(0, left));
    let end: EndState | undefined;
    try {
      end = await this.#drive();
    } catch (error) {
      if (error instanceof SubjectLacks) {
        await this.#child.end();
        await read;
        throw error;
      }
      // The stub fails when QEMU ends; if it did for another reason, that is for the user to know.
      if (!overdue && !this.#child.ended) {
        end = this.#crash(`QEMU's stub failed: ${messageOf(error)}`);
      }
    } finally {
      clearTimeout(watchdog);
    }
    if (end) await this.#child.end();
    await read;
    if (overdue) end ??= { kind: "limit", limit: "time" };
    const status = this.#journal.exitCode;
    end = this.#journal.flooded
      ? { kind: "limit", limit: "exits" }
      : end ?? (status === undefined ? this.#died() : { kind: "shutdown", code: status });
    return await this.#trace(end);
  }

  /** Starts the guest and sees it to its end; undefined where QEMU ended first. */
  async #drive(): Promise<EndState | undefined> {
    const { folder, accelerator } = this.#settings;
    const stub = await Stub.connect(`${folder}/${FILES.gdb}`, () => !this.#child.ended);
    if (!stub) return undefined;
    try {
      const hardware = accelerator === "kvm";
      const points = exitPoints(this.#job.image, hardware);
      for (const point of points) await stub.setBreakpoint(point, hardware);
      const several = (this.#job.image.cpus ?? 1) > 1;
      let look = several ? LOOK_AT_SEVERAL_MS : FIRST_LOOK_MS;
      for (;;) {
        const left = this.#job.group.limits.wallMs - this.#spent();
        const timeUp = left <= 0 || (this.#job.abort?.() ?? false);
        if (timeUp) return await this.#stopped(stub, { kind: "limit", limit: "time" });
        const halted = await stub.run(Math.min(look, left));
        switch (halted) {
          case "gone":
            return undefined;
          case "shutdown": {
            if (this.#settings.accelerator === "kvm") await this.#asksForMore(stub);
            return await this.#stopped(stub, { kind: "triple-fault" });
          }
          case "breakpoint":
            this.#state = await this.#look(stub);
            // Its port ends QEMU now.
            for (const point of points.splice(0)) await stub.clearBreakpoint(point, hardware);
            break;
          case "interrupted":
            if (await stub.sleepsForGood()) return await this.#stopped(stub, { kind: "halt" });
            look = several ? look : Math.min(2 * look, LONGEST_LOOK_MS);
            break;
          default:
            return halted satisfies never;
        }
      }
    } finally {
      stub.close();
    }
  }

  /** The guest stands still for good: what it left, and all that it has done. */
  async #stopped(stub: Stub, end: EndState): Promise<EndState> {
    this.#state = await this.#look(stub);
    const fenced = this.#journal.fence();
    await stub.fence();
    await fenced;
    return end;
  }

  /** Throws {@linkcode SubjectLacks} where it may be the host's KVM that ended the guest, and not the guest. */
  async #asksForMore(stub: Stub): Promise<void> {
    const { image } = this.#job;
    const emulation = KVM_GAVE_UP.test(this.#child.stderr);
    if (!emulation && !this.#settings.pvm) return;
    const registers = await stub.registers();
    const { rip = 0n, efer = 0n } = registers;
    const bytes = await this.#readLinear(stub, rip, LONGEST_INSTRUCTION);
    const long = (efer & BigInt(EFER.LMA)) !== 0n;
    const instruction = disassemble(bytes, long ? 64 : image.entry === "real16" ? 16 : 32, rip);
    if ((image.cpus ?? 1) > 1) throw new SubjectLacks(SEVERAL_GAP);
    if (emulation) throw new SubjectLacks(`KVM does not emulate ${instruction} on this host`);
    const cpl = Number((registers["cs"] ?? 0n) & 3n);
    const why = shutdownGap({ instruction, cpl, long, entered: contains(image, SYSCALL) });
    if (why) throw new SubjectLacks(why);
  }

  async #look(stub: Stub): Promise<State> {
    const { image, group, subject } = this.#job;
    const memory: Record<string, Uint8Array> = {};
    for (const { label, address, size } of watchedMemory(image, group.guest, subject)) {
      memory[label] = await this.#readLinear(stub, address, size);
    }
    return { registers: await stub.registers(), memory };
  }

  /** As the guest's tables lead; an address that they do not map is taken for a physical one. */
  async #readLinear(stub: Stub, linear: bigint, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const ram = `${this.#settings.folder}/${FILES.ram}`;
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const count = Math.min(length - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)));
      const physical = await stub.translate(at) ?? Number(at);
      if (physical + count > this.#job.image.memory) return bytes.slice(0, done);
      bytes.set(await readAt(ram, physical, count), done);
      done += count;
    }
    return bytes;
  }

  #spent(): number {
    return performance.now() - this.#started;
  }

  #died(): EndState {
    const said = this.#child.stderr.trim();
    const how = this.#child.ended?.how ?? "no status";
    return this.#crash(`QEMU ended with ${how}${said ? `: ${said}` : ""}`);
  }

  #crash(reason: string): EndState {
    return { kind: "crash", reason, rip: 0n };
  }

  async #trace(end: EndState): Promise<Trace> {
    const { image, profile } = this.#job;
    const { folder } = this.#settings;
    const disks: Uint8Array[] = [];
    for (const [index, { sectors }] of image.disks.slice(0, 2).entries()) {
      disks.push(await readAt(`${folder}/${diskFile(index)}`, 0, 512 * sectors));
    }
    const { counts, events, dropped } = this.#recorder;
    const unobserved: Observable[] = ["instructions", "exits", "injections"];
    if (!this.#state) unobserved.push("registers", "memory");
    if (!logsAll(image, this.#settings.accelerator)) unobserved.push("accesses");
    return {
      events,
      dropped,
      counts,
      cycles: cyclesOf({ ...counts, exits: counts.ways }, profile),
      console: this.#recorder.consoleBytes(),
      end,
      final: { ...(this.#state ?? { registers: {}, memory: {} }), disks },
      wallNs: Math.round(this.#spent() * 1e6),
      unobserved,
    };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
