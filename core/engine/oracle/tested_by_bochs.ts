// The codes in Bochs' trials: each kind's generator is asked for some, and what it makes is decoded.
import { RFLAGS } from "../../base/registers.ts";
import { debugTrial } from "./bochs_debug.ts";
import { gateTrial } from "./bochs_gates.ts";
import { segmentationTrial } from "./bochs_segmentation.ts";
import { taskTrial } from "./bochs_tasks.ts";
import type { BochsTrial } from "./bochs_trials.ts";
import { virtualTrial } from "./bochs_v86.ts";
import { x87Trials } from "./bochs_x87.ts";
import { Random } from "./random.ts";
import { addCodes } from "./tested_codes.ts";

const EACH = 500;
const GENERATORS = [debugTrial, gateTrial, segmentationTrial, taskTrial, virtualTrial];
/** Where trials have their code, and the kernel its descriptors. */
const CODE = 0xf100, GDT = 0x1000;
/** D of a descriptor, in its byte 6. */
const DEFAULT_32 = 0x40;

export function bochsCodes(seed: number): Set<number> {
  const codes = new Set<number>();
  const random = new Random(seed);
  const trials = [
    ...GENERATORS.flatMap((make) => Array.from({ length: EACH }, () => make(random, ""))),
    ...x87Trials(random, EACH),
  ];
  for (const trial of trials) {
    const code = trial.patches.find(({ address }) => address === CODE);
    if (code) addCodes(codes, Uint8Array.from(code.bytes), bitsOf(trial));
  }
  return codes;
}

function bitsOf({ entry, registers, patches }: BochsTrial): 16 | 32 {
  if (entry === "real" || (registers.eflags ?? 0) & RFLAGS.VM) return 16;
  const at = GDT + ((registers.cs ?? 0) & ~7);
  const patch = patches.find(({ address }) => address === at);
  if (!patch) return 32;
  return (Uint8Array.from(patch.bytes)[6] ?? 0) & DEFAULT_32 ? 32 : 16;
}
