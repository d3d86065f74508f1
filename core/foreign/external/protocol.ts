// The line protocol between trivisor and a VMM of the user's: every message, both ways, in zod. `protocol.schema.json` is made
// from it, PROTOCOL.md explains it. The contract of `connection.ts`, `session.ts` and of whoever implements it.
import { z } from "zod";
import { ENTRIES, GUEST_FORMATS } from "../../scenario/case.ts";
import { GENERAL_REGISTERS, SEGMENT_REGISTERS, SPECIAL_REGISTERS } from "../../base/registers.ts";
import {
  AccessMessage,
  Count,
  EndMessage,
  ExitMessage,
  InjectionMessage,
  Kind,
  Text,
  U64,
} from "./events.ts";

/** Its name and version; another version would be another protocol. */
export const PROTOCOL = "trivisor-vmm/1";
/** Bytes of guest memory in one `write` or `read`, so that a VMM gets along with one buffer for lines. */
export const PIECE = 32_768;
/** Longest line that trivisor sends, in bytes. */
export const MAX_REQUEST = 65_536;
/** Events in one message. */
const MAX_BATCH = 10_000;

/** Back ends that a VMM can stand for: those whose guests start on a bare machine. */
export const STANDS_FOR = ["full-bt", "full-hw", "full-hw/shadow", "hybrid"] as const;
/** Devices of the PC that guests are built for. */
export const OWN_DEVICES = [
  "uart",
  "debug-exit",
  "pic",
  "pit",
  "ata",
  "virtio-console",
  "virtio-block",
] as const;
/** One of {@linkcode OWN_DEVICES}. */
export type OwnDevice = typeof OWN_DEVICES[number];

/** Bytes as base64 with the standard alphabet, padded. */
const Base64 = z.base64();

const Register = z.enum([...GENERAL_REGISTERS, ...SPECIAL_REGISTERS]);

// --- What trivisor sends -----------------------------------------------------------------------------------------------

const Segment = z.strictObject({
  selector: z.int().min(0).max(0xffff),
  base: U64,
  limit: z.int().min(0).max(0xffff_ffff),
  attributes: z.int().min(0).max(0xf0ff).describe(
    "Type 0-3, S 4, DPL 5-6, P 7, AVL 12, L 13, D/B 14, G 15",
  ),
}).meta({ id: "Segment" });
const Table = z.strictObject({ base: U64, limit: z.int().min(0).max(0xffff) });
const segments = Object.fromEntries(SEGMENT_REGISTERS.map((name) => [name, Segment]));
const registers = Object.fromEntries(Register.options.map((name) => [name, U64]));

const Requests = {
  hello: z.strictObject({
    type: z.literal("hello"),
    protocols: z.array(z.string()).describe("The protocols that trivisor speaks, best first"),
  }),
  load: z.strictObject({
    type: z.literal("load"),
    memory: Count.describe("Bytes of RAM from address 0, all zero"),
    cpus: z.int().min(1),
    entry: z.enum(ENTRIES).describe("The CPU mode of the first instruction"),
    format: z.enum(GUEST_FORMATS).optional().describe("Of a guest from a file; it expects a PC"),
    rom: z.strictObject({ address: Count, length: Count }).optional()
      .describe("Read-only memory; its bytes come by `write`"),
    disks: z.array(z.strictObject({ sectors: Count, readOnly: z.boolean() }))
      .describe("Of 512-byte sectors, all zero; their bytes come by `write`"),
    registers: z.strictObject(registers),
    segments: z.strictObject(segments),
    gdtr: Table,
    idtr: Table,
  }),
  write: z.strictObject({
    type: z.literal("write"),
    disk: Count.optional().describe("A disk's number; absent: guest memory"),
    address: Count.describe("Guest-physical, or a byte of the disk"),
    bytes: Base64,
  }),
  run: z.strictObject({
    type: z.literal("run"),
    limits: z.strictObject({
      instructions: Count,
      exits: Count,
      timeNs: Count.describe("Guest time"),
      wallMs: Count.describe("Measured time"),
    }),
  }),
  resume: z.strictObject({
    type: z.literal("resume"),
    value: U64.optional().describe("What a read gets"),
    inject: z.int().min(0).max(255).optional()
      .describe("An external interrupt to deliver at entry; only after `interruptible`"),
    window: z.boolean().optional()
      .describe("Send an `interrupt-window` exit as soon as the guest can take an interrupt"),
  }),
  stop: z.strictObject({ type: z.literal("stop") }),
  read: z.strictObject({
    type: z.literal("read"),
    disk: Count.optional().describe("A disk's number; absent: guest memory"),
    address: Count,
    length: z.int().min(1).max(PIECE),
  }),
};

