// The flags that translated code works out against those of the reference, which the host CPU is compared with elsewhere.
import { assertEquals } from "@std/assert";
import { CC, statusFlags } from "../lazy_flags.ts";
import { arithmetic } from "./runtime.ts";

/** Operands at which additions, subtractions and shifts go over an edge, cut to a size. */
function edges(bits: bigint): bigint[] {
  const top = 1n << (bits - 1n);
  return [0n, 1n, 2n, 0xfn, 0x10n, top - 1n, top, top + 1n, 2n * top - 2n, 2n * top - 1n];
}

for (const [name, kind] of Object.entries(CC)) {
  Deno.test(`flags of ${name} agree with the reference on all edges`, () => {
    const { flags } = arithmetic();
    for (const log of [0, 1, 2, 3]) {
      const bits = 8n << BigInt(log);
      const op = kind * 4 + log;
      const signed = kind === CC.IMUL;
      for (const dst of edges(bits)) {
        // INC, DEC and MUL keep a single bit there, FLAGS all of RFLAGS.
        const sources = kind === CC.INC || kind === CC.DEC || kind === CC.MUL
          ? [0n, 1n]
          : edges(bits);
        for (const src of sources) {
          for (const aux of [0, 1]) {
            const [a, b] = signed
              ? [BigInt.asIntN(Number(bits), dst), BigInt.asIntN(Number(bits), src)]
              : [dst, src];
            const expected = statusFlags(op, BigInt.asUintN(64, a), BigInt.asUintN(64, b), aux);
            assertEquals(
              flags(op, a, b, aux),
              expected,
              `${name} ${bits} ${dst} ${src} ${aux}`,
            );
          }
        }
      }
    }
  });
}

Deno.test("multiplyHigh tells the upper half of products, signed and unsigned", () => {
  const { multiplyHighSigned, multiplyHighUnsigned } = arithmetic();
  for (const a of edges(64n)) {
    for (const b of edges(64n)) {
      const [x, y] = [BigInt.asIntN(64, a), BigInt.asIntN(64, b)];
      assertEquals(multiplyHighSigned(x, y), BigInt.asIntN(64, x * y >> 64n));
      assertEquals(BigInt.asUintN(64, multiplyHighUnsigned(a, b)), a * b >> 64n);
    }
  }
});
