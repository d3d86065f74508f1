// `deno task vmm:check COMMAND ARGS`: does a VMM keep to PROTOCOL.md? Sessions with each message, at limits, with bad requests, and
// with ends in the middle; what passes is printed.
import { PROGRAM_BASE, REAL_PROGRAM_BASE } from "../../guest/layout.ts";
import { ENTRIES, type Entry } from "../../scenario/case.ts";
import { printable } from "../../base/printable.ts";
import { describeEnd } from "../../trace/print.ts";
import type { Trace } from "../../trace/trace.ts";
import type { Job } from "../../vmm/subject.ts";
import { canary, canaryComplaint, codeJob } from "../canary.ts";
import { connect, type Connection } from "./connection.ts";
import { loading } from "./load.ts";
import { type Capabilities, type Hello, PIECE } from "./protocol.ts";
import { runOn, Unsupported } from "./session.ts";

/** How a check went; `why` is a clause. */
export type Checked =
  | { readonly name: string; readonly result: "passed" }
  | { readonly name: string; readonly result: "failed" | "skipped"; readonly why: string };

/** A VMM that has said hello, for one check. */
interface Vmm {
  readonly connection: Connection;
  readonly can: Capabilities;
  /** Runs a guest; throws a {@linkcode Complaint} if the VMM does not come through. */
  run(job: Job): Promise<Trace>;
}

class Complaint {
  constructor(readonly why: string) {}
}
/** The check does not apply. */
class Skipped {
  constructor(readonly why: string) {}
}

const HELLO_MS = 10_000;
const GRACE_MS = 2_000;
/** Time to see whether there is an answer. */
const ANSWER_MS = 1_000;

// Machine code that is the same in every mode.
const HALT = [0xf4]; // hlt
const LOOP = [0xeb, 0xfe]; // jmp $
const PORT_LOOP = [0xe6, 0x80, 0xeb, 0xfc]; // out 0x80, al; jmp back
const OPEN_BUS_CODE = [0xe4, 0x99, 0xe6, 0xf4, 0xf4]; // in al, 0x99; out 0xf4, al; hlt
const UD2 = [0x0f, 0x0b];
/** `mov dx, 0x3fd`, `in al, dx`, `out 0xf4, al`, `hlt`. */
const UART_STATUS = [0xba, 0xfd, 0x03, 0xec, 0xe6, 0xf4, 0xf4];
const TRANSMITTER_EMPTY = 0x60;
const EXIT_LIMIT = 100;
const BIG = 64 << 20;

const code = (
  entry: Entry,
  bytes: readonly number[],
  options: Parameters<typeof codeJob>[2] = {},
) => codeJob(entry, Uint8Array.from(bytes), options);
const startOf = (entry: Entry) => entry === "real16" ? REAL_PROGRAM_BASE : PROGRAM_BASE;

function expectEnd(trace: Trace, wanted: string): void {
  const got = describeEnd(trace.end);
  if (got !== wanted) throw new Complaint(`it should end with: ${wanted}; but: ${got}`);
}

function need(condition: boolean, why: string): void {
  if (!condition) throw new Skipped(why);
}

/** The bytes at an address, after a run. */
async function read(vmm: Vmm, address: number, length: number): Promise<Uint8Array> {
  await vmm.connection.send([{ type: "read", address, length }]);
  const received = await vmm.connection.receive(GRACE_MS);
  if (received.kind === "silence") throw new Complaint("it does not answer read");
  if (received.kind === "trouble") throw new Complaint(received.reason);
  const { message } = received;
  if (message.type !== "bytes") throw new Complaint(`read is answered by "${message.type}"`);
  return Uint8Array.fromBase64(message.bytes);
}

function same(got: Uint8Array, wanted: Uint8Array, what: string): void {
  if (got.length === wanted.length && got.every((byte, i) => byte === wanted[i])) return;
  throw new Complaint(`${what} is not what it should be`);
}

/** After a bad request: an error, or a VMM that goes on. */
async function refuses(vmm: Vmm): Promise<void> {
  const received = await vmm.connection.receive(ANSWER_MS);
  if (received.kind === "trouble") throw new Complaint(received.reason);
  if (received.kind === "silence") return;
  const { type } = received.message;
  if (type === "error" || type === "unsupported") return;
  throw new Complaint(`it answers "${type}"`);
}

type Check = (vmm: Vmm, entry: Entry) => Promise<void>;

