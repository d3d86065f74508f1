// One run: from a QEMU with the guest loaded to the verdict's trace.
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
import type { Child } from "../child.ts";
import { type Breakpoints, contains, exitPoints } from "./exit_points.ts";
import { ExitLoops } from "./exit_loops.ts";
import { readAt } from "./files.ts";
import { type Accelerator, diskFile, FILES, logsAll, whole } from "./machine.ts";
import { Journal } from "./journal.ts";
import type { Pool } from "./pool.ts";
import type { QemuProcess } from "./process.ts";
import type { Stub } from "./stub.ts";
import { Disconnected } from "../../engine/gdb/rsp.ts";

/** How a run is made. */
export interface RunSettings {
  readonly pool: Pool;
  readonly accelerator: Accelerator;
  /** What KVM is here. */
  readonly host: string | undefined;
  /** Milliseconds after a run's limit on time in which QEMU's stub has to answer. */
  readonly grace: number;
}

/** For `grace`, on a busy machine. */
export const GRACE_MS = 2_000;
/** Between the end of QEMU's streams and its own, at most. */
const CLOSING_MS = 2_000;
/** Of output: for each access, as a guest makes one an exit on bare hardware, and for all else. */
const BYTES_A_LINE = 128, ROOM = 1 << 20;
/** How long a guest runs before it is looked at for the first time, and at most between two looks. */
const FIRST_LOOK_MS = 4, LONGEST_LOOK_MS = 100;
/**
 * Where several CPUs take turns, a look ends a turn, so that the trace depends on it; on KVM it can meet a CPU that is being
 * started, and writes back that it waits. It comes when most have ended.
 */
const LOOK_AT_SEVERAL_MS = 1_000;

/** What QEMU says where KVM can't go on with a guest (KVM_EXIT_INTERNAL_ERROR). */
const KVM_GAVE_UP = /KVM internal error/;
/** Seen here, in one run of several; the guest is the same every time. */
const SEVERAL_GAP =
  "PVM, this host's software KVM, now and then resets QEMU's machines with several CPUs";
const LONGEST_INSTRUCTION = 15;
/** Opcodes (SDM vol. 2). */
const SYSCALL = [0x0f, 0x05], HYPERCALLS = [[0x0f, 0x01, 0xc1], [0x0f, 0x01, 0xd9]];

/** PVM emulates no INT3. SVM in QEMU does not intercept it, and its VMRUN does not arm breakpoints (excp_helper.c, svm_helper.c). */
function breakpointsOf({ accelerator, host = "" }: RunSettings): Breakpoints {
  if (accelerator === "tcg") return "translator";
  return host.endsWith("-tcg") ? "loops" : "registers";
}

/** Registers and memory as the guest left them. */
type State = Pick<FinalState, "registers" | "memory">;

/** Runs a job. Throws only {@linkcode SubjectLacks}, and on defects of ours. */
export async function run(job: Job, settings: RunSettings): Promise<Trace> {
  const started = performance.now();
  if (settings.host === "pvm" && HYPERCALLS.some((code) => contains(job.image, code))) {
    throw new SubjectLacks(HYPERCALL_GAP);
  }
  return await runOn(job, settings, started, false) ??
    await runOn(job, settings, started, true) ?? never();
}

function never(): never {
  throw new Error("A run with a QEMU of its own has not come to an end");
}

/** Undefined where the guest showed that it needs a QEMU of its own. */
async function runOn(job: Job, settings: RunSettings, started: number, alone: boolean) {
  const { image, group: { limits } } = job;
  const life = limits.wallMs + 2 * settings.grace;
  const output = ROOM + BYTES_A_LINE * limits.exits;
  const process = await settings.pool.take(image, life, output, alone);
  const run = new Run(job, settings, process, started);
  try {
    return await run.toEnd();
  } finally {
    process.log.listener = () => {};
    if (run.standsStill && process.left > 0) settings.pool.give(process, image.memory);
    else await process.end();
  }
}

class Run {
  readonly #job: Job;
  readonly #settings: RunSettings;
  readonly #process: QemuProcess;
  readonly #child: Child;
  readonly #started: number;
  readonly #recorder = new Recorder(() => 0);
  readonly #journal: Journal;
  #state: State | undefined;
  #loops: ExitLoops | undefined;
  #overdue = false;
  /** The machine has stopped in good order: its process can serve another run. */
  standsStill = false;
  /** It is to be made once more, with a QEMU of its own. */
  #again = false;

