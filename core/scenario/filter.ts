// Picks cases: by tag, by name, and by shard, for runs spread over several machines.
import type { CaseGroup } from "./case.ts";

/** One of `count` parts, `index` counting from 1. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

export interface Filter {
  /** Any of these; a tag with `!` in front rules out. */
  readonly tags?: readonly string[];
  /** Part of a group's or case's id, or a regular expression that matches it; upper and lower case are alike. */
  readonly grep?: string;
  readonly shard?: Shard;
}

/** The groups that pass, with the cases of them that pass. Groups are never split over shards: their cases are compared. */
export function filterGroups(
  groups: readonly CaseGroup[],
  { tags, grep, shard }: Filter,
): readonly CaseGroup[] {
  const named = grep === undefined ? undefined : nameMatcher(grep);
  return groups.flatMap((group) => {
    if (tags && !hasTags(group, tags)) return [];
    if (shard && hash(group.id) % shard.count !== shard.index - 1) return [];
    if (!named || named(group.id)) return [group];
    const cases = group.cases.filter(({ id }) => named(id));
    return cases.length > 0 ? [{ ...group, cases }] : [];
  });
}

function hasTags(group: CaseGroup, tags: readonly string[]): boolean {
  const wanted = tags.filter((tag) => !tag.startsWith("!"));
  const unwanted = tags.filter((tag) => tag.startsWith("!")).map((tag) => tag.slice(1));
  return (wanted.length === 0 || wanted.some((tag) => group.tags.includes(tag))) &&
    !unwanted.some((tag) => group.tags.includes(tag));
}

function nameMatcher(grep: string): (id: string) => boolean {
  const text = grep.toLowerCase();
  let pattern: RegExp | undefined;
  try {
    pattern = new RegExp(grep, "i");
  } catch {
    // Not a regular expression: `hello[` is a text to look for.
  }
  return (id) => id.toLowerCase().includes(text) || (pattern?.test(id) ?? false);
}

/** Reads `2/5`; undefined if it is no shard. */
export function parseShard(text: string): Shard | undefined {
  const [, index, count] = /^([1-9][0-9]{0,4})\/([1-9][0-9]{0,4})$/.exec(text) ?? [];
  if (index === undefined || count === undefined || Number(index) > Number(count)) return undefined;
  return { index: Number(index), count: Number(count) };
}

/** FNV-1a, 32 bits, over UTF-16 units: the same on every machine and in every version. */
function hash(text: string): number {
  const [basis, prime] = [0x811c9dc5, 0x01000193];
  let value = basis;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), prime);
  }
  return value >>> 0;
}
