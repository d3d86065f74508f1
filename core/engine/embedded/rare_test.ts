// Instructions that no oracle here has: AMD's processors and QEMU do otherwise, or do nothing.
import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { GENERAL_REGISTERS } from "../../base/registers.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { embedded } from "./engine.ts";

const CODE = 0x100000, DATA = 0x120000;
const HLT = 0xf4;

function guest(code: readonly number[]): Vcpu {
  const image = bareImage({ entry: "long64", memory: 2 << 20, start: CODE });
  const vcpu = startedVcpu(embedded, image, { controls: everyException() });
  vcpu.memory.write(gpa(CODE), Uint8Array.from([...code, HLT]));
  vcpu.set("rsi", BigInt(DATA));
  return vcpu;
}

Deno.test("LFS and LGS with REX.W load 64 bits and a selector", () => {
  const FAR = 0x1234_5678_9abc_def0n, NULL = 3;
  for (const [opcode, segment] of [[0xb4, "fs"], [0xb5, "gs"]] as const) {
    // lfs rax, [rsi]
    const vcpu = guest([0x48, 0x0f, opcode, 0x06]);
    vcpu.memory.write(gpa(DATA), new Uint8Array(BigUint64Array.of(FAR, BigInt(NULL)).buffer));
    assertEquals(vcpu.run(10).reason, "idle");
    assertEquals([vcpu.get("rax"), vcpu.segment(segment).selector], [FAR, NULL]);
    vcpu.dispose();
  }
});

Deno.test("0F 0D with a register does nothing, of any size", () => {
  for (const prefix of [[], [0x66], [0x48]]) {
    const code = [...prefix, 0x0f, 0x0d, 0xc8];
    const vcpu = guest(code);
    const state = () => GENERAL_REGISTERS.map((name) => vcpu.get(name));
    const before = state();
    assertEquals(vcpu.run(10).reason, "idle");
    assertEquals([vcpu.get("rip"), ...state()], [BigInt(CODE + code.length + 1), ...before]);
    vcpu.dispose();
  }
});
