// Which codes the oracles try, by their own lists and trials: what their tests run, decoded.
import { bochsCodes } from "./tested_by_bochs.ts";
import { decode } from "./encodings.ts";
import { formOracleCodes } from "./form_oracle.ts";
import { programCodes } from "./host_oracle.ts";
import { stateCodes } from "./host_state.ts";
import { MODES } from "./machine.ts";
import { plainTrial } from "./programs.ts";
import { Random } from "./random.ts";
import { systemTrials } from "./system_trials.ts";
import { waitingForms, x87Forms } from "./x87_forms.ts";

/** Oracles, by name: the codes that each has tried. */
export type Tested = ReadonlyMap<string, ReadonlySet<number>>;

/** Random programs that are looked through; as many as tests run, or so. */
const PROGRAMS = 3000, TRIALS = 2000;
const SEED = 1;

/** All of them. None is run for this. */
export function testedCodes(): Tested {
  return new Map([
    ["host, form by form", new Set([...formOracleCodes(), ...stateCodes(), ...x87Codes()])],
    ["host, programs", programCodes(PROGRAMS, SEED)],
    ["QEMU", qemuCodes()],
    ["Bochs", bochsCodes(SEED)],
  ]);
}

function x87Codes(): Set<number> {
  const codes = new Set<number>();
  for (const { code } of [...x87Forms(), ...waitingForms()]) codes.add(code);
  return codes;
}

function qemuCodes(): Set<number> {
  const codes = new Set<number>();
  const random = new Random(SEED);
  for (const mode of MODES) {
    for (const { code } of systemTrials(mode)) addCodes(codes, code, mode.bits);
  }
  for (let i = 0; i < TRIALS; i++) {
    const mode = random.pick(MODES);
    addCodes(codes, plainTrial(random, mode, "").code, mode.bits);
  }
  return codes;
}

/** Decodes one after the other, up to what is no instruction. */
export function addCodes(codes: Set<number>, bytes: Uint8Array, bits: 16 | 32 | 64): void {
  for (let at = 0; at < bytes.length;) {
    const insn = decode(bytes.subarray(at), bits, at);
    const { code, length, isInvalid } = insn;
    insn.free();
    if (isInvalid) return;
    codes.add(code);
    at += length;
  }
}
