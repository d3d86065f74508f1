import { assertEquals } from "@std/assert";
import { fromHexBytes } from "../base/hex.ts";
import type { GuestImage } from "../guest/image.ts";
import { Places, referTo } from "./place.ts";
import { lineSpan, out } from "./testing.ts";

const IMAGE: GuestImage = {
  entry: "long64",
  platform: "bare",
  memory: 2 << 20,
  placed: [{ address: 0x100000, bytes: new Uint8Array(32) }],
  start: 0x100000,
  free: 0x101000,
  registers: {},
  symbols: { start: 0x100000n, next: 0x100010n, "next.loop": 0x100014n, size: 6n, high: 1n << 63n },
  lines: [
    { address: 0x100000, length: 3, span: lineSpan(5) },
    { address: 0x100003, length: 1, span: lineSpan(6) },
    { address: 0x100016, length: 2, span: lineSpan(7) },
  ],
  pvOps: [],
  disks: [],
};

const LABELS: readonly (readonly [bigint, string | undefined])[] = [
  [0x100000n, "start"],
  [0x100003n, "start+0x3"],
  [0x100016n, "next.loop+0x2"],
  [0x100004n, undefined],
  [0xfffffn, undefined],
  [0x100018n, undefined],
  [0xffff_8000_0000_0000n, undefined],
];

for (const [rip, label] of LABELS) {
  Deno.test(`Places.label() is ${label} when RIP is 0x${rip.toString(16)}`, () => {
    assertEquals(new Places(IMAGE).label(rip), label);
  });
}

Deno.test("referTo() goes from the exit to label, line and disassembly", () => {
  const exit = { ...out(0x3f8, 0x41, 0x100003n), bytes: fromHexBytes("ee") };
  assertEquals(referTo(exit, 4, new Places(IMAGE)), {
    name: "exit 5",
    text: "vm-exit io port=0x3f8 out size=1 value=0x41",
    place: "start+0x3",
    source: { at: "scenarios/test.yaml:6:1", text: "line 6: what was written" },
    disassembly: "out dx, al",
  });
});

Deno.test("referTo() gives the address when there is no image", () => {
  assertEquals(referTo(out(1, 2, 0x7c00n), 0, new Places()).place, "0x7c00");
});

Deno.test("Places.label() knows Xen's hypercall page, of guests that have one", () => {
  const xen = new Places({ ...IMAGE, platform: "xen" });
  assertEquals(xen.label(0x44248n), "hypercall_page+0x248");
  assertEquals(xen.label(0x44000n), "hypercall_page");
  assertEquals(xen.label(0x45000n), undefined);
  assertEquals(new Places(IMAGE).label(0x44248n), undefined);
});
