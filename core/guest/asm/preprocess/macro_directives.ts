// The preprocessor's directives but for conditions: definitions, repetition, inclusion, messages.
import { type ConditionHost, type Conditions, constantValue } from "./conditions.ts";
import type { MultiMacro, SingleMacro } from "./macro.ts";
import { splitArguments } from "./macro.ts";
import { retold, type Token, type TokenLine } from "../token.ts";
import { suggest } from "../suggest.ts";

/** The preprocessor, as its directives see it. */
export interface DirectiveHost extends ConditionHost {
  readonly conditions: Conditions;
  body(start: readonly string[], end: readonly string[], at: Token): TokenLine[];
  repeat(lines: readonly TokenLine[], times: number, at: Token): void;
  leave(kind: "rep" | "macro", at: Token): void;
  rotate(by: number, at: Token): void;
  include(name: string, at: Token): void;
}

/** Most repetitions of one `%rep`. */
const MAX_REPETITIONS = 1_000_000;
/** What begins a block that "%endrep" ends. */
export const REPETITION: readonly string[] = ["%rep"];
const MACRO_STARTS = ["%macro", "%imacro"];
const MACRO_ENDS = ["%endmacro", "%endm"];

type Handler = (at: Token, rest: readonly Token[], host: DirectiveHost) => void;

const HANDLERS: Readonly<Record<string, Handler>> = {
  "%define": (at, rest, host) => define(at, rest, host, false, false),
  "%idefine": (at, rest, host) => define(at, rest, host, true, false),
  "%xdefine": (at, rest, host) => define(at, rest, host, false, true),
  "%ixdefine": (at, rest, host) => define(at, rest, host, true, true),
  "%assign": (at, rest, host) => assign(at, rest, host, false),
  "%iassign": (at, rest, host) => assign(at, rest, host, true),
  "%undef": (at, rest, host) => host.single.delete(nameIn(at, rest, host).text),
  "%macro": (at, rest, host) => defineMacro(at, rest, host, false),
  "%imacro": (at, rest, host) => defineMacro(at, rest, host, true),
  "%unmacro": (at, rest, host) => host.multi.delete(nameIn(at, rest, host).text),
  "%endmacro": (at, _rest, host) => host.reporter.fail(`"${at.text}" has no "%macro"`, at),
  "%endm": (at, _rest, host) => host.reporter.fail(`"${at.text}" has no "%macro"`, at),
  "%exitmacro": (at, _rest, host) => host.leave("macro", at),
  "%rotate": (at, rest, host) => host.rotate(Number(numberIn(at, rest, host)), at),
  "%rep": repeat,
  "%endrep": (at, _rest, host) => host.reporter.fail(`"${at.text}" has no "%rep"`, at),
  "%exitrep": (at, _rest, host) => host.leave("rep", at),
  "%include": include,
  "%error": (at, rest, host) => host.reporter.error(message(rest, host) || "%error", at),
  "%warning": (at, rest, host) => host.reporter.warning(message(rest, host) || "%warning", at),
  "%fatal": (at, rest, host) => host.reporter.giveUp(message(rest, host) || "%fatal", at),
  "%strlen": stringLength,
  "%strcat": concatenate,
  "%substr": substring,
  "%defstr": defineString,
  "%comment": (at, _rest, host) => void host.body(["%comment"], ["%endcomment"], at),
  "%line": () => {},
  "%pragma": () => {},
};

/** Obeys a directive. Macro parameters in `rest` are replaced already, single-line macros are not expanded. */
export function runDirective(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  if (host.conditions.run(at, rest)) return;
  const name = at.text.toLowerCase();
  const handler = Object.hasOwn(HANDLERS, name) ? HANDLERS[name] : undefined;
  if (handler) return handler(at, rest, host);
  host.reporter.fail(
    `Unknown or unsupported preprocessor directive "${at.text}"`,
    at,
    suggest(name, [...Object.keys(HANDLERS), "%if", "%ifdef", "%ifndef", "%else", "%endif"]),
  );
}

function nameIn(at: Token, rest: readonly Token[], host: DirectiveHost): Token {
  const [name] = host.expander.paste(rest);
  if (name?.kind === "word") return name;
  return host.reporter.fail(`"${at.text}" needs a name`, name ?? at);
}

function numberIn(at: Token, rest: readonly Token[], host: DirectiveHost): bigint {
  const tokens = host.expander.expand(rest);
  if (tokens.length === 0) return host.reporter.fail(`"${at.text}" needs a number`, at);
  return constantValue(tokens, host).n;
}

function define(
  at: Token,
  rest: readonly Token[],
  host: DirectiveHost,
  folded: boolean,
  expandNow: boolean,
): void {
  const name = nameIn(at, rest, host);
  let body = rest.slice(1);
  let parameters: string[] | undefined;
  const [open] = body;
  // A parenthesis that touches the name opens the parameters; any other belongs to the body.
  if (open?.kind === "op" && open.text === "(" && !open.spaced) {
    const close = body.findIndex((t) => t.kind === "op" && t.text === ")");
    if (close === -1) return host.reporter.fail("Parameters of the macro have no end", open);
    parameters = splitArguments(body.slice(1, close)).map((tokens) => {
      const [parameter, extra] = tokens;
      if (parameter?.kind === "word" && !extra) return parameter.text;
      return host.reporter.fail("A parameter is a name", extra ?? parameter ?? open);
    });
    body = body.slice(close + 1);
  }
  if (expandNow) body = [...host.expander.expand(body)];
  setSingle({ name: name.text, parameters, body }, host, folded);
}

