// The guest by which a VMM is tried before it is trusted: it prints a letter and ends with a code, in each mode alike.
import type { GuestImage, Placed } from "../guest/image.ts";
import { PROGRAM_BASE, REAL_PROGRAM_BASE } from "../guest/layout.ts";
import { type Case, DEFAULT_LIMITS, type Entry, type Limits } from "../scenario/case.ts";
import { EXIT_VIAS } from "../trace/exit.ts";
import { describeEnd } from "../trace/print.ts";
import type { Trace } from "../trace/trace.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import type { Job } from "../vmm/subject.ts";

const LETTER = "T";
const CODE = 42;
const MEMORY = 2 << 20;
const WALL_MS = 5_000;

/** `mov dx, 0x3f8`, `mov al, LETTER`, `out dx, al`, `mov al, CODE`, `out 0xf4, al`, `hlt`, in 16-bit code. */
const CODE16 = [0xba, 0xf8, 0x03, 0xb0, LETTER.charCodeAt(0), 0xee, 0xb0, CODE, 0xe6, 0xf4, 0xf4];
/** In 32-bit and 64-bit code, MOV to DX has a prefix. */
const CODE32 = [0x66, ...CODE16];

/** Nothing costs anything. */
const FREE = { value: 0, source: "not measured" };
const PROFILE: CostProfile = {
  name: "canary",
  layers: [{
    name: "canary",
    machine: "",
    instruction: FREE,
    exits: Object.fromEntries(EXIT_VIAS.map((via) => [via, FREE])),
    inlined: {},
    native: {},
  }],
};

/** The run to make. */
export function canary(entry: Entry): Job {
  return codeJob(entry, Uint8Array.from(entry === "real16" ? CODE16 : CODE32));
}

/** What a run of machine code may have else. */
export interface CodeOptions {
  readonly limits?: Partial<Limits>;
  /** Bytes of RAM. */
  readonly memory?: number;
  /** Beside the code. */
  readonly placed?: readonly Placed[];
}

/** A run of machine code, of which nothing is expected. */
export function codeJob(entry: Entry, code: Uint8Array, options: CodeOptions = {}): Job {
  const { memory = MEMORY, placed = [], limits } = options;
  const start = entry === "real16" ? REAL_PROGRAM_BASE : PROGRAM_BASE;
  const image: GuestImage = {
    entry,
    platform: "bare",
    memory,
    placed: [{ address: start, bytes: code }, ...placed],
    start,
    free: start + 4096,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [],
  };
  const guest = {
    entry,
    memory,
    registers: {},
    disks: [],
    expectedUnported: [],
    observe: { registers: [], memory: {} },
  };
  const subject: Case = {
    id: "canary",
    backend: "full-hw",
    engine: "external",
    expect: { registers: {}, memory: {} },
  };
  return {
    group: { guest, limits: { ...DEFAULT_LIMITS, wallMs: WALL_MS, ...limits } },
    subject,
    image,
    profile: PROFILE,
  };
}

/** What is wrong with how it ran: a clause; undefined if nothing is. */
export function canaryComplaint(trace: Trace): string | undefined {
  const { end } = trace;
  if (end.kind === "crash") return clause(end.reason);
  if (end.kind !== "shutdown" || end.code !== CODE) {
    return `it should have ended with shutdown ${CODE}, but: ${describeEnd(end)}`;
  }
  const text = new TextDecoder().decode(trace.console);
  if (trace.unobserved.includes("console") || text === LETTER) return undefined;
  return `it should have printed "${LETTER}", but printed ${JSON.stringify(text.slice(0, 40))}`;
}

/** A sentence as a part of another; names such as QEMU stay as they are. */
function clause(sentence: string): string {
  return /^[A-Z][a-z ]/.test(sentence)
    ? sentence.charAt(0).toLowerCase() + sentence.slice(1)
    : sentence;
}
