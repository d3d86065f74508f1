// Works out which memory has to be kept at the end of a run for the scenario's expectations to be judged.
import type { GuestSpec } from "../case.ts";
import type { Findings } from "../findings.ts";
import { bytesNeeded, DEFAULT_INTEGER_SIZE } from "./bytes.ts";
import type { AllExpectations } from "./expectations.ts";

/** The guest, with the labels that expectations name added to those it observes. */
export function addCaptured(
  guest: GuestSpec,
  { common, per }: AllExpectations,
  findings: Findings,
): GuestSpec {
  const observed = new Map(Object.entries(guest.observe.memory));
  const captured = new Map<string, number>();
  for (const { memory } of [common, ...per.values()]) {
    for (const [label, { value, span }] of Object.entries(memory)) {
      const stated = observed.get(label);
      const needed = bytesNeeded(value, stated ?? DEFAULT_INTEGER_SIZE);
      if (stated === undefined && needed === undefined) {
        findings.error(
          span,
          `How many bytes are to be looked at is not stated`,
          `Add \`observe: { memory: { ${label}: 64 } }\` to the guest`,
        );
      } else if (stated !== undefined && (needed ?? 0) > stated) {
        findings.error(
          span,
          `Only ${stated} bytes are observed at "${label}", but ${needed} are expected`,
          `Write \`${label}: ${needed}\` under \`observe\``,
        );
      } else if (stated === undefined && needed) {
        const before = captured.get(label);
        const integers = value.is === "integer" || before === DEFAULT_INTEGER_SIZE;
        if (before !== undefined && before !== needed && integers) {
          findings.error(
            span,
            `"${label}" is expected to be an integer here and text there`,
            `Say how long it is: add \`observe: { memory: { ${label}: ${
              Math.max(before, needed)
            } } }\``,
          );
        }
        captured.set(label, Math.max(before ?? 0, needed));
      }
    }
  }
  if (captured.size === 0) return guest;
  return {
    ...guest,
    observe: {
      ...guest.observe,
      memory: Object.fromEntries([...observed, ...captured]),
      captured: [...captured.keys()],
    },
  };
}
