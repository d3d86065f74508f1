import { assert, assertEquals, assertGreater } from "@std/assert";
import { KvmSystem } from "../engine/kvm/system.ts";
import { costProfileText, costTable } from "../report/cost_report.ts";
import { parseCostProfile } from "../vmm/cost_profile.ts";
import { measureCosts } from "./costs.ts";

const unavailable = (() => {
  try {
    KvmSystem.open().close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
})();

Deno.test({
  name: "costs are measured on this host's KVM" + (unavailable ? `: ${unavailable}` : ""),
  ignore: unavailable !== undefined,
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
