import { assertEquals, assertThrows } from "@std/assert";
import { kvmOptions } from "./options.ts";

Deno.test("--kvm takes what subjects can use of KVM's, and says where the rest is", () => {
  assertEquals(kvmOptions("ioeventfd"), { ioeventfd: true });
  assertEquals(kvmOptions("irqchip=user"), {});
  assertThrows(() => kvmOptions("irqchip=kernel,irqfd"), Error, "trivisor costs options");
  assertThrows(() => kvmOptions("ioeventfs"), Error, "ioeventfd");
});