/** By name. Each has a process of its own, and the first mode that the VMM has. */
const CHECKS: Readonly<Record<string, Check>> = {
  "shows the exits that it says": async (vmm, entry) => {
    need(vmm.can.exits.includes("io"), "it shows no io exits");
    const { counts } = await vmm.run(canary(entry));
    if (counts.exits.kinds.io !== 2) {
      throw new Complaint(`two port accesses make two exits, not ${counts.exits.kinds.io ?? 0}`);
    }
  },
  "shows what its devices see": async (vmm, entry) => {
    need(vmm.can.accesses || vmm.can.devices === "forwarded", "it shows no accesses");
    const { events } = await vmm.run(canary(entry));
    const devices = events.flatMap((event) => event.type === "access" ? [event.access.device] : []);
    if (devices.join() !== "uart,debug-exit") {
      throw new Complaint(`uart and debug-exit see an access each, not: ${devices.join()}`);
    }
  },
  "gives reads their value": async (vmm, entry) => {
    const prefix = entry === "real16" ? [] : [0x66];
    expectEnd(
      await vmm.run(code(entry, [...prefix, ...UART_STATUS])),
      `shutdown ${TRANSMITTER_EMPTY}`,
    );
  },
  "reads all ones where nobody answers": async (vmm, entry) =>
    expectEnd(await vmm.run(code(entry, OPEN_BUS_CODE)), "shutdown 255"),
  "ends a guest that halts": async (vmm, entry) =>
    expectEnd(await vmm.run(code(entry, HALT)), "halt"),
  "ends a guest with a triple fault": async (vmm, entry) => {
    const mode = vmm.can.entries.find((one) => one !== "real16");
    need(mode !== undefined, "it has real mode only");
    expectEnd(await vmm.run(code(mode ?? entry, UD2)), "triple fault");
  },
  "holds the limit on measured time": async (vmm, entry) =>
    expectEnd(await vmm.run(code(entry, LOOP, { limits: { wallMs: 300 } })), LIMIT_TIME),
  "holds the limit on exits": async (vmm, entry) => {
    const shows = vmm.can.exits.includes("io") || vmm.can.devices === "forwarded";
    need(shows, "it shows no io exits");
    const limits = { exits: EXIT_LIMIT, wallMs: 20_000 };
    const { end, counts } = await vmm.run(code(entry, PORT_LOOP, { limits }));
    const { total } = counts.exits;
    if (end.kind !== "limit" || end.limit !== "exits" || total > EXIT_LIMIT) {
      throw new Complaint(`${describeEnd(end)}, after ${total} of ${EXIT_LIMIT} exits`);
    }
  },
  "runs a second guest": async (vmm, entry) => {
    need(vmm.can.runs === "many", "one run a process");
    for (const job of [canary(entry), canary(entry), code(entry, HALT), canary(entry)]) {
      const trace = await vmm.run(job);
      const complaint = job.image.placed[0]?.bytes.length === 1
        ? undefined
        : canaryComplaint(trace);
      if (complaint) throw new Complaint(complaint);
    }
  },
  "runs a second guest after a limit": async (vmm, entry) => {
    need(vmm.can.runs === "many", "one run a process");
    await vmm.run(code(entry, LOOP, { limits: { wallMs: 200 } }));
    const complaint = canaryComplaint(await vmm.run(canary(entry)));
    if (complaint) throw new Complaint(complaint);
  },
  "tells what is in memory": async (vmm, entry) => {
    need(vmm.can.memoryReads, "it tells nothing of memory");
    const { image } = canary(entry);
    await vmm.run(canary(entry));
    const bytes = image.placed[0]?.bytes ?? new Uint8Array();
    same(await read(vmm, startOf(entry), bytes.length), bytes, "the program");
    same(await read(vmm, image.memory, 8), new Uint8Array(), "what is beyond RAM");
    same(await read(vmm, image.memory - 4, 8), new Uint8Array(4), "the end of RAM");
  },
  "starts with memory that is zero": async (vmm, entry) => {
    need(
      vmm.can.memoryReads && vmm.can.runs === "many",
      "it tells nothing of memory, or has one run",
    );
    const address = 0x18_0000;
    const dirt = { address, bytes: new Uint8Array(16).fill(0xaa) };
    await vmm.run(code(entry, HALT, { placed: [dirt] }));
    same(await read(vmm, address, 16), dirt.bytes, "what was written");
    await vmm.run(code(entry, HALT));
    same(await read(vmm, address, 16), new Uint8Array(16), "memory of the next guest");
  },
  "takes a big image": async (vmm, entry) => {
    const memory = Math.min(BIG, vmm.can.memory);
    need(memory >= 4 << 20, "it has less than 4 MiB of RAM");
    const address = 0x20_0000;
    const bytes = new Uint8Array(memory / 2 - address);
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 7) ^ (i >> 8);
    const big = { address, bytes };
    const { end } = await vmm.run(code(entry, HALT, { memory, placed: [big] }));
    if (end.kind !== "halt") throw new Complaint(describeEnd(end));
    if (!vmm.can.memoryReads) return;
    const last = bytes.subarray(-PIECE);
    same(await read(vmm, address + bytes.length - PIECE, PIECE), last, "its last piece");
  },
  "tells all registers": async (vmm, entry) => {
    need(vmm.can.registers, "it tells nothing of registers");
    const { final } = await vmm.run(canary(entry));
    const count = Object.keys(final.registers).length;
    if (count !== REGISTERS) throw new Complaint(`${count} of ${REGISTERS} registers`);
    if (((final.registers["rax"] ?? 0n) & 0xffn) !== 42n) throw new Complaint("AL is not 42");
  },
  "refuses a request that it does not know": async (vmm) => {
    await vmm.connection.sendLine('{"type":"dance"}');
    await refuses(vmm);
  },
  "refuses a write outside RAM": async (vmm, entry) => {
    const { image, group } = canary(entry);
    const [load] = loading(image, group.limits, vmm.can.devices === "forwarded");
    if (!load) throw new Complaint("there is nothing to load");
    const write = { type: "write", address: image.memory + 4096, bytes: "AAAA" } as const;
    await vmm.connection.send([load, write]);
    await refuses(vmm);
  },
  "ends with its input": async (vmm) => {
    const { how } = await vmm.connection.end(true);
    if (/^SIG/.test(how)) throw new Complaint(`it had to be ended by ${how}`);
  },
  "can be ended while its guest loops": async (vmm, entry) => {
    const { image, group } = code(entry, LOOP);
    await vmm.connection.send(loading(image, group.limits, vmm.can.devices === "forwarded"));
    await vmm.connection.receive(200);
    const { how } = await vmm.connection.end(true);
    if (how === "SIGKILL") throw new Complaint("neither the end of its input nor SIGTERM ends it");
  },
};

