// Command lines of the two oracle tasks: `--name NUMBER`, and lines on standard output.

/** Value of `--name`; exits with a message unless it is a whole number from 1 on. */
export function numberOption(name: string, otherwise: number): number {
  const text = textOption(name);
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  say(`--${name} takes a whole number from 1 on, not ${text}`);
  Deno.exit(2);
}

/** Value of `--name`, if it is given. */
export function textOption(name: string): string | undefined {
  const at = Deno.args.indexOf(`--${name}`);
  return at < 0 ? undefined : Deno.args[at + 1] ?? "nothing";
}

/** Writes a line. */
export function say(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(line + "\n"));
}

/** Prints a line among a test's results, which `deno test --quiet` lets through: what an oracle has tried, and its seed. */
export async function tell(test: Deno.TestContext, line: string): Promise<void> {
  await test.step(line, () => {});
}
