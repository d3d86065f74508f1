// Where INS puts what it reads. An exit for it comes before the store, so whoever translates addresses for the guest has to
// make sure first that the store can be done.
import { PAGE_SIZE } from "../base/address.ts";
import type { Vcpu } from "../engine/vcpu.ts";
import type { ExitOf } from "./exit_handlers.ts";

/** Address-size override, and the other legacy and REX prefixes that may stand around it (SDM vol. 2, 2.1.1). */
const ADDRESS_SIZE = 0x67;
const OTHER_PREFIXES: ReadonlySet<number> = new Set([
  ...[0xf0, 0xf2, 0xf3, 0x66, 0x2e, 0x36, 0x3e, 0x26, 0x64, 0x65],
  ...Array.from({ length: 16 }, (_, i) => 0x40 + i),
]);

/** Linear addresses that an INS element is stored at: one, or one a page when it crosses into the next. */
export function insDestination(exit: ExitOf<"io">, vcpu: Vcpu): bigint[] {
  const bits = addressBits(exit.bytes, exit.bitness);
  // In 64-bit mode ES has no base.
  const base = exit.bitness === 64 ? 0n : vcpu.segment("es").base;
  const first = BigInt.asUintN(64, base + BigInt.asUintN(bits, vcpu.get("rdi")));
  const last = BigInt.asUintN(64, first + BigInt(exit.detail.size - 1));
  const page = (address: bigint) => address / BigInt(PAGE_SIZE);
  return page(first) === page(last) ? [first] : [first, last];
}

function addressBits(bytes: Uint8Array, bitness: 16 | 32 | 64): 16 | 32 | 64 {
  for (const byte of bytes) {
    if (byte === ADDRESS_SIZE) return bitness === 32 ? 16 : 32;
    if (!OTHER_PREFIXES.has(byte)) break;
  }
  return bitness;
}
