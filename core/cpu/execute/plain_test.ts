import { assertEquals } from "@std/assert";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import { longMode, protectedMode, realMode, TABLES } from "../testing.ts";

const { CF, AF, ZF, SF, PF } = RFLAGS;
const STATUS = CF | AF | ZF | SF | PF;

Deno.test("decimal instructions adjust AL and AH", () => {
  const rows: [string, number[], number, number, number, number][] = [
    // name, bytes, AX before, flags before, AX after, flags after
    ["daa 79+35", [0x27], 0xae, 0, 0x14, CF | AF | PF],
    ["daa without need", [0x27], 0x42, 0, 0x42, PF],
    ["daa with CF", [0x27], 0x10, CF, 0x70, CF],
    ["das 35-47", [0x2f], 0xee, CF | AF, 0x88, CF | AF | SF | PF],
    ["das borrows in its first step", [0x2f], 0x03, AF, 0xfd, CF | AF | SF],
    ["aaa", [0x37], 0x010b, 0, 0x0201, CF | AF],
    ["aaa without need", [0x37], 0x0105, 0, 0x0105, PF],
    ["aas", [0x3f], 0x020b, AF, 0x0105, CF | AF | PF],
    ["aam", [0xd4, 10], 0x3f, 0, 0x0603, PF],
    ["aad", [0xd5, 10], 0x0603, 0, 0x003f, PF],
  ];
  for (const [name, bytes, before, flags, after, expected] of rows) {
    const cpu = protectedMode().set({ rax: before, rflags: flags | 2 });
    cpu.run(...bytes);
    const found = Number(cpu.state.rflags) & STATUS;
    assertEquals([cpu.state.get("rax"), found], [BigInt(after), expected], name);
  }
  assertEquals(protectedMode().fault(0xd4, 0), [VECTOR.DE], "aam 0");
});

Deno.test("SALC spreads CF", () => {
  const cpu = protectedMode().set({ rax: 0x1234, rflags: CF | 2 });
  cpu.run(0xd6);
  assertEquals(cpu.state.get("rax"), 0x12ffn);
});

Deno.test("ENTER makes a frame with copies of enclosing frame pointers", () => {
  const cpu = longMode().set({ rbp: 0x6800 });
  cpu.poke64(0x6800 - 16, 0x22, 0x11);
  cpu.run(0xc8, 0x20, 0x00, 3);
  assertEquals(cpu.state.get("rbp"), 0x6ff8n);
  assertEquals(cpu.state.get("rsp"), 0x7000n - 32n - 0x20n);
  const frame = [1, 2, 3, 4].map((i) => cpu.peek64(0x7000 - 8 * i));
  assertEquals(frame, [0x6800n, 0x11n, 0x22n, 0x6ff8n]);
});

Deno.test("ENTER faults and changes nothing when its frame would end outside", () => {
  const cpu = longMode();
  cpu.poke64(TABLES.pages + 0x3000 + 8 * 5, 0n);
  const before = cpu.state.snapshot();
  assertEquals(cpu.fault(0xc8, 0, 0x10, 0), [VECTOR.PF, 2, 0x5ff8n]);
  assertEquals(cpu.state.snapshot(), before);
});

Deno.test("PUSHA and POPA keep everything but SP", () => {
  const cpu = realMode().set({ rax: 1, rcx: 2, rdx: 3, rbx: 4, rbp: 6, rsi: 7, rdi: 8 });
  cpu.run(0x60);
  assertEquals(cpu.peek16(0x7000 - 10), 0x7000);
  const saved = cpu.state.snapshot().general;
  cpu.set({ rax: 0, rcx: 0, rdi: 0 }).run(0x61);
  assertEquals(cpu.state.snapshot().general, { ...saved, rsp: 0x7000n });
});

Deno.test("XLAT indexes a table with AL", () => {
  const cpu = realMode().set({ rbx: 0x2000, rax: 0x1103 }).poke(0x2003, [0x77]);
  cpu.run(0xd7);
  assertEquals(cpu.state.get("rax"), 0x1177n);
});

Deno.test("CMPXCHG8B and CMPXCHG16B store or load, and set ZF", () => {
  const cpu = longMode().set({ rsi: 0x20000, rdx: 1, rax: 2, rcx: 3, rbx: 4 });
  cpu.poke64(0x20000, (1n << 32n) | 2n);
  cpu.run(0x0f, 0xc7, 0x0e);
  assertEquals([cpu.peek64(0x20000), cpu.state.rflags & BigInt(ZF)], [(3n << 32n) | 4n, 64n]);
  cpu.run(0x0f, 0xc7, 0x0e);
  assertEquals([cpu.state.get("rdx"), cpu.state.get("rax")], [3n, 4n]);
  assertEquals(cpu.state.rflags & BigInt(ZF), 0n);
  cpu.poke64(0x20000, 4n, 3n).run(0x48, 0x0f, 0xc7, 0x0e);
  assertEquals([cpu.peek64(0x20000), cpu.peek64(0x20008)], [4n, 3n]);
  assertEquals(cpu.state.rflags & BigInt(ZF), BigInt(ZF));
  assertEquals(cpu.set({ rsi: 0x20008 }).fault(0x48, 0x0f, 0xc7, 0x0e), [VECTOR.GP, 0]);
});
