// Single instructions, translated once wherever they stand. The run loop steps over what reaches devices or changes code, and a
// hostile guest has nothing else; a module for each place would cost it a thousand times what it costs the guest.
import { FlowControl, type Instruction } from "iced-x86";
import { type Mode, modeKey } from "../../cpu/translate/translation.ts";
import type { Core, Translation } from "./core.ts";

/** Instructions kept a core; then all of them go. */
const MAX_KEPT = 1024;

const NO_STOPS: ReadonlySet<bigint> = new Set();

/** By core, then by mode and bytes. They outlive the core's other translations: nobody finds them by their place. */
const kept = new WeakMap<Core, Map<string, Translation>>();

/** Does an instruction do the same wherever it stands, but for the RIP after it? */
export function isMovable(insn: Instruction): boolean {
  return insn.flowControl === FlowControl.Next && !insn.isIpRelMemoryOperand;
}

/** The translation of a movable instruction as if it stood at RIP 0; undefined when it has none. */
export function movedTranslation(
  core: Core,
  bytes: Uint8Array,
  mode: Mode,
): Translation | undefined {
  let known = kept.get(core);
  if (!known) kept.set(core, known = new Map());
  const key = `${modeKey(mode)}/${bytes}`;
  const found = known.get(key);
  if (found) return found;
  const made = core.translate({ start: 0n, bytes }, mode, 1, NO_STOPS);
  if (!made) return undefined;
  if (known.size >= MAX_KEPT) known.clear();
  known.set(key, made);
  return made;
}