/** A message to the VMM. */
export const Request = z.discriminatedUnion("type", [
  Requests.hello,
  Requests.load,
  Requests.write,
  Requests.run,
  Requests.resume,
  Requests.stop,
  Requests.read,
]).meta({ id: "Request", title: "a message from trivisor to the VMM" });
/** One of them. */
export type Request = z.infer<typeof Request>;

// --- What the VMM sends ------------------------------------------------------------------------------------------------

/** What a VMM can do, and what it shows. */
export const Capabilities = z.strictObject({
  entries: z.array(z.enum(ENTRIES)).min(1).describe("CPU modes in which it starts guests"),
  formats: z.array(z.enum(GUEST_FORMATS)).default([])
    .describe("Guests from files that it runs: those expect a whole PC"),
  memory: Count.describe("Most bytes of RAM"),
  cpus: z.int().min(1).default(1),
  devices: z.union([z.literal("forwarded"), z.array(z.enum(OWN_DEVICES))])
    .describe("`forwarded`: trivisor answers accesses; else the devices that the VMM has itself"),
  interrupts: z.boolean().default(false)
    .describe("With forwarded devices: it injects, reports `hlt` and windows, and ticks"),
  exits: z.array(Kind).describe("The kinds of exit that it shows; of those, all"),
  accesses: z.boolean().default(false).describe("It shows what its own devices see"),
  injections: z.boolean().default(false).describe("It shows what it delivers itself"),
  console: z.boolean().default(true).describe("It shows what its own devices print"),
  registers: z.boolean().default(false).describe("`end` has all registers"),
  memoryReads: z.boolean().default(false).describe("It answers `read` after `end`"),
  instructions: z.boolean().default(false).describe("`end` has the number of instructions"),
  disks: z.boolean().default(false).describe("Its own devices include disks; it answers `read`"),
  rom: z.boolean().default(false).describe("It maps read-only memory"),
  runs: z.enum(["one", "many"]).default("one").describe("Runs in one process"),
  deterministic: z.boolean().default(false),
});
/** Read, with what was not said filled in. */
export type Capabilities = z.infer<typeof Capabilities>;

/** The first message of a VMM. */
export const Hello = z.strictObject({
  type: z.literal("hello"),
  protocol: z.literal(PROTOCOL),
  name: Text,
  version: Text,
  backend: z.enum(STANDS_FOR).describe("How it virtualizes"),
  host: Text.exactOptional().describe("What it runs on, where that matters: `svm`, `vmx`, `pvm`"),
  capabilities: Capabilities,
});
/** Read. */
export type Hello = z.infer<typeof Hello>;

const when = {
  at: Count.exactOptional().describe("Guest instructions retired before it"),
  cpu: Count.exactOptional().describe("Which CPU, where there are several"),
};

/** One thing that happened, in the order in which it did. */
export const EventMessage = z.union([
  z.strictObject({ ...when, exit: ExitMessage }),
  z.strictObject({ ...when, access: AccessMessage }),
  z.strictObject({ ...when, injection: InjectionMessage }),
  z.strictObject({ ...when, console: Base64 }),
]);

const Reason = z.strictObject({ reason: Text });
const Responses = {
  hello: Hello,
  events: z.strictObject({
    type: z.literal("events"),
    events: z.array(EventMessage).max(MAX_BATCH),
  }),
  exit: z.strictObject({
    ...when,
    type: z.literal("exit"),
    exit: ExitMessage,
    interruptible: z.boolean().default(false)
      .describe("Can the guest take an external interrupt now?"),
  }),
  end: z.strictObject({
    type: z.literal("end"),
    end: EndMessage,
    registers: z.partialRecord(Register, U64.transform((text) => BigInt(text))).exactOptional(),
    instructions: Count.exactOptional(),
  }),
  bytes: z.strictObject({ type: z.literal("bytes"), bytes: Base64 }),
  unsupported: z.strictObject({ type: z.literal("unsupported"), ...Reason.shape })
    .describe("It can't run this guest: the case is skipped"),
  error: z.strictObject({ type: z.literal("error"), ...Reason.shape })
    .describe("It gives up: a crash"),
};

/** A message from the VMM. */
export const Response = z.discriminatedUnion("type", [
  Responses.hello,
  Responses.events,
  Responses.exit,
  Responses.end,
  Responses.bytes,
  Responses.unsupported,
  Responses.error,
]).meta({ id: "Response", title: "a message from the VMM to trivisor" });
/** One of them, read. */
export type Response = z.infer<typeof Response>;
/** The message of this type. */
export type ResponseOf<T extends Response["type"]> = Extract<Response, { type: T }>;
