import { assert, assertEquals, assertGreater } from "@std/assert";
import { KVM_UNAVAILABLE } from "../engine/kvm/testing.ts";
import { costProfileText, costTable } from "../report/cost_report.ts";
import { parseCostProfile } from "../vmm/parse_profile.ts";
import { measureCosts } from "./costs.ts";
import { countStatistics } from "./kvm_statistics.ts";
import { measureOptionCases } from "./option_cases.ts";
import { measureOptions } from "./options.ts";

/** What every KVM counts alike. */
const COUNTED = [["device memory write", "mmio_exits"], ["hlt", "halt_exits"]] as const;

Deno.test({
  name: "costs are measured on this host's KVM" + (KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""),
  ignore: KVM_UNAVAILABLE !== undefined,
  fn() {
    const report = measureCosts({ rounds: 3, sampleMs: 0.2 });
    // No speed is asserted: only that what every KVM does has a figure, and that what has none says why.
    const table = costTable(report);
    for (
      const name of ["port write", "device memory write", "hlt", "rdmsr, unknown to KVM", "kick"]
    ) {
      const result = report.results.find(({ loop }) => loop.name === name);
      assert(result?.ns, `${name}: ${result?.not}`);
      assertGreater(result.ns.median, 0, name);
    }
    for (const { loop, ns, not } of report.results) assert(ns || not, loop.name);
    const text = costProfileText(report, { name: "test", date: "2026-01-01" });
    assertEquals(parseCostProfile({ name: "test.yaml", text }).diagnostics, [], text);
    assert(table.includes(report.host.release));
  },
});

Deno.test({
  name: "KVM's options are compared" + (KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""),
  ignore: KVM_UNAVAILABLE !== undefined,
  async fn() {
    const { results } = await measureOptions({ rounds: 1, iterations: 20 });
    for (const { loop, exits, not } of results) {
      assertEquals(not, undefined, `${loop.operation}, ${loop.option}`);
      if (loop.ioeventfd) assertEquals(exits, 0, loop.option);
    }
    for (const { loop, not } of measureOptionCases({ rounds: 1, requests: 20 })) {
      assertEquals(not, undefined, loop.option);
    }
  },
});

Deno.test({
  name: "KVM counts device memory and halts by exit" +
    (KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""),
  ignore: KVM_UNAVAILABLE !== undefined,
  fn() {
    const { results } = countStatistics();
    const moved = (name: string) => results.find(({ loop }) => loop.name === name)?.moved ?? {};
    for (const [name, counter] of COUNTED) {
      assertEquals(moved(name)[counter], 1, `${name}, ${counter}`);
    }
  },
});
