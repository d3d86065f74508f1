// Every group of hypercalls but paging and events, which have tests of their own.
import { assertEquals, assertThrows } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../../base/address.ts";
import { HYPERCALL, SCHEDOP } from "../abi.ts";
import { SCRATCH, testDomain } from "../testing.ts";
import { hypercallTable } from "./all.ts";
import { HypercallTable, result } from "./table.ts";

const UNMAPPED = 0x4000_0000;

Deno.test("register() refuses a slot that is taken", () => {
  const table = new HypercallTable();
  table.register("console_io", 3, () => result());
  assertThrows(() => table.register("console_io", 3, () => result()), Error, "already");
});

Deno.test("call() answers -ENOSYS for what nobody implements", () => {
  const { domain } = testDomain();
  const table = hypercallTable();
  for (const number of [6n, 63n, 64n, 1n << 32n, (1n << 64n) - 1n]) {
    assertEquals(table.call(domain, number, []).result, -38n);
  }
  assertEquals(table.call(domain, BigInt(HYPERCALL.platform_op), []).result, -38n);
});

Deno.test("console_io writes what the guest points at", () => {
  const test = testDomain();
  test.vcpu.memory.write(SCRATCH as Gpa, new TextEncoder().encode("hello"));
  assertEquals(test.call("console_io", 0, 5, SCRATCH), 0n);
  assertEquals(new TextDecoder().decode(test.recorder.consoleBytes()), "hello");
  assertEquals(test.call("console_io", 1, 5, SCRATCH), 0n, "nobody types");
  assertEquals(test.call("console_io", 0, 5, UNMAPPED), -14n);
  assertEquals(test.call("console_io", 0, 0xffff_ffff, SCRATCH), -7n);
  assertEquals(test.call("console_io", 9, 0, 0), -38n);
});

Deno.test("sched_op blocks until an event that is let in, and tells how a shutdown was meant", () => {
  const { domain, put } = testDomain();
  const table = hypercallTable();
  const op = (command: number, pointer = 0) =>
    table.call(domain, BigInt(HYPERCALL.sched_op), [BigInt(command), BigInt(pointer)]);
  assertEquals(op(SCHEDOP.yield).outcome.do, "resume");
  const port = domain.events.bind({ to: "ipi" });
  assertEquals(op(SCHEDOP.block).outcome.do, "idle");
  assertEquals(domain.events.masked, false, "blocking lets events in");
  assertEquals(domain.wakeable(), false);
  domain.events.raise(port);
  assertEquals(domain.wakeable(), true);
  assertEquals(op(SCHEDOP.block).outcome.do, "resume");
  assertEquals(op(SCHEDOP.shutdown, put(SCRATCH, 77)), {
    outcome: { do: "stop", end: { kind: "shutdown", code: 77 } },
  });
  assertEquals(op(SCHEDOP.shutdown, UNMAPPED).result, -14n);
});

Deno.test("SCHEDOP_poll waits for a port, masked or not, or for its time", () => {
  const test = testDomain();
  const { domain } = test;
  const port = domain.events.bind({ to: "ipi" });
  const poll = (timeout: number) =>
    test.call("sched_op", SCHEDOP.poll, test.put(SCRATCH, SCRATCH + 24, 1, timeout, port));
  assertEquals(poll(0), 0n);
  assertEquals(domain.wakeable(), false);
  domain.events.raise(port);
  assertEquals(domain.wakeable(), true);
  test.put(0x41800, 0);
  domain.endPoll();
  assertEquals(poll(1000), 0n);
  assertEquals(domain.wakeable(), false);
  test.at(1000);
  assertEquals(domain.wakeable(), true);
  domain.endPoll();
  assertEquals(domain.wakeable(), false);
  test.put(SCRATCH + 24, 4096);
  assertEquals(
    test.call("sched_op", SCHEDOP.poll, test.put(SCRATCH, SCRATCH + 24, 1, 0, 4096)),
    -22n,
  );
  assertEquals(test.call("sched_op", SCHEDOP.poll, test.put(SCRATCH, SCRATCH, 129, 0)), -22n);
});

Deno.test("set_trap_table adds entries up to a null one, and a null pointer clears it", () => {
  const test = testDomain();
  // vector | flags << 8 | cs << 16, address
  test.put(SCRATCH, 3n | 7n << 8n | 0xe033n << 16n, 0x10_1000, 14n | 4n << 8n, 0x10_2000, 0, 0);
  assertEquals(test.call("set_trap_table", SCRATCH), 0n);
  assertEquals(test.domain.traps.get(3), {
    address: 0x10_1000n,
    cs: 0xe033,
    dpl: 3,
    maskEvents: true,
  });
  assertEquals(test.domain.traps.get(14)?.dpl, 0);
  assertEquals(test.call("set_trap_table", 0), 0n);
  assertEquals(test.domain.traps.size, 0);
  assertEquals(test.call("set_trap_table", test.put(SCRATCH, 3, 1n << 47n)), -22n);
  // A table without end: 257 entries and more.
  for (let i = 0; i < 300; i++) test.put(SCRATCH + 16 * i, i & 0xff, 0x1000);
  assertEquals(test.call("set_trap_table", SCRATCH), -22n);
});

