import { assertEquals } from "@std/assert";
import { hypercall } from "./hypercalls.ts";
import { KVM_ERROR } from "./kvm_abi.ts";

Deno.test("hypercall() answers each number", () => {
  const got: number[] = [];
  const kicked: number[] = [];
  const target = {
    sendIpi: (id: number, icr: bigint) => id < 4 && icr === 0x41n && got.push(id) > 0,
    kick: (id: number) => void kicked.push(id),
  };
  const bitmap = 0b1011n;
  const cases: [string, bigint, [bigint, bigint, bigint, bigint], number][] = [
    ["VAPIC_POLL_IRQ", 1n, [0n, 0n, 0n, 0n], 0],
    ["KICK_CPU", 5n, [0n, 3n, 0n, 0n], 0],
    ["CLOCK_PAIRING", 9n, [0n, 0n, 0n, 0n], -KVM_ERROR.EOPNOTSUPP],
    ["SEND_IPI to ids 2, 3 and 5", 10n, [bitmap, 0n, 2n, 0x41n], 2],
    ["SEND_IPI by the high half, to id 64 and up", 10n, [0n, 1n, 0n, 0x41n], 0],
    ["SCHED_YIELD", 11n, [0n, 0n, 0n, 0n], 0],
    ["one that no kernel has", 0x1234n, [0n, 0n, 0n, 0n], -KVM_ERROR.ENOSYS],
    ["one above 53 bits", 0xffff_ffff_ffff_ffffn, [0n, 0n, 0n, 0n], -KVM_ERROR.ENOSYS],
  ];
  for (const [name, number, args, result] of cases) {
    assertEquals(hypercall(number, args, target), BigInt(result), name);
  }
  assertEquals(got, [2, 3]);
  assertEquals(kicked, [3]);
});