function setSingle(macro: SingleMacro, host: DirectiveHost, folded: boolean): void {
  const others = (host.single.get(macro.name) ?? []).filter((m) =>
    m.parameters !== undefined && macro.parameters !== undefined &&
    m.parameters.length !== macro.parameters.length
  );
  host.single.set(macro.name, [...others, macro], folded);
}

/** Defines a name as one token, placed where `at` is. */
function setToken(name: Token, token: Token, host: DirectiveHost, folded = false): void {
  setSingle({ name: name.text, parameters: undefined, body: [token] }, host, folded);
}

function assign(at: Token, rest: readonly Token[], host: DirectiveHost, folded: boolean): void {
  const name = nameIn(at, rest, host);
  const n = numberIn(at, rest.slice(1), host);
  setToken(name, retold(name, "number", String(n), n), host, folded);
}

function defineMacro(
  at: Token,
  rest: readonly Token[],
  host: DirectiveHost,
  folded: boolean,
): void {
  // The body comes first, so that a mistake in the first line does not leave it to be assembled.
  const body = host.body(MACRO_STARTS, MACRO_ENDS, at);
  const name = nameIn(at, rest, host);
  const expanded = host.expander.expand(rest.slice(1));
  let i = 0;
  const number = (): number | undefined => {
    const token = expanded[i];
    if (token?.kind !== "number") return undefined;
    i++;
    return Number(token.value ?? 0n);
  };
  const isOp = (text: string) => expanded[i]?.kind === "op" && expanded[i]?.text === text;
  const minimum = number() ?? 0;
  let maximum = minimum;
  if (isOp("-")) {
    i++;
    if (isOp("*")) {
      i++;
      maximum = Infinity;
    } else maximum = number() ?? minimum;
  }
  const greedy = isOp("+");
  if (greedy) i++;
  if (expanded[i]?.kind === "word" && expanded[i]?.text.toLowerCase() === ".nolist") i++;
  if (maximum < minimum) {
    host.reporter.fail("A macro's largest number of arguments is below its smallest", name);
  }
  const defaults = splitArguments(expanded.slice(i));
  const macro: MultiMacro = { name: name.text, minimum, maximum, greedy, defaults, body, at: name };
  const others = (host.multi.get(name.text) ?? []).filter((m) =>
    m.minimum > maximum || m.maximum < minimum
  );
  host.multi.set(name.text, [...others, macro], folded);
}

function repeat(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const body = host.body(REPETITION, ["%endrep"], at);
  const n = numberIn(at, rest, host);
  if (n > BigInt(MAX_REPETITIONS)) {
    host.reporter.fail(`"%rep" repeats at most ${MAX_REPETITIONS} times`, at);
  }
  host.repeat(body, n < 0n ? 0 : Number(n), at);
}

function include(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const [name, extra] = host.expander.expand(rest);
  if (name?.kind !== "string" || extra) {
    return host.reporter.fail('"%include" needs the name of a file in quotes', extra ?? name ?? at);
  }
  host.include(name.text, name);
}

function message(rest: readonly Token[], host: DirectiveHost): string {
  return host.expander.expand(rest).map((t, i) => (i > 0 && t.spaced ? " " : "") + t.text).join("");
}

/** The strings that follow the name, macros expanded. */
function strings(at: Token, rest: readonly Token[], host: DirectiveHost): Token[] {
  const found = host.expander.expand(rest.slice(1)).filter((t) => t.kind !== "op");
  const wrong = found.find((t) => t.kind !== "string");
  if (wrong || found.length === 0) host.reporter.fail(`"${at.text}" needs a string`, wrong ?? at);
  return found;
}

function stringLength(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const name = nameIn(at, rest, host);
  const length = strings(at, rest, host)[0]?.text.length ?? 0;
  setToken(name, retold(name, "number", String(length), BigInt(length)), host);
}

function concatenate(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const name = nameIn(at, rest, host);
  const text = strings(at, rest, host).map((t) => t.text).join("");
  setToken(name, retold(name, "string", text), host);
}

/** `%substr name "text" first[, length]`: counted from one; a negative length counts from the end. */
function substring(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const name = nameIn(at, rest, host);
  const [text, ...numbers] = host.expander.expand(rest.slice(1));
  if (text?.kind !== "string") return host.reporter.fail(`"${at.text}" needs a string`, text ?? at);
  const [from = [], length = []] = splitArguments(
    numbers[0]?.text === "," ? numbers.slice(1) : numbers,
  );
  const start = Number(numberIn(at, from, host)) - 1;
  const count = length.length > 0 ? Number(numberIn(at, length, host)) : 1;
  const end = count < 0 ? text.text.length + count + 1 : start + count;
  const part = text.text.slice(Math.max(0, start), Math.max(0, end));
  setToken(name, retold(text, "string", part), host);
}

function defineString(at: Token, rest: readonly Token[], host: DirectiveHost): void {
  const name = nameIn(at, rest, host);
  setToken(name, retold(name, "string", message(rest.slice(1), host)), host);
}
