// The ROM that runs trials one after the other, on Bochs and on the engine alike: each in a mode, with descriptors, registers
// and memory of its own; and prints what became of it. See `bochs_trials.ts` for what a trial is.
import { assemble, sourceOfFile } from "../../guest/asm/assemble.ts";
import { BOCHS_MEMORY, OUTPUT_PORT, ROM_AT, ROM_BYTES, SHUT_DOWN } from "./bochs.ts";
import {
  CELL,
  COPY,
  END_VECTOR,
  ENTRY,
  field,
  KERNEL,
  KERNEL_SELECTOR,
  OUTCOME,
  RECORD,
  result,
  RESULTS,
  SHUTDOWN_LINE,
} from "./bochs_layout.ts";
import { REAL, realStub } from "./bochs_real.ts";

/** Vectors with handlers, and those that push an error code (SDM vol. 3, table 6-1). */
const VECTORS = [...Array.from({ length: 32 }, (_, vector) => vector), END_VECTOR];
const WITH_ERROR: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);

/** INT3: what runs astray meets it at once. */
const FILLING = 0xcccc_cccc;

/** CR0: PE, MP, ET, NE; CR4: OSFXSR, OSXMMEXCPT. */
const CR0 = 0x33, CR4 = 0x600;

/**
 * Bochs gives memory its place block by block, as each is first reached, but loads a file as if its blocks were neighbours:
 * they are when the ROM reaches for them in order, before any other.
 */
const BOCHS_BLOCK = 128 << 10;

const restore = (start: number, end: number) => `
    mov   edi, ${start}
    mov   ecx, ${(end - start) / 4}
    rep   movsd`;

const fill = (start: number, end: number) => `
    mov   edi, ${start}
    mov   ecx, ${(end - start) / 4}
    rep   stosd`;

const sum = (name: "tables" | "area0" | "area1", start: number, end: number) => `
    mov   esi, ${start}
    mov   ecx, ${(end - start) / 4}
    call  checksum
    mov   [${result(name)}], eax`;

const [AREA0, AREA1] = KERNEL.areas;

const START = `
    bits 16
start:
    cli
    o32 lgdt [cs:gdtr - ${ROM_AT}]
    mov   eax, ${CR0}
    mov   cr0, eax
    jmp   dword ${KERNEL_SELECTOR.code}:protected
gdtr:
    dw    ${KERNEL.gdtEnd - KERNEL.gdt - 1}
    dd    ${KERNEL.gdt}
idtr:
    dw    0x7ff
    dd    ${KERNEL.idt}
shutdown_line:
    db    "${SHUTDOWN_LINE}", 10
    bits 32
flat:
    mov   ax, ${KERNEL_SELECTOR.data}
    mov   ds, ax
    mov   es, ax
    mov   ss, ax
    mov   esp, ${KERNEL.stack}
    jmp   ebp
protected:
    mov   ebp, .started
    jmp   flat
.started:
    mov   esi, ${KERNEL.pristine}
.memory:
    mov   eax, [esi]
    add   esi, ${BOCHS_BLOCK}
    cmp   esi, ${BOCHS_MEMORY}
    jb    .memory
    xor   eax, eax
    xor   ecx, ecx
    xor   edx, edx
    xor   ebx, ebx
    mov   fs, ax
    mov   gs, ax
    cmp   dword [${CELL.running}], 0
    je    trial
    mov   esi, shutdown_line
.letter:
    lodsb
    out   ${OUTPUT_PORT}, al
    cmp   al, 10
    jne   .letter
next:
    mov   eax, [${field("next")}]
    mov   [${CELL.current}], eax
`;

