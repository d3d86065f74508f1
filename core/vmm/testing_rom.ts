// ROMs for tests, from assembly text, and what they tell.
import { renderDiagnostic } from "../base/diagnostic.ts";
import { assemble, sourceOfFile } from "../guest/asm/assemble.ts";
import type { Trace } from "../trace/trace.ts";

/** A 64 KiB ROM of 16-bit code, with a far jump to it at the reset vector. */
export function rom(text: string): Uint8Array {
  const source =
    `bits 16\norg 0\n${text}\ntimes 0xfff0-($-$$) db 0x90\njmp 0xf000:0\ntimes 11 db 0`;
  const { assembled, diagnostics } = assemble([sourceOfFile({ name: "rom.asm", text: source })], {
    bits: 16,
    origin: 0,
  });
  if (!assembled) throw new Error(diagnostics.map(renderDiagnostic).join("\n"));
  return assembled.bytes;
}

/** The bytes that a guest wrote to port 0x80. */
export function postCodes({ events }: Pick<Trace, "events">): number[] {
  return events.flatMap((event) =>
    event.type === "access" && event.access.kind === "io" && event.access.address === 0x80
      ? [event.access.value]
      : []
  );
}
