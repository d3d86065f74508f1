// XMM, MMX and MXCSR around an instruction that is tried: loaded from scratch memory before it, stored there after it.
import { PLACE } from "./host_stub.ts";
import type { Values } from "./values.ts";

/** Offsets in scratch memory. MXCSR as it is tried, and as this process has it. */
export const VECTORS = 2048, MM = 2304, MXCSR = 2368, OWN_MXCSR = 2372;
/** Bytes of scratch memory that are compared; the own MXCSR is in them. */
export const END = 2376;
const DEFAULT_MXCSR = 0x1f80;
const PRECISION = 0x20, DENORMALS_ARE_ZEROS = 64, FLUSH = 0x8000;

const absolute = (register: number, offset: number) => {
  const at = PLACE.scratch + offset;
  return [4 | (register & 7) << 3, 0x25, at & 255, at >> 8 & 255, at >> 16 & 255, at >>> 24];
};
const each = (count: number, emit: (n: number) => number[]) =>
  Array.from({ length: count }, (_, n) => emit(n)).flat();
const movdqu = (opcode: number) => (n: number) => [
  0xf3,
  ...(n > 7 ? [0x44] : []),
  0x0f,
  opcode,
  ...absolute(n, VECTORS + 16 * n),
];
const movq = (opcode: number) => (n: number) => [0x0f, opcode, ...absolute(n, MM + 8 * n)];
const EMMS = [0x0f, 0x77];
const mxcsr = (operation: 2 | 3, offset: number) => [0x0f, 0xae, ...absolute(operation, offset)];

/** What comes before, what comes after. Only instructions of MMX touch its registers. */
export function around(mmx: boolean): { before: number[]; after: number[] } {
  return {
    before: [
      ...each(16, movdqu(0x6f)),
      ...mxcsr(2, MXCSR),
      ...(mmx ? each(8, movq(0x6f)) : []),
    ],
    after: [
      ...each(16, movdqu(0x7f)),
      ...mxcsr(3, MXCSR),
      // This process goes on computing as it did.
      ...mxcsr(2, OWN_MXCSR),
      ...(mmx ? [...each(8, movq(0x7f)), ...EMMS] : []),
    ],
  };
}

/** What this process needs after an instruction that faulted between the two. */
export const CLEAN_UP = Uint8Array.from([...mxcsr(2, OWN_MXCSR), ...EMMS]);

/** Random vectors: few different ones, so that comparisons find equals. Exceptions are masked. */
export function fillVectors(memory: DataView, values: Values): () => bigint {
  const tame = values.oneIn(3);
  const make = () => tame ? values.tameVector() : values.vector();
  const few = [make(), make(), make(), make()];
  const vector = () => values.below(3) ? values.pick(few) : make();
  for (let at = VECTORS; at < MXCSR; at += 16) setVector(memory, at, vector());
  const special = tame
    ? values.pick([0, PRECISION, PRECISION])
    : values.below(2)
    ? values.below(4) << 13 |
      values.pick([0, DENORMALS_ARE_ZEROS, FLUSH, FLUSH | DENORMALS_ARE_ZEROS])
    : 0;
  const sticky = values.below(2) ? values.below(64) : 0;
  memory.setUint32(MXCSR, DEFAULT_MXCSR | special | sticky, true);
  memory.setUint32(OWN_MXCSR, DEFAULT_MXCSR, true);
  return vector;
}

export function setVector(memory: DataView, at: number, value: bigint): void {
  memory.setBigUint64(at, BigInt.asUintN(64, value), true);
  memory.setBigUint64(at + 8, value >> 64n, true);
}