Deno.test("timers fire VIRQ_TIMER: periodic, single, and not when stopped", () => {
  const test = testDomain();
  const fired: number[] = [];
  const raise = test.domain.events.raiseVirq.bind(test.domain.events);
  test.domain.events.raiseVirq = (virq) => {
    fired.push(virq);
    raise(virq);
  };
  const MS = 1_000_000;
  assertEquals(
    test.call("vcpu_op", 6, 0, test.put(SCRATCH, MS - 1)),
    -22n,
    "shorter than Xen grants",
  );
  assertEquals(test.call("vcpu_op", 6, 0, test.put(SCRATCH, MS)), 0n);
  for (const now of [MS - 1, MS, 2 * MS, 2 * MS + 1]) test.at(now);
  assertEquals(fired.length, 2);
  assertEquals(test.call("vcpu_op", 7, 0, 0), 0n);
  test.at(9 * MS);
  assertEquals(fired.length, 2);
  assertEquals(test.call("set_timer_op", 10 * MS), 0n);
  test.at(10 * MS);
  test.at(20 * MS);
  assertEquals(fired.length, 3);
  assertEquals(test.call("set_timer_op", 30 * MS), 0n);
  assertEquals(test.call("set_timer_op", 0), 0n);
  test.at(40 * MS);
  assertEquals(fired.length, 3);
  // A new deadline replaces the old one.
  assertEquals(test.call("set_timer_op", 41 * MS), 0n);
  assertEquals(test.call("set_timer_op", 60 * MS), 0n);
  test.at(50 * MS);
  assertEquals(fired.length, 3);
  assertEquals(test.call("set_timer_op", 0), 0n);
  // Single shot with the "future" flag: -ETIME when it is past.
  assertEquals(test.call("vcpu_op", 8, 0, test.put(SCRATCH, 5 * MS, 1)), -62n);
  assertEquals(test.call("vcpu_op", 8, 0, test.put(SCRATCH, 5 * MS, 0)), 0n);
  test.at(50 * MS);
  assertEquals(fired.length, 4);
  assertEquals(test.call("vcpu_op", 3, 1, 0), -2n, "there is one virtual CPU");
  assertEquals(test.call("vcpu_op", 3, 0, 0), 1n);
  assertEquals(test.call("vcpu_op", 99, 0, 0), -38n);
});

Deno.test("set_segment_base sets the bases that the kernel and user mode have", () => {
  const test = testDomain();
  assertEquals(test.call("set_segment_base", 0, 0x1111), 0n);
  assertEquals(test.call("set_segment_base", 1, 0x2222), 0n);
  assertEquals(test.call("set_segment_base", 2, 0x3333), 0n);
  const msrs = [0xc0000100, 0xc0000102, 0xc0000101].map((msr) => test.vcpu.msrs.get(msr));
  assertEquals(msrs, [0x1111n, 0x2222n, 0x3333n]);
  assertEquals(test.call("set_segment_base", 0, 1n << 60n), -22n);
  assertEquals(test.call("set_segment_base", 9, 0), -22n);
});

Deno.test("set_gdt takes pages of harmless descriptors that the guest can't write", () => {
  const test = testDomain();
  const gdt = SCRATCH + 0x4000;
  const frames = test.put(SCRATCH, gdt / PAGE_SIZE);
  // A DPL-0 code segment becomes a DPL-3 one; gates are refused.
  const code = 0x00af_9b00_0000_ffffn;
  test.put(gdt, 0, code);
  assertEquals(test.call("set_gdt", frames, 2), -22n, "still writable");
  assertEquals(test.call("update_va_mapping", gdt, gdt | 5, 0), 0n);
  assertEquals(test.call("set_gdt", frames, 2), 0n);
  assertEquals(test.vcpu.memory.readU64(gdt + 8 as Gpa), code | 3n << 45n);
  assertEquals(test.call("update_va_mapping", gdt, gdt | 7, 0), -16n);
  assertEquals(test.call("update_descriptor", gdt + 16, code), 0n);
  assertEquals(test.vcpu.memory.readU64(gdt + 16 as Gpa), code | 3n << 45n);
  const callGate = 0x0000_8c00_0008_0000n;
  assertEquals(test.call("update_descriptor", gdt + 16, callGate), -22n);
  assertEquals(test.call("update_descriptor", gdt + 17, 0), -22n);
  assertEquals(test.call("update_descriptor", test.domain.kernelTable, 0), -22n);
  assertEquals(test.call("set_gdt", frames, 14 * 512 + 1), -22n);
  assertEquals(test.call("set_gdt", 0, 0), 0n, "back to none");
  assertEquals(test.call("update_va_mapping", gdt, gdt | 7, 0), 0n);
});