  constructor(job: Job, settings: RunSettings, process: QemuProcess, started: number) {
    this.#job = job;
    this.#settings = settings;
    this.#process = process;
    this.#child = process.child;
    this.#started = started;
    this.#journal = new Journal(job.image, this.#recorder, job.group.limits.exits, {
      flood: () => void process.log.flood(),
      // Without the device that ends the process, the guest runs on.
      exit: () => void process.stub().then((stub) => stub.interrupt(), () => {}),
    });
    process.log.listener = (access) => this.#journal.line(access);
  }

  /** Undefined where the guest needs a QEMU of its own. */
  async toEnd(): Promise<Trace | undefined> {
    const { reused } = this.#process;
    const left = this.#job.group.limits.wallMs + this.#settings.grace - this.#spent();
    const watchdog = setTimeout(() => {
      this.#overdue = true;
      this.#child.kill();
    }, Math.max(0, left));
    let end: EndState | undefined;
    try {
      end = await this.#drive();
    } catch (error) {
      if (error instanceof SubjectLacks) throw error;
      // When QEMU ends, its stub does, too.
      if (!this.#isCut && !(error instanceof Disconnected)) {
        end = this.#crash(`QEMU's stub failed: ${messageOf(error)}`);
      }
    } finally {
      clearTimeout(watchdog);
    }
    if (!this.standsStill) end = await this.#settle(end);
    if (this.#again || (reused && this.#journal.askedExitPort)) return undefined;
    return await this.#trace(this.#cutShort() ?? end ?? this.#gone());
  }

  /** Sees QEMU to its end, and its log to the end of that: what is still on its way belongs to the trace. */
  async #settle(end: EndState | undefined): Promise<EndState | undefined> {
    let settled = end;
    // By itself it ends a moment after its streams.
    if (!end && !this.#isCut && !await this.#child.exit(CLOSING_MS) && !this.#isCut) {
      settled = this.#crash("QEMU has closed its stub's stream, and lives on");
    }
    await this.#process.stop();
    return settled;
  }

  /** QEMU has been ended by us. */
  get #isCut(): boolean {
    const { flooded, complaint } = this.#process.log;
    return this.#overdue || flooded || complaint !== undefined;
  }

  /** QEMU has been ended for what its log says, or how much. */
  #cutShort(): EndState | undefined {
    const { flooded, complaint } = this.#process.log;
    if (flooded) return { kind: "limit", limit: "exits" };
    // What comes after the guest's end is not recorded anyway.
    if (complaint === undefined || this.#journal.exitCode !== undefined) return undefined;
    return this.#crash(complaint);
  }

  /** QEMU has ended by itself, or the watchdog has ended it. */
  #gone(): EndState {
    const { exitCode } = this.#journal;
    if (exitCode !== undefined) return { kind: "shutdown", code: exitCode };
    if (this.#overdue) return { kind: "limit", limit: "time" };
    const said = `${this.#child.stderr}${this.#process.log.words}`.trim();
    const how = this.#child.ended?.how ?? "no status";
    return this.#crash(`QEMU ended with ${how}${said ? `: ${said}` : ""}`);
  }

  /** Starts the guest and sees it to its end; undefined where QEMU ended first. */
  async #drive(): Promise<EndState | undefined> {
    const stub = await this.#load();
    if (!stub) return undefined;
    const { image, group: { limits } } = this.#job;
    const by = breakpointsOf(this.#settings);
    const points = exitPoints(image, by);
    const hardware = by === "registers";
    if (by === "loops") this.#loops = await ExitLoops.put(image, points, this.#ram);
    else await stub.setBreakpoints(points, hardware);
    const several = (image.cpus ?? 1) > 1;
    let look = several ? LOOK_AT_SEVERAL_MS : FIRST_LOOK_MS;
    for (;;) {
      const left = limits.wallMs - this.#spent();
      const timeUp = left <= 0 || (this.#job.abort?.() ?? false);
      const halted = timeUp ? "interrupted" : await stub.run(Math.min(look, left));
      if (halted === "gone") return undefined;
      const ended = halted === "breakpoint"
        ? await this.#atExit(stub, points, by)
        : await this.#standing(stub, halted, timeUp);
      if (ended === "gone") return undefined;
      if (ended) {
        if (!this.#process.reused || halted === "shutdown") return ended;
        await stub.clearBreakpoints(points, hardware);
        this.standsStill = true;
        return ended;
      }
      look = several ? look : Math.min(2 * look, LONGEST_LOOK_MS);
    }
  }

  async #load(): Promise<Stub | undefined> {
    const { reused, used } = this.#process;
    try {
      return await this.#process.load(this.#job.image);
    } catch (error) {
      if (error instanceof SubjectLacks || !reused || this.#overdue) throw error;
      if (!used) this.#settings.pool.keepNone();
      this.#again = true;
      await this.#child.end();
      return undefined;
    }
  }

  /** The guest stands still because it was made to, or as it can't go on. */
  async #standing(
    stub: Stub,
    halted: "interrupted" | "shutdown",
    timeUp: boolean,
  ): Promise<EndState | undefined> {
    const end = await this.#endOf(stub, halted, timeUp);
    if (!end && this.#journal.exitCode === undefined) return undefined;
    await this.#process.fence();
    const code = this.#journal.exitCode;
    // It has gone on since then.
    if (code !== undefined) return { kind: "shutdown", code };
    this.#state = await this.#look(stub);
    return end;
  }

  async #endOf(stub: Stub, halted: "interrupted" | "shutdown", timeUp: boolean) {
    if (halted === "shutdown") {
      if (this.#settings.accelerator === "kvm") await this.#asksForMore(stub);
      return { kind: "triple-fault" } as const;
    }
    const cpus = await stub.cpus(), picAlone = !whole(this.#job.image);
    if (await stub.sleepsForGood(cpus, picAlone)) return { kind: "halt" } as const;
    const waiting = await this.#loops?.reached(stub, cpus);
    if (waiting) {
      await this.#loops?.remove();
      const others = cpus.filter((cpu) => cpu !== waiting);
      // Had it been found later, nothing would be different.
      const still = others.every(({ halted }) => halted) && await stub.undisturbed(cpus, picAlone);
      if (still) this.#state = await this.#look(stub);
    } else if (this.#loops) {
      // What was thought to end the run has not.
      this.#state = undefined;
    }
    return timeUp ? { kind: "limit", limit: "time" } as const : undefined;
  }

  /** The guest is about to end its run, as it seems: now its state can be seen. */
  async #atExit(stub: Stub, points: bigint[], by: Breakpoints) {
    this.#state = await this.#look(stub);
    if (by === "registers") {
      // PVM does not step. The port ends QEMU now.
      await stub.clearBreakpoints(points.splice(0), true);
      return undefined;
    }
    const halted = await stub.step();
    if (halted === "gone") return "gone";
    await this.#process.fence();
    const { exitCode, exits } = this.#journal;
    // It was not this instruction that ended the run: it faulted, or was another one's second half, or one of before.
    if (exits !== 1) this.#state = undefined;
    return exitCode === undefined ? undefined : { kind: "shutdown", code: exitCode } as const;
  }

  /** Throws {@linkcode SubjectLacks} where it may be the host's KVM that ended the guest, and not the guest. */
  async #asksForMore(stub: Stub): Promise<void> {
    const { image } = this.#job;
    await this.#process.fence();
    const emulation = KVM_GAVE_UP.test(this.#process.log.words);
    if (!emulation && this.#settings.host !== "pvm") return;
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

  /** Undefined where somebody has removed the file that is its RAM. */
  async #look(stub: Stub): Promise<State | undefined> {
    const { image, group, subject } = this.#job;
    const memory: Record<string, Uint8Array> = {};
    try {
      await this.#loops?.remove();
      for (const { label, address, size } of watchedMemory(image, group.guest, subject)) {
        memory[label] = await this.#readLinear(stub, address, size);
      }
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
    return { registers: await stub.registers(), memory };
  }

  /** As the guest's tables lead; an address that they do not map is taken for a physical one. */
  async #readLinear(stub: Stub, linear: bigint, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const at = BigInt.asUintN(64, linear + BigInt(done));
      const count = Math.min(length - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)));
      const physical = await stub.translate(at) ?? Number(at);
      if (physical + count > this.#job.image.memory) return bytes.slice(0, done);
      bytes.set(await readAt(this.#ram, physical, count), done);
      done += count;
    }
    return bytes;
  }

  get #ram(): string {
    return `${this.#process.folder}/${FILES.ram}`;
  }

  #spent(): number {
    return performance.now() - this.#started;
  }

  #crash(reason: string): EndState {
    return { kind: "crash", reason, rip: 0n };
  }

  async #trace(end: EndState): Promise<Trace> {
    const { image, profile } = this.#job;
    const { folder } = this.#process;
    const used = image.disks.slice(0, 2);
    const disks = await Promise.all(
      used.map(({ sectors }, index) => readAt(`${folder}/${diskFile(index)}`, 0, 512 * sectors)),
    ).catch(() => undefined);
    const { counts, events, dropped } = this.#recorder;
    const unobserved: Observable[] = ["instructions", "exits", "injections"];
    if (!this.#state) unobserved.push("registers", "memory");
    // Somebody has removed the files.
    if (!disks) unobserved.push("disks");
    if (!logsAll(image, this.#settings.accelerator)) unobserved.push("accesses");
    return {
      events,
      dropped,
      counts,
      cycles: cyclesOf({ ...counts, exits: counts.ways }, profile),
      console: this.#recorder.consoleBytes(),
      end,
      final: { ...(this.#state ?? { registers: {}, memory: {} }), disks: disks ?? [] },
      wallNs: Math.round(this.#spent() * 1e6),
      unobserved,
    };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
