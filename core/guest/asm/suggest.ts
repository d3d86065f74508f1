// "Did you mean" for short words. Mnemonics are so short and so many that some is always near: swapped letters count as one
// slip, and what people write every day goes before what nobody does.

/** Instructions and directives of everyday code, to win where several are equally near. */
const COMMON: ReadonlySet<string> = new Set(
  ("mov lea push pop add sub and or xor not neg inc dec cmp test jmp call ret jz jnz je jne ja jb jae jbe jc jnc " +
    "loop shl shr sar rol ror mul imul div idiv in out cli sti hlt nop int iret iretq lgdt lidt ltr rdmsr wrmsr " +
    "cpuid rdtsc movzx movsx rep stosb lodsb movsb xchg bt bts btr pushfq popfq syscall sysret swapgs invlpg clts " +
    "db dw dd dq resb resw resd resq times equ align org bits section default").split(" "),
);

/** `Did you mean "mov"?` for the candidate that is one slip away, or two from a longer word; undefined if none is. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  if (lower.length < 2 || lower.length > 40) return undefined;
  const limit = lower.length <= 3 ? 1 : 2;
  let best: string | undefined;
  let bestScore = Infinity;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - lower.length) > limit) continue;
    const slips = slipsBetween(lower, candidate.toLowerCase());
    if (slips > limit) continue;
    const score = slips * 4 + (COMMON.has(candidate) ? 0 : 2) + (candidate[0] === lower[0] ? 0 : 1);
    if (score < bestScore) {
      best = candidate;
      bestScore = score;
    }
  }
  return best === undefined ? undefined : `Did you mean "${best}"?`;
}

/** Letters to add, drop, change, or swap with their neighbour, to get from one word to the other. */
function slipsBetween(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let slips = Math.min(changed, (last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        slips = Math.min(slips, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(slips);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
