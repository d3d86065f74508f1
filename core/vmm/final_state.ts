// What is kept of a guest when it has ended: registers, and the memory that the scenario wants to look at.
import { own } from "../base/own.ts";
import { type Gpa, gpa, PAGE_SIZE } from "../base/address.ts";
import type { Vcpu, VcpuFactory } from "../engine/vcpu.ts";
import type { GuestImage } from "../guest/image.ts";
import type { Trace } from "../trace/trace.ts";
import type { BytesMatcher, Case, GuestSpec } from "../scenario/case.ts";

/** Bytes kept of a label whose size nobody states, unless the next label comes before. */
const UNSTATED_SIZE = 8;
/** Bytes kept of one label at most. */
const MAX_OBSERVED = 1 << 20;

/** All general and special registers, by name. */
export function finalRegisters(vcpu: Vcpu): Record<string, bigint> {
  const { general, special } = vcpu.registers();
  return { ...general, ...special };
}

/** Memory that is kept under a label. */
export interface Watched {
  readonly label: string;
  /** Linear. */
  readonly address: bigint;
  /** In bytes. */
  readonly size: number;
}

/** What is observed, and what this case expects something of. */
export function watchedMemory(image: GuestImage, guest: GuestSpec, subject: Case): Watched[] {
  const expected = subject.expect.memory;
  const labels = [...Object.keys(guest.observe.memory), ...Object.keys(expected)];
  return [...new Set(labels)].toSorted().flatMap((label) => {
    const address = own(image.symbols, label);
    if (address === undefined) return [];
    const matcher = own(expected, label)?.value;
    const size = own(guest.observe.memory, label) ??
      Math.max(matcher ? statedSize(matcher) : 0, roomAt(image, address));
    return [{ label, address, size: Math.min(size, MAX_OBSERVED) }];
  });
}

/** Memory by label. One that is not in RAM at the end comes out shorter than asked for, or empty. */
export function finalMemory(
  vcpu: Vcpu,
  image: GuestImage,
  guest: GuestSpec,
  subject: Case,
): Record<string, Uint8Array> {
  const watched = watchedMemory(image, guest, subject);
  return Object.fromEntries(
    watched.map(({ label, address, size }) => [label, readLinear(vcpu, address, size)]),
  );
}

/** Bytes that a matcher compares with. */
function statedSize(matcher: BytesMatcher): number {
  switch (matcher.is) {
    case "equal":
    case "starts-with":
    case "contains":
      return matcher.bytes.length;
    case "all-of":
      return Math.max(0, ...matcher.matchers.map(statedSize));
    case "not":
      return statedSize(matcher.matcher);
    case "matches":
    case "length":
    case "integer":
    case "any":
      return 0;
    default:
      return matcher satisfies never;
  }
}

/** Bytes from a label to the next, at most {@linkcode UNSTATED_SIZE}. */
function roomAt(image: GuestImage, address: bigint): number {
  let room = UNSTATED_SIZE;
  for (const other of Object.values(image.symbols)) {
    if (other > address && other - address < room) room = Number(other - address);
  }
  return room;
}

/** Reads page by page through the guest's tables; an address that they do not map is taken for a physical one. */
function readLinear(vcpu: Vcpu, linear: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const at = BigInt.asUintN(64, linear + BigInt(done));
    const count = Math.min(length - done, PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)));
    const physical = vcpu.translate(at) ?? Number(at);
    if (physical + count > vcpu.memory.size) return bytes.slice(0, done);
    bytes.set(vcpu.memory.read(gpa(physical) satisfies Gpa, count), done);
    done += count;
  }
  return bytes;
}

/** What of the guest this engine shows, and what the host's VMM below it has counted. */
export function shownBy(
  vcpu: Vcpu,
  engine: VcpuFactory,
): Pick<Trace, "unobserved" | "exitKinds" | "hidden" | "coarse"> {
  const { exits, exitKinds, hidden } = vcpu.capabilities;
  const coarse = vcpu.statistics?.();
  return {
    unobserved: [
      ...(engine.hostTime ? ["instructions" as const] : []),
      ...(exits === "none" ? ["exits" as const] : []),
    ],
    ...(exitKinds ? { exitKinds } : {}),
    ...(hidden ? { hidden } : {}),
    ...(coarse ? { coarse } : {}),
  };
}
