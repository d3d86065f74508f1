import { assertEquals, assertThrows } from "@std/assert";
import { firstPacket, fromHex, packet, toHex } from "./rsp.ts";

Deno.test("packet() ends with the sum of its bytes, modulo 256", () => {
  assertEquals(packet("g"), "+$g#67");
  assertEquals(packet("OK"), "+$OK#9a");
  assertEquals(packet(""), "+$#00");
});

Deno.test("firstPacket() finds a packet behind acknowledgements, and only a whole one", () => {
  assertEquals(firstPacket("++$OK#9a+$g#67"), { body: "OK", end: 8 });
  for (const part of ["", "+", "$OK", "$OK#9"]) assertEquals(firstPacket(part), undefined);
  assertThrows(() => firstPacket("$OK#9b"), Error, "checksum");
});

Deno.test("toHex() and fromHex() are each other's inverse", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
  assertEquals(fromHex(toHex(bytes)), bytes);
});
