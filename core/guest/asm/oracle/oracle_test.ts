// NASM is the oracle: byte for byte over every form of the table, over lines written by hand, and over whole programs.
import { assert, assertEquals } from "@std/assert";
import { hexBytes } from "../../../base/hex.ts";
import { assemble, sourceOfFile } from "../assemble.ts";
import { type Bits, Dice, formLines, randomProgram } from "./corpus.ts";
import { LINES_32_16, LINES_64 } from "./lines.ts";
import { ORACLE_PROGRAMS, type OracleProgram } from "./programs.ts";

/** Lines where both encodings are right, or where NASM's is not, and why. */
const DIFFERENCES: readonly {
  readonly lines: RegExp;
  readonly bits?: Bits;
  readonly why: string;
}[] = [
  {
    lines: /^ptwrite /,
    why:
      "NASM 2.16 leaves out the mandatory F3 (SDM vol. 2, PTWRITE): its bytes are another instruction",
  },
  { lines: /^invpcid /, why: "NASM adds a REX.W that the processor ignores" },
  {
    lines: /^vmgexit$/,
    why: "AMD gives it two opcodes, F3 and F2 0F 01 D9 and C1; iced has the first",
  },
  { lines: /^vextractps r/, why: "NASM takes EVEX for a 64-bit register where VEX does" },
  {
    lines: /^(?:incsspd|rdsspd|wrssd|wrussd) /,
    bits: 16,
    why: "NASM adds a 66 that has no meaning: shadow stacks do not exist in 16-bit code",
  },
];

/** Each line has a slot of its own, so that one difference does not move the rest. */
const SLOT = 32;
const SEED = 20161;

const nasm = (() => {
  try {
    return new Deno.Command("nasm", { args: ["-v"], stdout: "null" }).outputSync().success;
  } catch {
    return false;
  }
})();
const oracle = (name: string, fn: () => void) =>
  Deno.test({ name: nasm ? name : `${name} (skipped: nasm is not installed)`, ignore: !nasm, fn });

interface NasmRun {
  readonly bytes: Uint8Array | undefined;
  readonly messages: string;
}

