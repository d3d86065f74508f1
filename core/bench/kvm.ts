// Port I/O exits of real KVM through Deno, beside the same loop in C: bare, as FFI alone has it, and through the engine's
// contract, as runs do it. All three take turns in one run, with the same guest.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createKvmVcpu } from "./kvm_vcpu.ts";
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import { KvmSystem } from "../engine/kvm/system.ts";
import { BareMachine } from "./bare_machine.ts";
import { interleave } from "./sampling.ts";
import { estimate, estimateRatio } from "./statistics.ts";
import type { BenchOptions, Measurement } from "./measurements.ts";

const SOURCE = new URL("../../fixtures/bench/port_exits.c", import.meta.url);
/** Exits in a sample: a few milliseconds. Many short samples stand more noise of other programs than a few long ones. */
const EXITS = 500;
/** Samples in one of the bench's rounds. */
const SAMPLES = 5;
const PORT = 0x80;
const PROGRAM = `again: out 0x80, al\njmp again\n`;
const RUN = STRUCT.kvm_run.fields;

/** Nanoseconds an exit, and ratios to C; or why there are none. */
export async function measurePortExits(
  { rounds, directory }: Pick<BenchOptions, "rounds" | "directory">,
): Promise<readonly Measurement[] | { readonly not: string }> {
  let system: KvmSystem;
  try {
    system = KvmSystem.open();
  } catch (error) {
    return { not: error instanceof Error ? error.message : String(error) };
  }
  const program = await compile(directory);
  if (!program) {
    system.close();
    return { not: "The loop in C is not there to compare with: gcc, or <linux/kvm.h>, is missing" };
  }
  const rival = new Rival(program);
  const machine = new BareMachine(system, { memory: 2 << 20, bits: 32 });
  const vcpu = createKvmVcpu(PROGRAM);
  try {
    const at = machine.place(PROGRAM);
    const samples = await interleave(
      [
        { name: "C", sample: () => rival.sample(EXITS) },
        { name: "FFI", sample: () => bareExits(machine, at) },
        { name: "engine", sample: () => engineExits(vcpu) },
      ],
      rounds * SAMPLES,
      2,
    );
    const taken = (name: string) => samples.get(name) ?? [];
    return [
      { name: "port exit on KVM, C", unit: "ns", ...estimate(taken("C")) },
      { name: "port exit on KVM, Deno", unit: "ns", ...estimate(taken("FFI")) },
      { name: "that over C", unit: "x", ...estimateRatio(taken("FFI"), taken("C")) },
      { name: "port exit on KVM, the engine", unit: "ns", ...estimate(taken("engine")) },
      { name: "that over C", unit: "x", ...estimateRatio(taken("engine"), taken("C")) },
    ];
  } finally {
    vcpu.dispose();
    machine.dispose();
    system.close();
    await rival.close();
  }
}

/** The program in C, compiled; undefined where that can't be done. */
async function compile(directory: string): Promise<string | undefined> {
  const program = join(directory, "port_exits");
  try {
    const { code } = await new Deno.Command("gcc", {
      args: ["-O2", "-o", program, fileURLToPath(SOURCE)],
      stdout: "null",
      stderr: "null",
    }).output();
    return code === 0 ? program : undefined;
  } catch {
    return undefined;
  }
}

/** It, in a process of its own. */
class Rival {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;

  constructor(program: string) {
    this.#process = new Deno.Command(program, { stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#reader = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Nanoseconds an exit. */
  async sample(exits: number): Promise<number> {
    await this.#writer.write(new TextEncoder().encode(`${exits}\n`));
    let text = "";
    while (!text.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error("The loop in C has ended");
      text += value;
    }
    return Number(text) / exits;
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => {});
    await this.#process.status;
    await this.#reader.cancel().catch(() => {});
  }
}

function bareExits(machine: BareMachine, at: number): number {
  machine.start(at, { rflags: 2n });
  const { page } = machine;
  const start = performance.now();
  for (let n = 0; n < EXITS; n++) {
    const reason = machine.enter();
    if (reason !== KVM_EXIT.IO || page.getUint16(RUN["io.port"], true) !== PORT) {
      throw new Error(machine.describe(reason));
    }
  }
  return (performance.now() - start) * 1e6 / EXITS;
}

function engineExits(vcpu: ReturnType<typeof createKvmVcpu>): number {
  const start = performance.now();
  for (let n = 0; n < EXITS; n++) {
    const stop = vcpu.run(1);
    if (stop.reason !== "exit" || stop.exit.kind !== "io" || stop.exit.detail.port !== PORT) {
      throw new Error(`The guest stopped by ${stop.reason}`);
    }
    vcpu.complete();
  }
  return (performance.now() - start) * 1e6 / EXITS;
}
