// What a VMM tells of a run, as JSON: exits, accesses, injections and console output, with the fields of core/trace/exit.ts.
// 64-bit values are hexadecimal strings, as in trivisor's own JSON.
import { z } from "zod";
import {
  type Access,
  type EndState,
  type Exit,
  EXIT_VIAS,
  type ExitDetails,
  type ExitKind,
  type Injection,
} from "../../trace/exit.ts";
import { fromHexBytes } from "../../base/hex.ts";

/** Longest instruction (SDM vol. 2, 2.3.11). */
const MAX_INSTRUCTION = 15;
/** Of a name or a reason that somebody else writes into our report. */
const MAX_TEXT = 1000;
/** Arguments of a hypercall. */
const MAX_ARGUMENTS = 6;

/** A non-negative integer that fits a double exactly. */
export const Count = z.int().nonnegative();
/** `0x1f`, up to 64 bits. */
export const U64 = z.string().regex(/^0x[0-9a-fA-F]{1,16}$/)
  .meta({ id: "U64", title: 'a hexadecimal string such as "0x1f"' });
/** The same, read. */
const Wide = U64.transform((text) => BigInt(text));
const Port = z.int().min(0).max(0xffff);
const Byte = z.int().min(0).max(0xff);
const Bits32 = z.int().min(0).max(0xffff_ffff);
const Gpa = z.int().min(0).max(2 ** 52 - 1);
const AccessSize = z.int().min(1).max(4096);
export const Text = z.string().max(MAX_TEXT);
const Direction = z.enum(["in", "out"]);
const MemoryAccess = z.enum(["read", "write", "execute"]);
const none = z.strictObject({});

/** By kind: what an exit carries. */
const DETAILS: { readonly [K in ExitKind]: z.ZodType<ExitDetails[K]> } = {
  "exception": z.strictObject({
    vector: z.int().min(0).max(31),
    errorCode: Bits32.exactOptional(),
    address: Wide.exactOptional(),
  }),
  "external-interrupt": z.strictObject({ vector: Byte.exactOptional() }),
  "interrupt-window": none,
  "triple-fault": none,
  "task-switch": z.strictObject({ selector: Port }),
  "cpuid": z.strictObject({ leaf: Bits32, subleaf: Bits32 }),
  "hlt": none,
  "invd": none,
  "wbinvd": none,
  "invlpg": z.strictObject({ address: Wide }),
  "invpcid": z.strictObject({ type: Wide, pcid: Wide, address: Wide }),
  "rdpmc": z.strictObject({ counter: Bits32 }),
  "rdtsc": none,
  "rdtscp": none,
  "vmcall": z.strictObject({ number: Wide }),
  "cr-access": z.strictObject({
    register: z.int().min(0).max(15),
    access: z.enum(["mov-to", "mov-from", "clts", "lmsw", "smsw"]),
    value: Wide,
  }),
  "dr-access": z.strictObject({ register: z.int().min(0).max(7), direction: Direction }),
  "io": z.strictObject({
    port: Port,
    direction: Direction,
    size: z.literal([1, 2, 4]),
    // Of a read that trivisor is to answer it is not known yet.
    value: Bits32.default(0),
    string: z.boolean().exactOptional(),
  }),
  "msr-read": z.strictObject({ msr: Bits32, value: Wide.exactOptional() }),
  "msr-write": z.strictObject({ msr: Bits32, value: Wide }),
  "monitor": none,
  "mwait": none,
  "pause": none,
  "gdtr-idtr": z.strictObject({ instruction: Text }),
  "ldtr-tr": z.strictObject({ instruction: Text }),
  "xsetbv": z.strictObject({ register: Bits32, value: Wide }),
  "ept-violation": z.strictObject({
    gpa: Gpa,
    access: MemoryAccess,
    size: AccessSize.exactOptional(),
    value: Wide.exactOptional(),
  }),
  "instruction": z.strictObject({ instruction: Text }),
  "software-interrupt": z.strictObject({ vector: Byte }),
  "shadow-fill": z.strictObject({ address: Wide, access: MemoryAccess }),
  "trace": z.strictObject({ address: Wide, gpa: Gpa }),
  "mmio": z.strictObject({ gpa: Gpa, access: MemoryAccess, size: AccessSize, value: Wide }),
  "syscall": z.strictObject({ number: Wide }),
  "hypercall": z.strictObject({
    name: Text,
    number: Wide,
    arguments: z.array(Wide).max(MAX_ARGUMENTS),
    result: Wide.exactOptional(),
  }),
};

