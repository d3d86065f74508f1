// Which instruction made a port exit. KVM says what was accessed, and not by what: RIP is at the instruction or after it, as
// the host's KVM has done it (its short path leaves RIP there, its emulator has moved it on). The bytes decide.

/** What KVM tells of the access. */
export interface PortAccess {
  readonly out: boolean;
  readonly size: number;
  readonly port: number;
}

const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const OPERAND_SIZE = 0x66;
const REPEATS = new Set([0xf2, 0xf3]);
/** Longest port instruction that is looked for backwards: one prefix for the size, one for repetition, opcode, port. */
export const LONGEST_BEFORE = 4;

/** Opcodes without their lowest bit, which says byte or not (SDM vol. 2, appendix A): what they do and where the port is. */
const OPCODES = new Map([
  [0x6c, { out: false, immediate: false, string: true }],
  [0x6e, { out: true, immediate: false, string: true }],
  [0xe4, { out: false, immediate: true, string: false }],
  [0xe6, { out: true, immediate: true, string: false }],
  [0xec, { out: false, immediate: false, string: false }],
  [0xee, { out: true, immediate: false, string: false }],
]);

export interface PortInstruction {
  readonly length: number;
  readonly string: boolean;
  /** The port is in the instruction. */
  readonly immediate: boolean;
}

/** The port instruction that `bytes` begin with, if it makes this access; `dx` is the port that DX names. */
export function portInstruction(
  bytes: Uint8Array,
  bitness: number,
  dx: number,
  access: PortAccess,
): PortInstruction | undefined {
  let at = 0;
  let short = bitness === 16;
  for (let byte = bytes[at]; byte !== undefined; byte = bytes[++at]) {
    const rex = bitness === 64 && (byte & 0xf0) === 0x40;
    if (!rex && !PREFIXES.has(byte)) break;
    if (byte === OPERAND_SIZE) short = bitness !== 16;
  }
  const opcode = bytes[at] ?? 0;
  const known = OPCODES.get(opcode & 0xfe);
  if (!known || known.out !== access.out) return undefined;
  const size = opcode & 1 ? short ? 2 : 4 : 1;
  const port = known.immediate ? bytes[at + 1] : dx;
  if (size !== access.size || port !== access.port) return undefined;
  const { string, immediate } = known;
  return { length: at + (immediate ? 2 : 1), string, immediate };
}

/**
 * The same for an instruction that `bytes` end with: the shortest, as what looks like a prefix may be the end of another one;
 * but one that names the port itself before one that might be its last byte.
 */
export function portInstructionBefore(
  bytes: Uint8Array,
  bitness: number,
  dx: number,
  access: PortAccess,
): PortInstruction | undefined {
  let found: PortInstruction | undefined;
  for (let length = 1; length <= Math.min(LONGEST_BEFORE, bytes.length); length++) {
    const at = portInstruction(bytes.subarray(bytes.length - length), bitness, dx, access);
    if (at?.length === length && (!found || at.immediate && !found.immediate)) found = at;
  }
  const repeat = found?.string ? bytes[bytes.length - found.length - 1] : undefined;
  const repeated = repeat !== undefined && REPEATS.has(repeat);
  return found && repeated ? { ...found, length: found.length + 1 } : found;
}
