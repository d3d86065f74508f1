// Bochs as an oracle: it runs a ROM from the reset vector, and what the ROM writes to port 0xE9 is the outcome. The embedded
// engine runs the same ROM in `bochs_machine.ts`; the two outputs have to be equal.

/** What both machines start with. */
export interface BochsImage {
  /** 64 KiB, below 1 MiB and below 4 GiB; the first instruction is at F000:FFF0. */
  readonly rom: Uint8Array;
  /** At most four pieces of RAM that are there from the start. */
  readonly ram?: readonly { readonly address: number; readonly bytes: Uint8Array }[];
}

/** RAM of both machines. */
export const BOCHS_MEMORY = 4 << 20;
export const ROM_AT = 0xf0000, ROM_BYTES = 0x10000;
/** Text goes there, byte by byte. */
export const OUTPUT_PORT = 0xe9;
/** Whoever writes these letters here, one by one, ends the run (Bochs' `unmapped` device). */
export const SHUTDOWN_PORT = 0x8900, SHUTDOWN = "Shutdown";
/**
 * Assembly text that ends the run, in code of any size. A triple fault on the way resets the machine, RAM stays, and the ROM
 * starts anew.
 */
export const SHUT_DOWN = [
  `    mov   dx, ${SHUTDOWN_PORT}`,
  ...[...SHUTDOWN].map((letter) => `    mov   al, '${letter}'\n    out   dx, al`),
  ".halted:",
  "    hlt",
  "    jmp   .halted",
].join("\n");

/** A real processor's features, of the time before AVX-512. */
const MODEL = "corei7_haswell_4770";
const PATIENCE_S = 20;
const MAX_RESETS = 20_000;

/** The configuration; sound and the devices that print nothing of use stay out. */
function configuration(folder: string, image: BochsImage, model: string): string {
  const ram = (image.ram ?? []).map(({ address }, i) =>
    `optramimage${i + 1}: file=${folder}/ram${i}, address=0x${address.toString(16)}`
  );
  return [
    "display_library: term",
    `romimage: file=${folder}/rom`,
    ...ram,
    `megs: ${BOCHS_MEMORY >> 20}`,
    `cpu: model=${model}, count=1, ips=50000000, reset_on_triple_fault=1`,
    "port_e9_hack: enabled=1",
    `log: ${folder}/log`,
    "panic: action=report",
    "error: action=ignore",
    "info: action=ignore",
    "speaker: enabled=0",
    "sound: driver=default, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy",
    "plugin_ctrl: unmapped=1, biosdev=0, speaker=0, extfpuirq=0, parallel=0, serial=0, gameport=0, iodebug=0",
    "",
  ].join("\n");
}

/** Why Bochs can't be asked; undefined if it can. */
export async function bochsUnavailable(): Promise<string | undefined> {
  for (const program of ["bochs-bin", "script"]) {
    try {
      await new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
        .output();
    } catch {
      return `${program} is not installed`;
    }
  }
  return undefined;
}

/** What the ROM writes to port 0xE9 on Bochs. Throws when it does not end. */
export async function runOnBochs(image: BochsImage, model = MODEL): Promise<string> {
  if (image.rom.length !== ROM_BYTES) throw new RangeError("A ROM has 64 KiB");
  const folder = await Deno.makeTempDir({ prefix: "trivisor-bochs-" });
  try {
    await Deno.writeFile(`${folder}/rom`, image.rom);
    for (const [i, { bytes }] of (image.ram ?? []).entries()) {
      await Deno.writeFile(`${folder}/ram${i}`, bytes);
    }
    await Deno.writeTextFile(`${folder}/rc`, configuration(folder, image, model));
    // Debian's Bochs has the debugger, which stops at every reset: it is told to go on.
    await Deno.writeTextFile(`${folder}/commands`, "c\n".repeat(MAX_RESETS));
    // Its display wants a terminal, which `script` makes.
    const command =
      `timeout -s KILL ${PATIENCE_S} bochs-bin -q -f ${folder}/rc -rc ${folder}/commands`;
    await new Deno.Command("script", {
      args: ["-qc", command, `${folder}/output`],
      env: { TERM: "dumb" },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).output();
    return outputOf(await Deno.readTextFile(`${folder}/output`), `${folder}/log`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What the debugger shows at a reset: the instruction that faulted, and the first one. */
const RESET = /\(0\)\.\[\d+\] .*\nNext at t=\d+\n\(0\) \[0x.*\n/g;

/** Between the debugger's display of the first instruction and the words with which the machine ends. */
function outputOf(typescript: string, log: string): string {
  const text = typescript.replaceAll("\r", "");
  const from = /^\(0\) \[0x0000fffffff0\].*\n/m.exec(text);
  const to = text.lastIndexOf("\n====", text.indexOf("shutdown requested"));
  if (!from || to < 0) {
    const reason = Deno.readTextFileSync(log).split("\n").slice(-5).join("\n");
    const lines = text.slice(from?.index).replaceAll(RESET, "").split("\n").length;
    throw new Error(
      `Bochs did not run to the end, ${lines} lines:\n${text.slice(-500)}\n${reason}`,
    );
  }
  return text.slice(from.index + from[0].length, to + 1).replaceAll(RESET, "");
}
