// Assembles programs apart from running them: for `explain`, and to tell a broken scenario's other mistakes.
import { type Diagnostic, renderDiagnostic } from "../base/diagnostic.ts";
import { buildGuest } from "../guest/build.ts";
import type { GuestImage, Platform } from "../guest/image.ts";
import type { CaseGroup, GuestSpec, Program } from "../scenario/case.ts";
import { filesFor, includesOf } from "./project.ts";

/** What the program is checked in, as nothing else of its scenario may be relied on. */
const ROOM: Omit<GuestSpec, "program"> = {
  entry: "long64",
  memory: 64 << 20,
  registers: {},
  disks: [],
  expectedUnported: [],
  observe: { registers: [], memory: {} },
};

/** What the assembler finds wrong with a program. */
export function checkProgram(program: Program, file: string): readonly Diagnostic[] {
  return buildGuest({ ...ROOM, program }, "bare", { include: includesOf(file) }).diagnostics;
}

/** The group's guest on a platform, or what is wrong with it, in words. */
export function buildFor(
  { guest, file }: CaseGroup,
  platform: Platform,
): { readonly image?: GuestImage; readonly problems: readonly string[] } {
  const { image, diagnostics } = buildGuest(guest, platform, filesFor(file.name));
  const problems = diagnostics.flatMap((d) => renderDiagnostic(d).split("\n"));
  return image ? { image, problems } : { problems };
}
