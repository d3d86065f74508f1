// From a line of the VMM's output to a message, or to what is wrong with it in words.
import type { z } from "zod";
import { printable } from "../../base/printable.ts";
import { Response } from "./protocol.ts";

/** `wrong` is a clause without a full stop, fit for a terminal. */
export type ReadMessage = { readonly message: Response } | { readonly wrong: string };

/** How much of what is wrong is shown. */
const SHOWN = 60;
/** More names than that are not listed. */
const MANY = 10;

/**
 * Reads a line.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(readMessage('{"type":"end","end":{"kind":"shutdown"}}'), {
 *   wrong: "end.code: expected a number, but it is missing",
 * });
 * ```
 */
export function readMessage(line: string): ReadMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { wrong: `expected one JSON object, but it is ${shown(line)}` };
  }
  const { success, data, error } = Response.safeParse(value);
  if (success) return { message: data };
  const [issue] = error.issues;
  return { wrong: issue ? explain(issue, value) : "it is not a message" };
}

/** An issue without those of the union around it. */
type Issue = z.core.$ZodIssue;

function explain(outer: Issue, message: unknown): string {
  const { issue, path } = innermost(outer, []);
  const at = path.length > 0 ? `${place(path)}: ` : "";
  if (issue.code === "unrecognized_keys") {
    return `${at}there is no ${issue.keys.map((key) => shown(key)).join(" or ")} here`;
  }
  const value = path.reduce<unknown>(member, message);
  const found = value === undefined ? "it is missing" : `it is ${shown(written(value))}`;
  return `${at}expected ${expected(issue)}, but ${found}`;
}

/** Of a union the alternative that got furthest: what was meant is told by what else is right. */
function innermost(issue: Issue, outer: readonly PropertyKey[]): Located {
  const path = [...outer, ...issue.path];
  if (issue.code !== "invalid_union" || issue.errors.length === 0) return { issue, path };
  const alternatives = issue.errors.flatMap((issues) => {
    const [first] = issues.toSorted((a, b) => b.path.length - a.path.length);
    return first ? [innermost(first, path)] : [];
  });
  return alternatives.toSorted((a, b) => b.path.length - a.path.length)[0] ?? { issue, path };
}

interface Located {
  readonly issue: Issue;
  readonly path: readonly PropertyKey[];
}

function expected(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return `${/^[aeiou]/.test(issue.expected) ? "an" : "a"} ${issue.expected}`;
    case "invalid_value":
      return oneOf(issue.values.map((value) => JSON.stringify(value) ?? ""));
    case "invalid_union":
      return "options" in issue && Array.isArray(issue.options)
        ? oneOf(issue.options.map((option) => JSON.stringify(option) ?? ""))
        : "something else";
    case "too_big":
      return `at most ${issue.maximum}${units(issue.origin)}`;
    case "too_small":
      return `at least ${issue.minimum}${units(issue.origin)}`;
    case "invalid_format":
      return FORMATS[issue.format] ?? issue.format;
    default:
      return issue.message;
  }
}

const FORMATS: Readonly<Record<string, string>> = {
  regex: 'hexadecimal digits, as in "0x1f"',
  base64: "bytes in base64",
};

function oneOf(names: readonly string[]): string {
  return names.length > MANY ? `a name that PROTOCOL.md lists` : `one of ${names.join(", ")}`;
}

function written(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "nothing";
  } catch {
    return "too deep to be shown"; // the stack has its end
  }
}

function units(origin: string): string {
  return origin === "string" ? " characters" : origin === "array" ? " items" : "";
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? Reflect.get(value, key)
    : undefined;
}

/** `events[3].exit.detail.port` */
function place(path: readonly PropertyKey[]): string {
  return path.map((key, i) =>
    typeof key === "number" ? `[${key}]` : `${i > 0 ? "." : ""}${String(key)}`
  )
    .join("");
}

function shown(text: string): string {
  const line = printable(text);
  return line.length > SHOWN ? `${line.slice(0, SHOWN)}…` : line || "empty";
}
