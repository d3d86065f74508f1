// Where runs first differ, in words: who did what, where in the program, and with which registers.
import { red } from "@std/fmt/colors";
import { hex } from "../base/hex.ts";
import type { Camp, Divergence } from "../judge/divergence.ts";
import type { EventReference } from "../judge/result.ts";
import { widthOf, wrap } from "./columns.ts";
import { sourceOf } from "./failure.ts";
import { listNames } from "./names.ts";

/** Where it is to be found, what all did before, what each camp did then. */
export function explainDivergence(divergence: Divergence, width: number): string[] {
  const { where, camps, before, unobserved } = divergence;
  const different = differentRegisters(camps);
  return [
    `${red("first divergence")}: ${where}`,
    ...(before ? indented(`all before: ${told(before)}`, 2, width) : []),
    ...camps.flatMap((camp) => campLines(camp, different, width)),
    ...(unobserved.length > 0 ? indented(`not shown by ${listNames(unobserved)}`, 2, width) : []),
  ];
}

function campLines(camp: Camp, different: readonly string[], width: number): string[] {
  const { subjects, did, at, registers } = camp;
  const several = subjects.length > 1 ? " agree" : "";
  return [
    ...indented(`${listNames(subjects)}${several}:`, 2, width),
    ...indented(did, 4, width),
    ...(at?.place ? indented(`at ${at.place}`, 4, width) : []),
    ...(at ? sourceOf(at).flatMap((text) => indented(text, 4, width)) : []),
    ...registerLines(camp, registers, different, width),
  ];
}

/** Subjects with the same registers share a line. */
function registerLines(
  { subjects }: Camp,
  registers: Camp["registers"],
  different: readonly string[],
  width: number,
): string[] {
  if (!registers) return indented("registers: unobserved", 4, width);
  const shown = different.length > 0 ? different : ["rip"];
  const entries = Object.entries(registers).map(([name, values]) => {
    const text = shown.map((r) => `${r}=${values[r] === undefined ? "?" : hex(values[r])}`);
    return { name, text: text.join(" ") };
  });
  const silent = subjects.filter((name) => !Object.hasOwn(registers, name));
  return [
    ...[...Map.groupBy(entries, ({ text }) => text)].flatMap(([text, alike]) => {
      const who = entries.length > alike.length ? ` of ${listNames(alike.map((e) => e.name))}` : "";
      return indented(`registers${who}: ${text}`, 4, width);
    }),
    ...(silent.length > 0
      ? indented(`registers of ${listNames(silent)}: unobserved`, 4, width)
      : []),
  ];
}

/** General registers and the instruction pointer that are not the same on all that show them. */
function differentRegisters(camps: readonly Camp[]): string[] {
  const all = camps.flatMap((camp) => Object.values(camp.registers ?? {}));
  const names = Object.keys(all[0] ?? {}).filter((name) => GENERAL.test(name));
  return names.filter((name) => new Set(all.map((r) => r[name])).size > 1);
}

/** Control registers and the like differ between platforms by design. */
const GENERAL = /^(r[a-d]x|r[sd]i|r[sb]p|r\d+|rip|rflags)$/;

/** `io device uart address=0x3f8 out size=1 value=0x68, at start+0x4: out dx, al` */
function told({ text, place, disassembly }: EventReference): string {
  return `${text}${place ? `, at ${place}` : ""}${disassembly ? `: ${disassembly}` : ""}`;
}

function indented(text: string, by: number, width: number): string[] {
  const indent = " ".repeat(by);
  return wrap(text, Math.max(20, width - by - 2)).map((line, i) =>
    indent + (i === 0 ? line : `  ${line}`)
  ).filter((line) => widthOf(line) > by);
}
