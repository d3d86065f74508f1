// Runs trials on both machines and tells where they differ.
import { runOnBochs } from "./bochs.ts";
import { runOnEngine } from "./bochs_machine.ts";
import { type BochsTrial, differences, outcomes, trialImage } from "./bochs_trials.ts";

/** A trial on which Bochs and the engine differ. */
export interface BochsMismatch {
  readonly trial: BochsTrial;
  readonly differences: readonly string[];
}

/** All mismatches. `grant`: instructions that the engine gets a turn; short ones make short regions. `model` is Bochs'. */
export async function compareOnBochs(
  trials: readonly BochsTrial[],
  grant?: number,
  model?: string,
): Promise<BochsMismatch[]> {
  const image = trialImage(trials);
  const theirs = outcomes(await runOnBochs(image, model)),
    ours = outcomes(runOnEngine(image, grant));
  if (theirs.length !== trials.length || ours.length !== trials.length) {
    throw new Error(
      `Of ${trials.length} trials Bochs printed ${theirs.length}, the engine ${ours.length}`,
    );
  }
  return trials.flatMap((trial, i) => {
    const found = differences(trial, theirs[i], ours[i]);
    return found.length > 0 ? [{ trial, differences: found }] : [];
  });
}
