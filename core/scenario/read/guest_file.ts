// Reads the keys of a `guest` that go with its `file`: what the file is, and what its boot loader hands over with it.
import { GUEST_FORMATS, type GuestFormat, type GuestSpec } from "../case.ts";
import type { Findings } from "../findings.ts";
import { integerOf, itemsOf, type Node, textOf, valueOf } from "../yaml/node.ts";
import { clamp } from "./values.ts";

/** Characters of a command line, as Linux has them on x86. */
const MAX_COMMAND_LINE = 2048;
/** Modules of one guest. */
const MAX_MODULES = 16;

/** The formats that have a use for a key. */
const FORMATS_FOR: Readonly<Record<string, readonly GuestFormat[]>> = {
  "entry": ["flat"],
  "load": ["flat"],
  "command-line": ["multiboot", "pvh"],
  "modules": ["multiboot", "pvh"],
};
/** Keys without a meaning for a program. */
const FILE_KEYS = ["format", "load", "command-line", "modules"] as const;

/** Reads them from a `guest` of checked structure. */
export function readFileOptions(
  node: Node | undefined,
  findings: Findings,
): Pick<GuestSpec, "format" | "load" | "commandLine" | "modules"> {
  const format = GUEST_FORMATS.find((name) => name === textOf(valueOf(node, "format")));
  checkKeys(node, format, findings);
  const load = valueOf(node, "load");
  const address = integerOf(load) ?? 0n;
  if (load && address < 0n) findings.error(load.span, "An address is not negative");
  const commandLine = valueOf(node, "command-line");
  const text = textOf(commandLine);
  if (commandLine && text && text.length > MAX_COMMAND_LINE) {
    findings.error(commandLine.span, `A command line has at most ${MAX_COMMAND_LINE} characters`);
  }
  const modules = valueOf(node, "modules");
  const items = itemsOf(modules);
  if (modules && items.length > MAX_MODULES) {
    findings.error(modules.span, `A guest has at most ${MAX_MODULES} modules`);
  }
  return {
    ...(format ? { format } : {}),
    ...(load ? { load: { value: clamp(address), span: load.span } } : {}),
    ...(text === undefined ? {} : { commandLine: text }),
    ...(modules
      ? { modules: items.map((item) => ({ value: textOf(item) ?? "", span: item.span })) }
      : {}),
  };
}

/** Refuses keys where they would be passed over in silence. */
function checkKeys(node: Node | undefined, format: GuestFormat | undefined, findings: Findings) {
  if (!valueOf(node, "file")) {
    for (const key of FILE_KEYS) {
      const value = valueOf(node, key);
      if (value) findings.error(value.span, `\`${key}\` goes with \`file\``, "Remove it");
    }
    return;
  }
  for (const [key, formats] of Object.entries(FORMATS_FOR)) {
    const value = valueOf(node, key);
    if (!value || !format || formats.includes(format)) continue;
    findings.error(
      value.span,
      `\`${key}\` is for ${formats.join(" and ")} files, not for ${format}`,
      "Remove it",
    );
  }
}
