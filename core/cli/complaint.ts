// What goes wrong on the command line, in sentences. Whatever is thrown, the user sees no stack trace.
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";

/** Something that the user can put right; the text says how. */
export class Complaint extends Error {
  override readonly name = "Complaint";
  constructor(message: string, readonly exitCode: ExitCode = EXIT_CODE.usage) {
    super(message);
  }
}

/** What to tell the user about anything that was thrown, and the exit code. */
export function complaintOf(error: unknown): { text: string; exitCode: ExitCode } {
  if (error instanceof Complaint) return { text: error.message, exitCode: error.exitCode };
  // A module that may not be read is a TypeError that says the same.
  if (error instanceof Error && /^Requires \w+ access/.test(error.message)) {
    return { text: permissionText(error.message), exitCode: EXIT_CODE.usage };
  }
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
    return { text: error.message, exitCode: EXIT_CODE.usage };
  }
  // What the system refuses (a full disk, an input that breaks off) is nobody's defect.
  if (error instanceof Error && /\(os error \d+\)/.test(error.message)) {
    return { text: `The system says: ${error.message}`, exitCode: EXIT_CODE.harness };
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return {
    text: `A defect of trivisor, please report it: ${text}`,
    exitCode: EXIT_CODE.harness,
  };
}

/** `Requires write access to "x", run again with the --allow-write flag` in words for users of a task. */
function permissionText(message: string): string {
  const [, access, to, flag] = message.match(
    /^Requires (\w+) access(?: to (.+?))?, (?:run again with|specify) the (--allow-\S+)/,
  ) ?? [];
  if (!access || !flag) return message;
  return `Needs permission for ${access} access${
    to ? ` to ${to}` : ""
  }: trivisor runs with read permission alone ` +
    `unless given more. Run \`deno run ${flag} ...\` or use the task that has it.`;
}