function runNasm(text: string, includes: Readonly<Record<string, string>> = {}): NasmRun {
  const folder = Deno.makeTempDirSync({ prefix: "trivisor-nasm-" });
  try {
    Deno.writeTextFileSync(`${folder}/x.asm`, text);
    for (const [name, content] of Object.entries(includes)) {
      Deno.writeTextFileSync(`${folder}/${name}`, content);
    }
    const { success, stderr } = new Deno.Command("nasm", {
      args: ["-f", "bin", "-w-all", "-w+label-orphan", "-o", "x.bin", "x.asm"],
      cwd: folder,
    }).outputSync();
    return {
      bytes: success ? Deno.readFileSync(`${folder}/x.bin`) : undefined,
      messages: new TextDecoder().decode(stderr),
    };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** What NASM makes of each line in its slot; lines that it refuses or takes for labels are left out. */
function assembleWithNasm(lines: readonly string[], bits: Bits): Map<string, Uint8Array> {
  let left = [...new Set(lines)];
  // Every run tells of some errors only, and some lines crash NASM.
  for (let attempt = 0; attempt < 60; attempt++) {
    const text = `bits ${bits}\nstart:\n` +
      left.map((line) => `${line}\ntimes ${SLOT} - (($ - $$) % ${SLOT}) db 0\n`).join("") +
      "end:\n";
    const { bytes, messages } = runNasm(text);
    const refused = new Set(
      [...messages.matchAll(/x\.asm:(\d+): (?:error|assertion|warning: label)/g)]
        .map((match) => Math.floor((Number(match[1]) - 3) / 2)),
    );
    if (bytes && refused.size === 0) {
      return new Map(left.map((line, i) => [line, bytes.subarray(i * SLOT, (i + 1) * SLOT)]));
    }
    assert(refused.size > 0, messages);
    left = left.filter((_, i) => !refused.has(i));
  }
  throw new Error("NASM does not settle on what it accepts");
}

/** Ours for one line in its slot, in the same form. */
function assembleAt(line: string, slot: number, end: number, bits: Bits): Uint8Array | string {
  const text = `start equ $ - ${slot}\nend equ start + ${end}\n${line}\n`;
  const source = sourceOfFile({ name: "line", text });
  const { assembled, diagnostics } = assemble([source], { bits, origin: slot });
  if (!assembled) return diagnostics.map((d) => d.message).join("; ");
  const bytes = new Uint8Array(SLOT);
  bytes.set(assembled.bytes.subarray(0, SLOT));
  return bytes;
}

/** Compares, and answers how many lines were. */
function compareLines(lines: readonly string[], bits: Bits): number {
  const wanted = assembleWithNasm(lines, bits);
  const wrong: string[] = [];
  let slot = 0;
  for (const [line, bytes] of wanted) {
    const ours = assembleAt(line, slot, wanted.size * SLOT, bits);
    slot += SLOT;
    const same = typeof ours !== "string" && hexBytes(ours) === hexBytes(bytes);
    const known = DIFFERENCES.some((d) => d.lines.test(line) && (d.bits ?? bits) === bits);
    if (same || known) continue;
    const shown = typeof ours === "string" ? ours : hexBytes(ours).replace(/(?:00)+$/, "");
    wrong.push(`${line}: ${shown}, NASM ${hexBytes(bytes).replace(/(?:00)+$/, "")}`);
  }
  assertEquals(wrong, [], `bits ${bits}, seed ${SEED}`);
  return wanted.size;
}

for (const bits of [16, 32, 64] as const) {
  oracle(`assemble() writes NASM's bytes for every form in ${bits}-bit code`, () => {
    const compared = compareLines(formLines(bits, 1, new Dice(SEED + bits)), bits);
    assert(compared > 1500, `only ${compared} lines were compared`);
  });

  oracle(`assemble() writes NASM's bytes for odd spellings in ${bits}-bit code`, () => {
    const lines = bits === 64 ? LINES_64 : LINES_32_16;
    const compared = compareLines(lines, bits);
    assert(compared > lines.length * 0.9, `only ${compared} lines were compared`);
  });
}

/**
 * Programs whose padding feeds back into the lengths before it can come to rest in more than one way; NASM may find another
 * one than we do (about one random program in three hundred), or none at all.
 */
const RESTLESS_SEEDS: ReadonlySet<number> = new Set([56]);

oracle("assemble() settles branches and addresses where NASM does", () => {
  for (let seed = 1; seed <= 60; seed++) {
    if (RESTLESS_SEEDS.has(seed)) continue;
    const dice = new Dice(SEED * seed);
    const bits = dice.pick([16, 32, 64] as const);
    const text = randomProgram(bits, 20 + dice.roll(200), dice);
    const { bytes, messages } = runNasm(`bits ${bits}\n${text}`);
    assert(bytes, messages);
    const ours = assembleProgram({ name: "random", bits, text });
    assertEquals(hexBytes(ours), hexBytes(bytes), `seed ${seed}, bits ${bits}`);
  }
});

function assembleProgram({ name, bits, text, includes = {} }: OracleProgram): Uint8Array {
  const source = sourceOfFile({ name, text });
  const { assembled, diagnostics } = assemble([source], {
    bits,
    origin: 0,
    include: (file) => {
      const content = includes[file];
      return content === undefined ? undefined : { name: file, text: content };
    },
  });
  assert(assembled, diagnostics.map((d) => d.message).join("; "));
  return assembled.bytes;
}

for (const program of ORACLE_PROGRAMS) {
  oracle(`assemble() writes NASM's bytes for a whole program: ${program.name}`, () => {
    const { bytes, messages } = runNasm(`bits ${program.bits}\n${program.text}`, program.includes);
    assert(bytes, messages);
    const ours = assembleProgram(program);
    // Room reserved at the end is zeros in NASM's file, and no part of ours.
    const padded = new Uint8Array(Math.max(bytes.length, ours.length));
    padded.set(ours);
    assertEquals(hexBytes(padded, " "), hexBytes(bytes, " "));
  });
}