const TRIAL = `
trial:
    xor   ebx, ebx
    mov   dword [${CELL.running}], 1
    cld
    mov   esi, ${KERNEL.pristine}
    ${restore(KERNEL.tables.start, KERNEL.tables.end)}
    ${restore(AREA0.start, AREA0.end)}
    ${restore(AREA1.start, AREA1.end)}
    mov   eax, ${FILLING}
    ${fill(AREA0.end, AREA1.start)}
    ${fill(AREA1.end, KERNEL.end)}
    mov   esi, [${CELL.current}]
    ${restore(COPY, COPY + 4 * RECORD.length)}
    cmp   dword [${field("next")}], 0
    je    finished
    lgdt  [gdtr]
    lidt  [idtr]
    mov   eax, ${CR0}
    mov   cr0, eax
    mov   eax, ${CR4}
    mov   cr4, eax
    xor   eax, eax
    mov   dr7, eax
    mov   cr2, eax
    mov   eax, 0xffff0ff0
    mov   dr6, eax
    mov   ax, ${KERNEL_SELECTOR.tss}
    ltr   ax
    mov   ax, ${KERNEL_SELECTOR.ldt}
    lldt  ax
.patch:
    lodsd
    test  eax, eax
    jz    .patched
    mov   edi, eax
    lodsd
    mov   ecx, eax
    rep   movsb
    add   esi, 3
    and   esi, -4
    jmp   .patch
.patched:
    mov   eax, [${field("setup")}]
    test  eax, eax
    jz    .ready
    call  eax
.ready:
    cmp   dword [cs:${field("entry")}], ${ENTRY.real}
    je    enter_real
    cmp   dword [${field("entry")}], ${ENTRY.inner}
    je    .inner
    push  dword [${field("gs")}]
    push  dword [${field("fs")}]
    push  dword [${field("ds")}]
    push  dword [${field("es")}]
    push  dword [${field("ss")}]
    push  dword [${field("esp")}]
    jmp   .common
.inner:
    mov   ss, [${field("ss")}]
    mov   esp, [${field("esp")}]
.common:
    push  dword [${field("eflags")}]
    push  dword [${field("cs")}]
    push  dword [${field("eip")}]
    mov   eax, [${field("eax")}]
    mov   ecx, [${field("ecx")}]
    mov   edx, [${field("edx")}]
    mov   ebx, [${field("ebx")}]
    mov   ebp, [${field("ebp")}]
    mov   esi, [${field("esi")}]
    mov   edi, [${field("edi")}]
    test  byte [${field("eflags") + 2}], 2
    jnz   .virtual
    mov   es, [${field("es")}]
    mov   fs, [${field("fs")}]
    mov   gs, [${field("gs")}]
    mov   ds, [${field("ds")}]
.virtual:
    iretd
enter_real:
    mov   ax, ${KERNEL_SELECTOR.realData}
    cmp   dword [cs:${field("setup")}], 0
    jne   .unreal
    mov   ds, ax
    mov   es, ax
    mov   fs, ax
    mov   gs, ax
.unreal:
    mov   ss, ax
    jmp   ${KERNEL_SELECTOR.realCode}:${KERNEL.realHandlers}
`;

const stub = (vector: number) => `
stub${vector}:
    ${WITH_ERROR.has(vector) ? "" : "push  dword 0"}
    push  dword ${vector}
    jmp   handler`;

