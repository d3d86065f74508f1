// A scenario as `parse.ts` hands it to `plan.ts`: read and checked, with its parameters put in, but not yet told on which
// back ends it is to run.
import type { Backend, Engine } from "../base/backend.ts";
import type { SourceFile } from "../base/source.ts";
import type { Comparison, GuestSpec, Limits, Located, Parameters } from "./case.ts";
import type { AllExpectations } from "./read/expectations.ts";

/** A scenario with one combination of parameters. */
export interface Instance {
  readonly parameters: Parameters;
  readonly guest: GuestSpec;
  readonly expectations: AllExpectations;
  /** The mnemonics of `expected-unported`, with their place; absent if there are none. */
  readonly unported?: Located<readonly string[]>;
  readonly limits: Limits;
  readonly comparisons: readonly Comparison[];
}

export interface Scenario {
  /** `console/hello`: path below the suite's root, without `.yaml`. */
  readonly name: string;
  readonly file: SourceFile;
  readonly why: string;
  readonly tags: readonly string[];
  /** What a subject must be; absent: anything. */
  readonly requires: {
    readonly backends?: readonly Backend[];
    readonly engines?: readonly Engine[];
  };
  /** Back ends beyond the default ones that the scenario names. */
  readonly named: readonly Backend[];
  /** One for each combination of parameters. */
  readonly instances: readonly Instance[];
}
