import { assertEquals } from "@std/assert";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import { longMode, realMode, TABLES } from "../testing.ts";

Deno.test("execute() moves AL, AX or EAX when it is IN or OUT", () => {
  const rows: [string, number[], string, bigint][] = [
    ["out 0x80, al", [0xe6, 0x80], "write 0 1 88", 0x1122_3344_5566_7788n],
    ["out dx, ax", [0x66, 0xef], "write 1 2 7788", 0x1122_3344_5566_7788n],
    ["out dx, eax", [0xef], "write 1 4 55667788", 0x1122_3344_5566_7788n],
    ["in al, 0x80", [0xe4, 0x80], "read 0 1", 0x1122_3344_5566_77aan],
    ["in ax, dx", [0x66, 0xed], "read 1 2", 0x1122_3344_5566_ffaan],
    ["in eax, dx", [0xed], "read 1 4", 0x0fff_ffaan],
  ];
  for (const [name, bytes, access, rax] of rows) {
    const cpu = longMode().set({ rax: 0x1122_3344_5566_7788n, rdx: 0x81 });
    cpu.echo.value = name.includes("al") ? 0xaa : name.includes("eax") ? 0xfffffaa : 0xffaa;
    cpu.run(...bytes);
    assertEquals([cpu.echo.log, cpu.state.get("rax")], [[access], rax], name);
    assertEquals(cpu.state.rip, 0x1000n + BigInt(bytes.length));
    assertEquals(cpu.counts, { "port-io": 1 });
  }
});

Deno.test("execute() reads all ones when no device answers", () => {
  const cpu = longMode().set({ rdx: 0x300 });
  cpu.run(0xed);
  assertEquals(cpu.state.get("rax"), 0xffff_ffffn);
});

Deno.test("execute() moves one element and stays when REP OUTS has more to do", () => {
  const cpu = longMode().set({ rdx: 0x80, rcx: 2, rsi: 0x20000 }).poke(0x20000, [0x11, 0x22, 0x33]);
  cpu.run(0xf3, 0x6e);
  assertEquals(
    [cpu.state.rip, cpu.state.get("rcx"), cpu.state.get("rsi")],
    [0x1000n, 1n, 0x20001n],
  );
  cpu.run(0xf3, 0x6e);
  assertEquals([cpu.state.rip, cpu.state.get("rcx")], [0x1002n, 0n]);
  assertEquals(cpu.echo.log, ["write 0 1 11", "write 0 1 22"]);
});

Deno.test("execute() touches no port when the count of a REP is zero", () => {
  const cpu = longMode({ level: 3 }).set({ rdx: 0x80, rsi: 0x9999_9999n });
  cpu.run(0xf3, 0x6e);
  assertEquals([cpu.state.rip, cpu.echo.log], [0x1002n, []]);
});

Deno.test("execute() goes down and wraps as the address size says when DF is set", () => {
  const cpu = realMode().set({ rdx: 0x80, rdi: 0x5_0001, rcx: 0x7_0003, rflags: RFLAGS.DF | 2 });
  cpu.echo.value = 0xbeef;
  cpu.run(0xf3, 0x6d);
  assertEquals(cpu.peek16(1), 0xbeef);
  assertEquals([cpu.state.get("rdi"), cpu.state.get("rcx")], [0x5_ffffn, 0x7_0002n]);
});

Deno.test("execute() does not read the port when INS can't store", () => {
  const cpu = longMode().set({ rdx: 0x80, rdi: 0x20ffe });
  cpu.poke64(TABLES.pages + 0x3000 + 8 * 0x21, 0n);
  assertEquals(cpu.fault(0x6d), [VECTOR.PF, 2, 0x21000n]);
  assertEquals([cpu.echo.log, cpu.state.get("rdi"), cpu.counts], [[], 0x20ffen, {}]);
});