const isKind = (key: string): key is ExitKind => Object.hasOwn(DETAILS, key);

/** The kinds of exit. */
export const EXIT_KINDS: readonly ExitKind[] = Object.keys(DETAILS).filter(isKind);
/** One of them. */
export const Kind = z.enum(EXIT_KINDS as [ExitKind, ...ExitKind[]]).meta({ id: "ExitKind" });

/** Instruction bytes as hexadecimal digits. */
const InstructionBytes = z.string().regex(/^([0-9a-fA-F]{2})*$/).max(2 * MAX_INSTRUCTION)
  .transform((text) => fromHexBytes(text));

/** What all kinds of exit have beside their values; absent ones are what most VMMs would say. */
const place = {
  via: z.enum(EXIT_VIAS).default("vm-exit"),
  rip: Wide,
  bytes: InstructionBytes.default(() => new Uint8Array()),
  bitness: z.literal([16, 32, 64]).default(64),
};

const exitOf = (kind: ExitKind) =>
  z.strictObject({
    kind: z.literal(kind),
    ...place,
    // Kinds without values need not say so.
    detail: DETAILS[kind] === none ? none.default({}) : DETAILS[kind],
  });

const [firstKind = "io", ...otherKinds] = EXIT_KINDS;
/** An exit; by its kind, so that what is wrong with it is told of that kind alone. */
export const ExitMessage: z.ZodType<Exit> = z.discriminatedUnion("kind", [
  exitOf(firstKind),
  ...otherKinds.map(exitOf),
  // Each option has the values of its own kind, which the types of a mapped list do not show.
]).meta({ id: "Exit" }) as unknown as z.ZodType<Exit>;

const access = (kind: "io" | "mmio") =>
  z.strictObject({
    kind: z.literal(kind),
    device: Text,
    address: kind === "io" ? Port : Gpa,
    direction: Direction,
    size: z.literal([1, 2, 4, 8]),
    value: Count,
  });

/** What a device of the VMM's own saw. */
export const AccessMessage: z.ZodType<Access> = z.discriminatedUnion("kind", [
  access("io"),
  access("mmio"),
  z.strictObject({ kind: z.literal("queue-notify"), device: Text, queue: Port }),
  z.strictObject({ kind: z.literal("device-needs-reset"), device: Text, reason: Text }),
]).meta({ id: "Access" });

/** What the VMM delivered to the guest. */
export const InjectionMessage: z.ZodType<Injection> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("external-interrupt"), vector: Byte }),
  z.strictObject({
    kind: z.literal("exception"),
    vector: z.int().min(0).max(31),
    errorCode: Bits32.exactOptional(),
    address: Wide.exactOptional(),
  }),
  z.strictObject({ kind: z.literal("nmi"), vector: Byte }),
  z.strictObject({ kind: z.literal("event"), vector: Byte, port: Bits32 }),
]).meta({ id: "Injection" });

/** How a run ended; `stopped` answers `stop`. */
export const EndMessage: z.ZodType<EndState | { readonly kind: "stopped" }> = z
  .discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("shutdown"), code: Bits32 }),
    z.strictObject({ kind: z.literal("halt") }),
    z.strictObject({ kind: z.literal("triple-fault") }),
    z.strictObject({ kind: z.literal("unported"), instruction: Text, rip: Wide }),
    z.strictObject({
      kind: z.literal("limit"),
      limit: z.enum(["instructions", "exits", "time"]),
    }),
    z.strictObject({
      kind: z.literal("crash"),
      reason: Text,
      rip: Wide.default(0n),
    }),
    z.strictObject({ kind: z.literal("stopped") }),
  ]).meta({ id: "End" });
