import { assertEquals, assertThrows } from "@std/assert";
import { kvmOptions } from "./options.ts";

Deno.test("--kvm takes what KVM can do itself, in any combination that means something", () => {
  assertEquals(kvmOptions("ioeventfd"), { ioeventfd: true });
  assertEquals(kvmOptions("irqchip=user, ioeventfd"), { irqchip: "user", ioeventfd: true });
  assertEquals(kvmOptions("irqfd,irqchip=kernel"), { irqchip: "kernel", irqfd: true });
  for (
    const [text, complaint] of [
      ["ioeventfs", "ioeventfd"],
      ["irqchip", "irqchip=kernel"],
      ["irqfd", "needs irqchip=kernel"],
      ["irqfd,irqchip=user", "needs irqchip=kernel"],
      ["irqchip=kernel,irqchip=user", "not both"],
    ] as const
  ) {
    assertThrows(() => kvmOptions(text), Error, complaint);
  }
});
