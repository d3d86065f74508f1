import { assertEquals } from "@std/assert";
import type { CaseResult } from "../judge/result.ts";
import { agreementTable } from "./agreement.ts";
import { makeGroupResult, makeResult } from "./testing.ts";

const kvm = (scenario: string, more: Partial<CaseResult>) =>
  makeResult(scenario, "full-hw", { engine: "kvm", version: "6.12.9", host: "svm", ...more });
const qemu = (scenario: string, more: Partial<CaseResult>) =>
  makeResult(scenario, "full-bt", { engine: "qemu", version: "7.2.13", ...more });

const KNOWN = {
  state: "excused",
  about: ["console"],
  reason: "It prints otherwise.",
  manual: "SDM vol. 3, 4.10",
  link: "https://example.org/1",
  until: "2027-06-30",
  at: "fixtures/known/qemu.yaml:3:5",
} as const;

Deno.test("agreementTable() has a row a folder and a column a subject, and counts reasons", () => {
  const table = agreementTable([
    makeGroupResult("a/one", [kvm("a/one", {}), qemu("a/one", { verdict: "unobserved" })]),
    makeGroupResult("a/two", [
      kvm("a/two", { verdict: "skipped", reason: "no such thing" }),
      qemu("a/two", { verdict: "known-deviation", known: [KNOWN] }),
    ]),
    makeGroupResult("b/three", [
      kvm("b/three", { verdict: "skipped", reason: "no such thing" }),
      qemu("b/three", { verdict: "diverged", reason: "console differs" }),
    ]),
    // A reason that subjects share stands once, whatever they are called.
    makeGroupResult("b/four", [
      kvm("b/four", { verdict: "skipped", reason: "full-hw@kvm: the scenario requires embedded" }),
      qemu("b/four", {
        verdict: "skipped",
        reason: "full-bt@qemu: the scenario requires embedded",
      }),
    ]),
    makeGroupResult("b/five", [
      kvm("b/five", { verdict: "skipped", reason: "the scenario requires para or full-hw/shadow" }),
      qemu("b/five", { verdict: "skipped", reason: "time is virtual, but not full-bt@qemu's" }),
    ]),
  ]);
  assertEquals(
    table,
    `| scenarios    | \`full-hw@kvm\` | \`full-bt@qemu\`  |
| ------------ | ------------- | --------------- |
| a            | ✓ 1 – 1       | ◐ 1 ~ 1         |
| b            | – 3           | ✗ 1 – 2         |
| all 10 cases | ✓ 1 – 4       | ◐ 1 ~ 1 ✗ 1 – 2 |

✓ agrees, ◐ agrees as far as it shows, ~ deviates as the ledger knows, ✗ disagrees, – skipped.

Subjects:

- \`full-hw@kvm\`: 6.12.9 on svm
- \`full-bt@qemu\`: 7.2.13

Disagreements:

- \`b/three@full-bt+qemu\`: console differs

<details><summary>Known deviations: 1</summary>

- \`full-bt@qemu\`, a/two: It prints otherwise. SDM vol. 3, 4.10. (fixtures/known/qemu.yaml:3:5)

</details>

<details><summary>Skipped: 4</summary>

- no such thing: \`full-hw@kvm\` 2
- the scenario requires embedded: \`full-hw@kvm\` 1, \`full-bt@qemu\` 1
- the scenario is for other back ends: \`full-hw@kvm\` 1
- time is virtual, but not the subject's: \`full-bt@qemu\` 1

</details>
`,
  );
});
