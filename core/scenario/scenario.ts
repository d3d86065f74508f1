// A scenario as `parse.ts` hands it to `plan.ts`: read and checked, with its parameters put in, but not yet told on which
// back ends it is to run.
import type { Backend, Engine } from "../base/backend.ts";
import type { SourceFile } from "../base/source.ts";
import type { Comparison, Expectations, GuestSpec, Limits, Located, Parameters } from "./case.ts";

/** `expect` and `per`. */
export interface ExpectationLayer {
  /** Of every subject: `expect`. */
  readonly common: Expectations;
  /** Of one back end, laid over the others key by key: `per`. */
  readonly per: ReadonlyMap<string, Expectations>;
}

/** The expectations of a scenario on its back ends. */
export interface AllExpectations extends ExpectationLayer {
  /** Of subjects that go by the host's clock, laid over the others key by key: `host-time`. */
  readonly hostTime?: ExpectationLayer;
}

/** A scenario with one combination of parameters. */
export interface Instance {
  /** The combination; empty if the scenario has none. */
  readonly parameters: Parameters;
  /** With the parameters put in. */
  readonly guest: GuestSpec;
  /** What is expected of each back end. */
  readonly expectations: AllExpectations;
  /** The mnemonics of `expected-unported`, with their place; absent if there are none. */
  readonly unported?: Located<readonly string[]>;
  /** What ends a run that does not end by itself. */
  readonly limits: Limits;
  /** Those whose `when` holds. */
  readonly comparisons: readonly Comparison[];
}

/** One YAML file, read and checked. */
export interface Scenario {
  /** `console/hello`: path below the suite's root, without `.yaml`. */
  readonly name: string;
  /** What it was read from: diagnostics point into it. */
  readonly file: SourceFile;
  /** What it pins down, in its author's words. */
  readonly why: string;
  /** Words to select it by. */
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
