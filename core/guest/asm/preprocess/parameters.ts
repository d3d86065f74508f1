// Puts the arguments of a multi-line macro into its lines: %1, %{1:3}, %0, %%local, %+1, %-1 (NASM manual, 4.3).
import { lexFragment } from "../lexer.ts";
import type { MacroCall } from "./macro.ts";
import type { Reporter } from "../reporter.ts";
import { retold, type Token } from "../token.ts";

/** Condition codes and their opposites, for `%-1`. */
const OPPOSITES: Readonly<Record<string, string>> = Object.fromEntries(
  [
    "a na",
    "ae nae",
    "b nb",
    "be nbe",
    "c nc",
    "e ne",
    "g ng",
    "ge nge",
    "l nl",
    "le nle",
    "o no",
    "p np",
    "s ns",
    "z nz",
    "pe po",
  ]
    .flatMap((pair) => {
      const [a = "", b = ""] = pair.split(" ");
      return [[a, b], [b, a]];
    }),
);

/** The line with parameters replaced. Text that touches a parameter becomes one word with it, as in `label_%1`. */
export function substituteParameters(
  tokens: readonly Token[],
  call: MacroCall,
  reporter: Reporter,
): Token[] {
  const out: Token[] = [];
  let glue = false;
  for (const token of tokens) {
    const replaced = token.kind === "preproc" ? replacement(token, call, reporter) : undefined;
    const inserted = replaced ?? [token];
    const last = out[out.length - 1];
    const [first, ...rest] = inserted;
    const touches = !token.spaced && last !== undefined && (glue || replaced !== undefined) &&
      first !== undefined && canJoin(last) && canJoin(first);
    if (touches) {
      out.pop();
      out.push(
        ...lexFragment(last.text + first.text, first.origin === last.origin ? last : first)
          .map((t, i) => i === 0 ? { ...t, spaced: last.spaced } : t),
        ...rest,
      );
    } else if (first !== undefined) {
      out.push(first.spaced === token.spaced ? first : { ...first, spaced: token.spaced }, ...rest);
    }
    glue = replaced !== undefined && inserted.length > 0;
  }
  return out;
}

function canJoin(token: Token): boolean {
  return token.kind === "word" || token.kind === "number";
}

/** What a parameter stands for; undefined for what is no parameter. */
function replacement(
  token: Token,
  call: MacroCall,
  reporter: Reporter,
): readonly Token[] | undefined {
  let name = token.text.slice(1);
  if (name.startsWith("{") && name.endsWith("}")) name = name.slice(1, -1);
  if (name === "0") return [retold(token, "number", String(count(call)), BigInt(count(call)))];
  if (name === "00") return call.label;
  if (name === "?" || name === "??") return [retold(token, "word", call.name)];
  if (name.startsWith("%")) return [retold(token, "word", `..@${call.unique}.${name.slice(1)}`)];
  if (/^\d+$/.test(name)) return call.arguments[Number(name) - 1] ?? [];
  const range = /^(-?\d+):(-?\d+)$/.exec(name);
  if (range) return argumentRange(token, Number(range[1]), Number(range[2]), call);
  const condition = /^([+-])(\d+)$/.exec(name);
  if (condition) {
    return conditionCode(token, condition[1] === "-", Number(condition[2]), call, reporter);
  }
  return undefined;
}

function count(call: MacroCall): number {
  return call.arguments.length;
}

/** `%{2:-1}`: from the second to the last, with their commas; backwards if the first is the later one. */
function argumentRange(token: Token, from: number, to: number, call: MacroCall): Token[] {
  const index = (n: number) => n < 0 ? count(call) + n : n - 1;
  const [start, end] = [index(from), index(to)];
  const step = start <= end ? 1 : -1;
  const out: Token[] = [];
  for (let i = start, left = count(call); left > 0; i += step, left--) {
    const argument = call.arguments[i];
    if (argument) {
      if (out.length > 0) out.push(retold(token, "op", ","));
      out.push(...argument);
    }
    if (i === end) break;
  }
  return out;
}

function conditionCode(
  token: Token,
  inverted: boolean,
  index: number,
  call: MacroCall,
  reporter: Reporter,
): readonly Token[] {
  const argument = call.arguments[index - 1] ?? [];
  const [word] = argument;
  const opposite = word?.kind === "word" ? OPPOSITES[word.text.toLowerCase()] : undefined;
  if (!word || opposite === undefined) {
    // `%-1` without a condition in it is NASM's `%{-1}`-less minus sign before a parameter.
    return reporter.fail(
      `"${token.text}" needs a condition code, such as nz, as its argument`,
      word ?? token,
    );
  }
  return [inverted ? retold(word, "word", opposite) : word];
}
