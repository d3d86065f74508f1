// Small cases in one process: what building, running and judging cost when the guest does next to nothing.
import { runGroup } from "../judge/run_group.ts";
import type { CaseGroup } from "../scenario/case.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";

/** A greeting and a shutdown. */
export const SMALL_CASE = `why: A small case, to be timed
guest:
  entry: long64
  program: |
    start:
        lea   rsi, [rel text]
        mov   ecx, text_len
        pv    console_write
        xor   edi, edi
        pv    shutdown
    text: db "hello", 10
    text_len equ $ - text
expect: { console: "hello\\n", end: { shutdown: 0 } }
`;

/** Groups run for one sample. */
const GROUPS = 20;

/** The group that is run again and again: the small case on every back end. */
export function smallGroup(): CaseGroup {
  const { scenario, diagnostics } = parseScenario(
    { name: "small.yaml", text: SMALL_CASE },
    "small",
  );
  const [group] = scenario ? plan(scenario) : [];
  if (!group) throw new Error(diagnostics[0]?.message ?? "The small case has no group");
  return group;
}

/** Cases a second, over some runs of the group. */
export async function casesPerSecond(group: CaseGroup, profile: CostProfile): Promise<number> {
  const start = performance.now();
  let cases = 0;
  for (let i = 0; i < GROUPS; i++) {
    const result = await runGroup(group, { profile });
    if (result.verdict !== "passed") {
      throw new Error(
        `The small case: ${result.cases.find((c) => c.reason)?.reason ?? result.verdict}`,
      );
    }
    cases += result.cases.length;
  }
  return cases / ((performance.now() - start) / 1000);
}