const LIMIT_TIME = "stopped by the limit on time";
const REGISTERS = 24;

/** Checks at a time: most of them wait. */
const PARALLEL = 4;

/** Makes all checks; `tell` hears of each, in order. */
export async function conformance(
  command: readonly string[],
  tell: (checked: Checked) => void,
): Promise<void> {
  const greeted = await connect(command, HELLO_MS);
  if ("failed" in greeted) {
    return tell({ name: "says hello", result: "failed", why: greeted.failed });
  }
  const { hello, connection } = greeted;
  await connection.end(true);
  tell({ name: `says hello: ${printable(`${hello.name} ${hello.version}`)}`, result: "passed" });
  const { entries } = hello.capabilities;
  const [first = "real16"] = entries;
  const checks = [
    ...ENTRIES.map((entry) => ({
      name: `runs a guest in ${entry}`,
      check: runsIn(entries),
      entry,
    })),
    ...Object.entries(CHECKS).map(([name, check]) => ({ name, check, entry: first })),
  ];
  const results: Promise<Checked>[] = [];
  for (const [i, { name, check, entry }] of checks.entries()) {
    // It begins when the one that many before it has ended.
    const turn = results[i - PARALLEL] ?? Promise.resolve();
    results.push(turn.then(() => checked(name, check, command, entry)));
  }
  for (const result of results) tell(await result);
}

function runsIn(entries: readonly Entry[]): Check {
  return async (vmm, entry) => {
    need(entries.includes(entry), "it does not say so");
    const complaint = canaryComplaint(await vmm.run(canary(entry)));
    if (complaint) throw new Complaint(complaint);
  };
}

async function checked(
  name: string,
  check: Check,
  command: readonly string[],
  entry: Entry,
): Promise<Checked> {
  const connected = await connect(command, HELLO_MS);
  if ("failed" in connected) return { name, result: "failed", why: connected.failed };
  const { connection, hello } = connected;
  try {
    await check(vmmOf(connection, hello), entry);
    return { name, result: "passed" };
  } catch (error) {
    if (error instanceof Complaint) return { name, result: "failed", why: error.why };
    if (error instanceof Skipped) return { name, result: "skipped", why: error.why };
    throw error;
  } finally {
    // With time to clean up behind itself.
    await connection.end(true);
  }
}

function vmmOf(connection: Connection, hello: Hello): Vmm {
  const run = async (job: Job) => {
    const outcome = await runOn(connection, hello, job, GRACE_MS);
    if (outcome instanceof Unsupported) throw new Skipped(`it says: ${outcome.reason}`);
    const { trace, intact } = outcome;
    if (trace.end.kind === "crash") throw new Complaint(trace.end.reason);
    if (!intact) throw new Complaint("it had to be killed at its limit on measured time");
    return trace;
  };
  return { connection, can: hello.capabilities, run };
}

const MARKS = { passed: "✓", failed: "✗", skipped: "–" } as const;

if (import.meta.main) {
  const command = Deno.args[0] === "--" ? Deno.args.slice(1) : Deno.args;
  const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(`${text}\n`));
  if (command.length === 0) {
    print("Say which program: deno task vmm:check COMMAND ARGS");
    Deno.exit(2);
  }
  let failed = 0;
  await conformance(command, (one) => {
    if (one.result === "failed") failed++;
    const why = one.result === "passed" ? "" : `: ${one.why}`;
    print(` ${MARKS[one.result]} ${one.name}${why}`);
  });
  print(failed === 0 ? "It keeps to trivisor-vmm/1." : `${failed} failed: see PROTOCOL.md.`);
  Deno.exit(failed === 0 ? 0 : 1);
}
