// x87 exceptions as software of the 80287's time knows them: by IRQ 13, and port 0xF0.
import { assertEquals } from "@std/assert";
import { PC_BACKENDS, runFile } from "./testing_files.ts";
import { postCodes, rom } from "./testing_rom.ts";

/** Vector of IRQ 13. */
const VECTOR = 0x75;

Deno.test("an x87 exception without CR0.NE is IRQ 13, at once, on every back end", () => {
  const guest = rom(`start:
    cli
    xor  ax, ax
    mov  ds, ax
    mov  ss, ax
    mov  sp, 0x1000
    mov  word [${4 * VECTOR}], handler
    mov  [${4 * VECTOR + 2}], cs
    mov  al, 0x11
    out  0x20, al
    out  0xa0, al
    mov  al, 8
    out  0x21, al
    mov  al, 0x70
    out  0xa1, al
    mov  al, 4
    out  0x21, al
    mov  al, 2
    out  0xa1, al
    mov  al, 1
    out  0x21, al
    out  0xa1, al
    mov  al, 0xfb
    out  0x21, al
    mov  al, 0xdf
    out  0xa1, al
    sti
    mov  word [0x600], 0x37b
    fninit
    fldcw [0x600]
    fldz
    fld1
    xor  bx, bx
    fdiv st0, st1
    inc  bx
    fnop
    inc  bx
    mov  al, 0xdd
    out  0x80, al
    cli
    hlt
handler:
    mov  al, bl
    out  0x80, al
    fnstsw ax
    out  0x80, al
    fnclex
    out  0xf0, al
    mov  al, 0x20
    out  0xa0, al
    out  0x20, al
    iret`);
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    // Nothing after FDIV is executed before the handler. ES and ZE.
    assertEquals(postCodes(trace), [0, 0x84, 0xdd], backend);
    assertEquals(trace.end, { kind: "halt" }, backend);
  }
});
