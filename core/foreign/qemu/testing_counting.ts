// A guest that counts on its serial port, and a witness of what it has printed: the file into which QEMU writes what the port
// has sent. An access is in QEMU's log before the port does it, so that the file is never ahead of the log.
import { assert, assertEquals } from "@std/assert";
import type { Random } from "../../engine/oracle/random.ts";
import type { Trace } from "../../trace/trace.ts";
import { FILES } from "./machine.ts";

/** In a crash's reason. */
const BROKEN_LOG = /^Line \d+ of QEMU's log is none of its own: /;
/** Lines of the log that are no accesses count as well. */
const FEW = 100;
const NAME_LENGTH = 17;
/** A number: four digits and a space. */
const DIGITS = 4, NUMBERS = 1 << (4 * DIGITS);
/** Rounds of an empty loop between two numbers. */
const PACES = [1_000, 20_000, 200_000];
/** Numbers after which a guest ends by itself. */
const LAST = 40;

/** How it may end, and what it does then. */
const ENDS: readonly (readonly [end: RegExp | undefined, text: string])[] = [
  [undefined, "jmp $"],
  [undefined, "again: in al, 0x80\njmp again"],
  [/^halt$/, "cli\nhlt"],
  [/^shutdown 42$/, "mov al, 42\nout 0xf4, al"],
  [/^triple fault$/, "lidt [rel none]\nud2\nnone: dw 0\ndq 0"],
];

/** One guest. */
export interface CountingGuest {
  readonly text: string;
  /** Begins what it prints, and nobody else's. */
  readonly name: string;
  /** How it ends by itself, if it does. */
  readonly end: RegExp | undefined;
}

/** `disk`: it has one, and may read it. */
export function countingGuest(random: Random, disk: boolean): CountingGuest {
  const name = `${random.u64().toString(16).padStart(NAME_LENGTH - 1, "0")}\n`;
  const [end, then] = random.oneIn(2) ? random.pick(ENDS) : [];
  const between = [
    `mov ecx, ${random.pick(PACES)}\nloop $`,
    ...(disk && random.oneIn(2)
      ? ["mov edi, 3\nmov esi, 1\nmov edx, 0x180000\npv block_read\nmov dx, 0x3f8"]
      : []),
    ...(then === undefined ? [] : [`cmp ebx, ${1 + random.below(LAST)}\nje done`]),
  ].join("\n");
  const send = "out dx, al\ninc qword [rel printed]";
  const text = `start:
    cld
    mov   dx, 0x3f8
    lea   rsi, [rel name]
    mov   ecx, ${NAME_LENGTH}
title:
    lodsb
    ${send}
    loop  title
    xor   ebx, ebx
    lea   rsi, [rel digits]
next:
    mov   ebp, ebx
    mov   ecx, ${DIGITS}
digit:
    rol   bp, 4
    mov   eax, ebp
    and   eax, 15
    mov   al, [rsi + rax]
    ${send}
    loop  digit
    mov   al, ' '
    ${send}
    inc   ebx
    ${between}
    lea   rsi, [rel digits]
    jmp   next
done:
    ${then ?? "jmp $"}
digits: db "0123456789abcdef"
name: db "${name.trim()}", 10
    align 8
printed: dq 0`;
  return { text, name, end };
}

/** What it has printed when that are so many bytes. */
function counted(name: string, length: number): string {
  let text = name;
  for (let n = 0; text.length < length; n++) {
    text += `${(n % NUMBERS).toString(16).padStart(DIGITS, "0")} `;
  }
  return text.slice(0, length);
}

const latin1 = (bytes: Uint8Array) => new TextDecoder("latin1").decode(bytes);

/** What the serial port of a run has sent, as QEMU has written it into a file. */
export class Witness implements Disposable {
  readonly folder: string;
  readonly #name: string;
  readonly #file: Deno.FsFile;

  private constructor(folder: string, name: string, file: Deno.FsFile) {
    this.folder = folder;
    this.#name = name;
    this.#file = file;
  }

  /** Looks for the one that has the guest's name in it, in the folders of QEMU's processes in `folder`. */
  static find(folder: string, name: string): Witness | undefined {
    for (const pool of folders(folder)) {
      for (const process of folders(pool)) {
        try {
          const file = Deno.openSync(`${process}/${FILES.console}`);
          const witness = new Witness(process, name, file);
          if (witness.text !== "") return witness;
          file.close();
        } catch {
          // It is gone, or not there yet.
        }
      }
    }
    return undefined;
  }

  /** From the guest's name on; also when somebody has removed the file. */
  get text(): string {
    const bytes = new Uint8Array(this.#file.statSync().size);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    for (let done = 0, count: number | null = 0; count !== null && done < bytes.length;) {
      count = this.#file.readSync(bytes.subarray(done));
      done += count ?? 0;
    }
    const text = latin1(bytes), at = text.lastIndexOf(this.#name);
    return at < 0 ? "" : text.slice(at);
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function folders(path: string): string[] {
  try {
    return [...Deno.readDirSync(path)].filter(({ isDirectory }) => isDirectory)
      .map(({ name }) => `${path}/${name}`);
  } catch {
    return [];
  }
}

/** What is known of what a guest had printed. */
export interface Printed {
  readonly name: string;
  /** The limit on exits. */
  readonly most: number;
  /** It is what the guest's program says. */
  readonly sound: boolean;
  /** It was printed before anything happened. */
  readonly before: string;
  /** It was printed before the process ended, or another guest came. */
  readonly finished: string | undefined;
}

/** Holds that nothing that was printed is lost, and that nothing else is in the trace. */
export function checkPrinted(trace: Trace, { name, most, sound, before, finished }: Printed): void {
  const text = latin1(trace.console);
  if (sound) assertEquals(text, counted(name, text.length), "another text than the guest's");
  // Behind the limit on exits nothing is recorded; the guest goes on until it is stopped.
  const { end } = trace;
  if (end.kind === "limit" && end.limit === "exits") {
    const { io = 0 } = trace.counts.accesses;
    // A guest that is not itself makes QEMU complain instead.
    assert(!sound || io > most - FEW, `${io} accesses, where ${most} are too many`);
    return;
  }
  assert(text.startsWith(before), `${text.length} bytes, where ${before.length} were printed`);
  const count = trace.final.memory["printed"];
  if (count && sound) {
    // One may be on its way.
    const number = Number(new DataView(count.slice().buffer).getBigUint64(0, true));
    assert([number, number + 1].includes(text.length), `${text.length}, where it counts ${number}`);
  }
  // Nor behind a line that can't be trusted.
  if (finished === undefined || end.kind === "crash" && BROKEN_LOG.test(end.reason)) return;
  assert(
    text.startsWith(finished) && text.length - finished.length <= 1,
    `${text.length} bytes, where the port has sent ${finished.length}`,
  );
}
