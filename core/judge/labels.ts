// Are the labels there that a scenario looks at? Only the assembled program can tell, so a slip of the pen shows here.
import { type Diagnostic, didYouMean } from "../base/diagnostic.ts";
import type { Span } from "../base/source.ts";
import type { GuestImage } from "../guest/image.ts";
import type { Case, GuestSpec } from "../scenario/case.ts";

/** An error for every label that the guest or the case names and the image has not. */
export function unknownLabels(guest: GuestSpec, subject: Case, image: GuestImage): Diagnostic[] {
  const named = new Map<string, Span | undefined>();
  for (const label of Object.keys(guest.observe.memory)) {
    named.set(label, guest.observe.spans?.[label]);
  }
  for (const [label, { span }] of Object.entries(subject.expect.memory)) {
    if (!named.has(label)) named.set(label, span);
  }
  const labels = Object.keys(image.symbols);
  return [...named].filter(([label]) => !Object.hasOwn(image.symbols, label)).map(
    ([label, span]): Diagnostic => {
      const suggestion = didYouMean(label, labels);
      return {
        severity: "error",
        message: guest.program
          ? `The program has no label "${label}"`
          : `A guest from a file has no labels, hence no "${label}"`,
        ...(span ? { span } : {}),
        ...(suggestion ? { suggestion } : {}),
      };
    },
  );
}