Deno.test("set_gdt leaves no use behind when one of its pages is refused", () => {
  const test = testDomain();
  const gdt = SCRATCH + 0x4000;
  test.put(gdt + PAGE_SIZE, 0x0000_8c00_0008_0000n);
  for (const page of [gdt, gdt + PAGE_SIZE]) {
    assertEquals(test.call("update_va_mapping", page, page | 5, 0), 0n);
  }
  const frames = test.put(SCRATCH, gdt / PAGE_SIZE, gdt / PAGE_SIZE + 1);
  assertEquals(test.call("set_gdt", frames, 1024), -22n);
  assertEquals(test.domain.types.uses(gdt / PAGE_SIZE), 0);
});

Deno.test("xen_version, memory_op and grant_table_op tell what the machine is like", () => {
  const test = testDomain();
  const u64 = (at = 0) => test.vcpu.memory.readU64(SCRATCH + at as Gpa);
  assertEquals(test.call("xen_version", 0, 0), 4n << 16n | 17n);
  assertEquals(test.call("xen_version", 7, 0), 4096n);
  assertEquals(test.call("xen_version", 5, SCRATCH), 0n);
  assertEquals(u64(), 0xffff_8000_0000_0000n);
  assertEquals(test.call("xen_version", 6, test.put(SCRATCH, 0)), 0n);
  // mmu_pt_update_preserve_ad and gnttab_map_avail_bits, without which Linux does not start.
  assertEquals(u64() >> 32n, 0xa0n);
  assertEquals(test.call("xen_version", 99, 0), -38n);
  assertEquals(test.call("memory_op", 3, SCRATCH), 1024n);
  test.put(SCRATCH, 4, SCRATCH + 64);
  assertEquals(test.call("memory_op", 9, SCRATCH), 0n);
  assertEquals([u64(64), u64(72), u64() & 0xffff_ffffn], [0n, 4n << 20n, 1n]);
  assertEquals(test.call("memory_op", 12, SCRATCH), 0n);
  assertEquals([u64(), u64(16)], [0xffff_8000_0000_0000n, 1023n]);
  // setup_table: dom | nr_frames << 32, status, frame_list.
  test.put(SCRATCH, 0x7ff0n | 1n << 32n, 0, SCRATCH + 64);
  assertEquals(test.call("grant_table_op", 2, SCRATCH, 1), 0n);
  assertEquals(u64(64), 0x45n);
  test.put(SCRATCH, 0x7ff0n | 2n << 32n, 0, SCRATCH + 64);
  assertEquals(test.call("grant_table_op", 2, SCRATCH, 1), 0n);
  assertEquals(u64(8) & 0xffffn, 0xffffn, "GNTST_general_error: there is one frame");
});

Deno.test("multicall does each entry, keeps each result, and does not nest", () => {
  const test = testDomain();
  const entry = (
    op: number,
    ...args: number[]
  ) => [op, 0, ...args, ...Array(6 - args.length).fill(0)];
  test.put(SCRATCH, ...entry(17, 0), ...entry(99), ...entry(18, 0, 4, SCRATCH));
  assertEquals(test.call("multicall", SCRATCH, 3), 0n);
  const results = [8, 72, 136].map((at) => test.vcpu.memory.readU64(SCRATCH + at as Gpa));
  assertEquals(results, [4n << 16n | 17n, (1n << 64n) - 38n, 0n]);
  assertEquals(test.recorder.consoleBytes().length, 4);
  for (const op of [HYPERCALL.multicall, HYPERCALL.iret]) {
    assertEquals(test.call("multicall", test.put(SCRATCH, ...entry(op)), 1), -22n);
  }
  assertEquals(test.call("multicall", SCRATCH, 0xffff_ffff), -22n);
});

Deno.test("vm_assist, stack_switch, debug registers and physdev_op answer as Xen does", () => {
  const test = testDomain();
  assertEquals(test.call("vm_assist", 0, 2), 0n);
  assertEquals(test.domain.writablePageTables, true);
  assertEquals(test.call("vm_assist", 1, 2), 0n);
  assertEquals(test.domain.writablePageTables, false);
  assertEquals(test.call("vm_assist", 0, 9), -22n);
  assertEquals(test.call("stack_switch", 0xe02b, 0x9_8000), 0n);
  assertEquals(test.domain.kernelStack, { ss: 0xe02b, rsp: 0x9_8000n });
  const debug = (number: number, value: bigint) => test.call("set_debugreg", number, value);
  assertEquals(debug(7, 0x2400n), -1n);
  assertEquals(debug(7, 0x2_0401n), -1n);
  assertEquals(debug(7, 0x1_1111_d8ffn), 0n);
  assertEquals(test.call("get_debugreg", 5), 0x1111_04ffn);
  assertEquals(debug(0, 0xffff_8000_0000_1000n), -1n);
  assertEquals(debug(0, 0x1000n), 0n);
  assertEquals(test.call("get_debugreg", 0), 0x1000n);
  assertEquals(debug(4, 0n), 0n);
  assertEquals(test.call("get_debugreg", 6), 0xffff_0ff0n);
  assertEquals(debug(8, 0n), -19n);
  assertEquals(test.call("get_debugreg", 8), -19n);
  assertEquals(test.call("physdev_op", 6, 0), 0n);
  assertEquals(test.call("physdev_op", 12, 0), -38n);
});
