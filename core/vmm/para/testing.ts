// A PV domain for tests: built for real, with a made-up CPU under it.
import type { Gpa } from "../../base/address.ts";
import { VirtualClock } from "../../base/clock.ts";
import type { GuestImage } from "../../guest/image.ts";
import { PROGRAM_BASE, PV_FRAMES_END, PV_NEXT_FRAME } from "../../guest/layout.ts";
import { Bus } from "../../machine/bus.ts";
import { MemoryDisk } from "../../machine/memory_disk.ts";
import { Recorder } from "../../trace/recorder.ts";
import type { Setup } from "../monitor.ts";
import { FakeVcpu } from "../testing.ts";
import { HYPERCALL, type HypercallName } from "./abi.ts";
import { Domain } from "./domain.ts";
import { buildDomain } from "./domain_builder.ts";
import { enterDomain } from "./entry_state.ts";
import { hypercallTable } from "./hypercalls/all.ts";

/** RAM of a test's domain, in bytes. */
export const TEST_MEMORY = 4 << 20;
/** RAM that no part of the domain uses: arguments of hypercalls go here. */
export const SCRATCH = 0x200000;
/** Bytes of SYSCALL. */
const SYSCALL_LENGTH = 2n;

/** A CPU that has memory, MSRs, and instruction bytes where RIP points (linear is physical). */
export class PvVcpu extends FakeVcpu {
  readonly msrs = new Map<number, bigint>();
  /** Bytes of the instruction that `skip` goes past. */
  skipLength = SYSCALL_LENGTH;
  override cpl = 3;

  override getMsr(msr = 0): bigint | undefined {
    return this.msrs.get(msr);
  }
  override setMsr(msr = 0, value = 0n): void {
    this.msrs.set(msr, value);
  }
  override skip(): void {
    super.skip();
    this.set("rip", this.get("rip") + this.skipLength);
  }
  override instructionBytes(): Uint8Array {
    return this.memory.read(Number(this.get("rip")) as Gpa, 15);
  }
}

export interface TestDomain {
  readonly domain: Domain;
  readonly vcpu: PvVcpu;
  readonly setup: Setup;
  readonly recorder: Recorder;
  /** Sets the time, in nanoseconds, and fires what is due. */
  at(now: number): void;
  /** Does a hypercall by its table; the result, or undefined for one that leaves RAX alone. */
  call(name: HypercallName, ...args: (number | bigint)[]): bigint | undefined;
  /** Puts 64-bit words into memory, and tells the address. */
  put(address: number, ...words: (number | bigint)[]): number;
}

/** An image of no instructions. */
export function emptyImage(memory = TEST_MEMORY): GuestImage {
  return {
    entry: "long64",
    platform: "xen",
    memory,
    placed: [{ address: PROGRAM_BASE, bytes: Uint8Array.of(0x90) }],
    start: PROGRAM_BASE,
    free: PROGRAM_BASE + 0x1000,
    registers: {},
    symbols: {},
    lines: [],
    pvOps: [],
    disks: [{ sectors: 64, readOnly: false, pattern: "sector {n}\n" }],
  };
}

/** What a monitor is made from, for a made-up CPU. */
export function testSetup(vcpu: FakeVcpu, image: GuestImage, time: () => number) {
  const clock = new VirtualClock(time);
  const recorder = new Recorder(() => vcpu.retired);
  const setup: Setup = {
    image,
    clock,
    bus: new Bus((access) => recorder.access(access)),
    recorder,
    memory: vcpu.memory,
    console: { write: (bytes) => recorder.console(bytes) },
    disks: image.disks.map((spec) => new MemoryDisk(spec)),
    power: { off: () => {}, reset: () => {} },
    gate: { set: () => {} },
  };
  return { clock, recorder, setup };
}

/** Builds a domain and enters it. */
export function testDomain(memory = TEST_MEMORY): TestDomain {
  const vcpu = new PvVcpu(memory);
  const image = emptyImage(memory);
  let now = 0;
  const { clock, recorder, setup } = testSetup(vcpu, image, () => now);
  vcpu.memory.writeU64(PV_NEXT_FRAME as Gpa, BigInt(image.free));
  vcpu.memory.writeU64(PV_FRAMES_END as Gpa, BigInt(memory));
  const built = buildDomain(vcpu.memory, image);
  const domain = new Domain(setup, vcpu, built);
  enterDomain(vcpu, image, built.topTable);
  const table = hypercallTable();
  return {
    domain,
    vcpu,
    setup,
    recorder,
    at(time) {
      now = time;
      clock.runDue();
    },
    call: (name, ...args) => table.call(domain, BigInt(HYPERCALL[name]), args.map(BigInt)).result,
    put(address, ...words) {
      words.forEach((word, i) => vcpu.memory.writeU64(address + 8 * i as Gpa, BigInt(word)));
      return address;
    },
  };
}