const HANDLER = `
handler:
    push  eax
    mov   eax, ds
    push  eax
    mov   ax, ${KERNEL_SELECTOR.data}
    mov   ds, ax
    pop   dword [${result("ds")}]
    pop   dword [${result("eax")}]
    pop   dword [${result("vector")}]
    pop   dword [${result("error")}]
    pop   dword [${result("eip")}]
    pop   dword [${result("cs")}]
    pop   dword [${result("eflags")}]
    mov   [${result("es")}], es
    mov   [${result("fs")}], fs
    mov   [${result("gs")}], gs
    test  byte [${result("eflags") + 2}], 2
    jnz   .virtual
    test  byte [${result("cs")}], 3
    jnz   .outer
    mov   [${result("ss")}], ss
    mov   [${result("esp")}], esp
    jmp   .registers
.outer:
    pop   dword [${result("esp")}]
    pop   dword [${result("ss")}]
    jmp   .registers
.virtual:
    pop   dword [${result("esp")}]
    pop   dword [${result("ss")}]
    pop   dword [${result("es")}]
    pop   dword [${result("ds")}]
    pop   dword [${result("fs")}]
    pop   dword [${result("gs")}]
.registers:
    mov   [${result("ecx")}], ecx
    mov   [${result("edx")}], edx
    mov   [${result("ebx")}], ebx
    mov   [${result("ebp")}], ebp
    mov   [${result("esi")}], esi
    mov   [${result("edi")}], edi
    mov   eax, cr0
    mov   [${result("cr0")}], eax
print:
    cld
    mov   ebp, .flat
    jmp   flat
.flat:
    xor   eax, eax
    mov   dr7, eax
    mov   eax, cr2
    mov   [${result("cr2")}], eax
    mov   eax, dr6
    mov   [${result("dr6")}], eax
    str   [${result("tr")}]
    sldt  [${result("ldtr")}]
    ${sum("tables", KERNEL.tables.start, KERNEL.tables.end)}
    ${sum("area0", AREA0.start, AREA0.end)}
    ${sum("area1", AREA1.start, AREA1.end)}
    ${
  ["cs", "ss", "ds", "es", "fs", "gs", "tr", "ldtr"].map((name) =>
    `mov   word [${RESULTS + 4 * OUTCOME.indexOf(name as typeof OUTCOME[number]) + 2}], 0`
  ).join("\n    ")
}
    mov   esi, ${RESULTS}
    mov   edi, ${OUTCOME.length}
.dword:
    lodsd
    mov   ebx, eax
    mov   ecx, 8
.digit:
    rol   ebx, 4
    mov   al, bl
    and   al, 15
    cmp   al, 10
    jb    .decimal
    add   al, 'a' - '0' - 10
.decimal:
    add   al, '0'
    out   ${OUTPUT_PORT}, al
    loop  .digit
    mov   al, ' '
    out   ${OUTPUT_PORT}, al
    dec   edi
    jnz   .dword
    mov   al, 10
    out   ${OUTPUT_PORT}, al
    jmp   next
checksum:
    xor   ebx, ebx
.add:
    lodsd
    rol   ebx, 5
    xor   ebx, eax
    loop  .add
    mov   eax, ebx
    ret
finished:
${SHUT_DOWN}
`;

interface Part {
  readonly bytes: Uint8Array;
  readonly symbols: Readonly<Record<string, bigint>>;
}

function assembled(name: string, text: string, bits: 16 | 32, origin: number): Part {
  const { assembled, diagnostics } = assemble([sourceOfFile({ name, text })], { bits, origin });
  if (!assembled) throw new Error(diagnostics.map((d) => d.message).join("\n"));
  return assembled;
}

/** The ROM, the real-mode part in RAM, and where the handlers of each vector are in either. */
export interface TrialKernel {
  readonly rom: Uint8Array;
  readonly real: Uint8Array;
  readonly handlers: ReadonlyMap<number, { readonly flat: number; readonly real: number }>;
}

let made: TrialKernel | undefined;

export function trialKernel(): TrialKernel {
  return made ??= make();
}

function make(): TrialKernel {
  const reset = ROM_AT + ROM_BYTES - 16;
  const rom = assembled(
    "kernel.asm",
    [
      START,
      TRIAL,
      ...VECTORS.map(stub),
      HANDLER,
      `    times ${reset}-$ db 0`,
      "    bits 16",
      `    jmp   ${ROM_AT >> 4}:start - ${ROM_AT}`,
      `    times ${ROM_AT + ROM_BYTES}-$ db 0`,
    ].join("\n"),
    16,
    ROM_AT,
  );
  const back = `    jmp   dword ${KERNEL_SELECTOR.code}:${rom.symbols["print"]}`;
  const real = assembled(
    "real.asm",
    [REAL, back, ...VECTORS.map(realStub)].join("\n"),
    16,
    KERNEL.realHandlers,
  );
  const place = (part: Part, vector: number) => Number(part.symbols[`stub${vector}`]);
  const handlers = new Map(
    VECTORS.map((vector) => [vector, { flat: place(rom, vector), real: place(real, vector) }]),
  );
  return { rom: rom.bytes, real: real.bytes, handlers };
}
