import { assert, assertEquals } from "@std/assert";
import { gpa } from "../base/address.ts";
import { CR0, CR4, EFER } from "../base/registers.ts";
import { PAGE_FAULT } from "../cpu/mmu.ts";
import { ENTRY } from "../cpu/walk.ts";
import { Bus } from "../machine/bus.ts";
import type { Exit } from "../trace/exit.ts";
import { Recorder } from "../trace/recorder.ts";
import { dispatch, type Machine } from "./exit_handlers.ts";
import { InterruptDelivery } from "./interrupts.ts";
import { ShadowPaging } from "./shadow.ts";
import { ADAPT_AFTER, ShadowExits } from "./shadow_handlers.ts";
import { FakeVcpu, madeExit } from "./testing.ts";

const { P, RW, US, D } = ENTRY;
const PML4 = 0x1000, PDPT = 0x2000, PD = 0x3000, PT = 0x4000, FRAME = 0x9000;
/** A page, and the page table that maps it, which is mapped next to it. */
const LINEAR = 0x40_0000n, TABLE = LINEAR + 0x1000n;

function machine(adapts = true) {
  const vcpu = new FakeVcpu(0x10000);
  const { memory } = vcpu;
  memory.writeU64(gpa(PML4), BigInt(PDPT) | P | RW | US);
  memory.writeU64(gpa(PDPT), BigInt(PD) | P | RW | US);
  memory.writeU64(gpa(PD + 16), BigInt(PT) | P | RW | US);
  memory.writeU64(gpa(PT), BigInt(FRAME) | P | RW | D);
  memory.writeU64(gpa(PT + 8), BigInt(PT) | P | RW | US);
  vcpu.set("cr0", BigInt(CR0.PG) | BigInt(CR0.PE | CR0.WP));
  vcpu.set("cr3", BigInt(PML4));
  vcpu.set("cr4", BigInt(CR4.PAE));
  vcpu.set("efer", BigInt(EFER.LMA | EFER.LME));
  const shadow = new ShadowPaging(vcpu);
  shadow.start();
  const recorder = new Recorder(() => vcpu.retired);
  const controller = { pending: () => false, acknowledge: () => 0 };
  const made: Machine = {
    vcpu,
    bus: new Bus(),
    recorder,
    interrupts: new InterruptDelivery(vcpu, controller, recorder),
    emulate: () => shadow.emulate(),
  };
  const exits = new ShadowExits(shadow, { adapts });
  /** Classifies and handles; tells what the exit turned out to be. */
  const take = (exit: Exit): Exit["kind"] => {
    const told = exits.classify(exit, made);
    dispatch(exits.handlers, told, made);
    return told.kind;
  };
  return { vcpu, memory, shadow, take };
}

function pageFault(address: bigint, errorCode: number): Exit {
  return madeExit("exception", { vector: 14, errorCode, address }, "fault");
}

Deno.test("classify() tells fills, traces and the guest's own faults apart", () => {
  const { vcpu, take } = machine();
  assertEquals(take(pageFault(LINEAR, 0)), "shadow-fill");
  assertEquals(take(pageFault(TABLE, PAGE_FAULT.W)), "trace");
  assertEquals(take(pageFault(LINEAR + 0x5000n, PAGE_FAULT.W)), "exception");
  assertEquals(vcpu.calls.at(-1), "inject exception 14");
});

Deno.test("a store that keeps tracing is adapted in the kernel, where the technique can", () => {
  const adapted = (adapts: boolean, cpl: number) => {
    const { vcpu, take } = machine(adapts);
    vcpu.cpl = cpl;
    const user = cpl === 3 ? PAGE_FAULT.U : 0;
    for (let i = 0; i < ADAPT_AFTER; i++) {
      assert(!vcpu.calls.some((call) => call.startsWith("callOutAt")));
      assertEquals(take(pageFault(TABLE, PAGE_FAULT.W | user)), "trace");
    }
    return vcpu.calls.filter((call) => call.startsWith("callOutAt"));
  };
  assertEquals(adapted(true, 0), ["callOutAt 0x1000 trace"]);
  assertEquals(adapted(true, 3), []);
  assertEquals(adapted(false, 0), []);
});

Deno.test("a callout whose page is no table does the store all the same", () => {
  const { vcpu, shadow, take } = machine();
  assertEquals(take(madeExit("trace", { address: LINEAR, gpa: 0 }, "callout")), "trace");
  assertEquals(vcpu.calls.at(-1), `emulateStore 0x${FRAME.toString(16)}`);
  assert(shadow.lookup(LINEAR)?.writable);
});

Deno.test("INVLPG drops the page and moves on", () => {
  const { vcpu, shadow, take } = machine();
  take(pageFault(LINEAR, 0));
  assert(shadow.lookup(LINEAR));
  take(madeExit("invlpg", { address: LINEAR + 8n }, "callout"));
  assertEquals(shadow.lookup(LINEAR), undefined);
  assertEquals(vcpu.calls.at(-1), "skip");
});

Deno.test("a page table is open for an event that is delivered onto it, until the next exit", () => {
  const { memory, shadow, take } = machine();
  take(pageFault(LINEAR, 0));
  const delivery = { ...pageFault(TABLE, PAGE_FAULT.W), bytes: new Uint8Array() };
  assertEquals(take(delivery), "trace");
  assert(shadow.lookup(TABLE)?.writable);
  memory.writeU64(gpa(PT), BigInt(0xa000) | P | RW);
  assertEquals(take(pageFault(LINEAR + 0x2000n, 0)), "exception");
  assertEquals(shadow.lookup(TABLE), undefined);
  assertEquals(shadow.lookup(LINEAR), undefined);
});
