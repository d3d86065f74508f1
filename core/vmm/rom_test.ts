// What a ROM finds when it runs from reset, on every back end that shows its guest a PC.
import { assertEquals } from "@std/assert";
import { PC_BACKENDS, runFile } from "./testing_files.ts";
import { postCodes, rom } from "./testing_rom.ts";

Deno.test("a ROM is run where it is mapped below 4 GiB until its first far jump", () => {
  // The reset vector jumps near: CS keeps its base.
  const guest = rom(`start: jmp 0xf000:low
  high: mov  cx, 1000
  again: inc bx
    loop again
    mov  al, [cs:datum]
    out  0x80, al
    jmp  0xf000:low
  low: mov al, bh
    out  0x80, al
    mov  eax, cr0
    shr  eax, 24
    out  0x80, al
    cli
    hlt
  datum: db 0x5a
  highest equ high`);
  const high = guest.indexOf(0xb9);
  const near = (high - 0xfff3) & 0xffff;
  guest.set([0xe9, near & 0xff, near >> 8], 0xfff0);
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    assertEquals([postCodes(trace), trace.end], [[0x5a, 3, 0x60], { kind: "halt" }], backend);
    const places = trace.events.flatMap((event) =>
      event.type === "exit" && event.exit.kind === "io" ? [event.exit.rip >> 16n] : []
    );
    assertEquals(places, backend === "native" ? [] : [0xffffn, 0xfn, 0xfn], backend);
  }
});

Deno.test("a ROM's copy below 1 MiB takes no writes, by whatever instruction", () => {
  const guest = rom(`start: mov ax, cs
    mov  ds, ax
    mov  es, ax
    mov  ecx, 300
  again: mov byte [datum], 1
    dec  ecx
    jnz  again
    inc  byte [datum]
    mov  al, 7
    mov  di, datum
    mov  cx, 4
    rep stosb
    push ds
    mov  ax, 0xe000
    mov  ss, ax
    mov  sp, 0x1000
    pusha
    mov  al, [datum]
    out  0x80, al
    mov  ax, 0xe000
    mov  ds, ax
    mov  al, [0xffe]
    out  0x80, al
    cli
    hlt
  datum: db 0x42`);
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    assertEquals([postCodes(trace), trace.end], [[0x42, 0], { kind: "halt" }], backend);
  }
});

Deno.test("addresses wrap at 1 MiB while A20 is closed, for code and data", () => {
  // FFFF:0510 and 0000:0500 are one place then.
  const guest = rom(`start: xor ax, ax
    mov  ds, ax
    mov  ss, ax
    mov  sp, 0x7000
    mov  ax, 0xffff
    mov  es, ax
    mov  byte [0x500], 0x11
    mov  byte [es:0x510], 0x22
    call show
    xor  al, al
    out  0x92, al
    call show
    mov  byte [es:0x510], 0x33
    mov  byte [0x501], 0x44
    call show
    mov  al, 0xdf
    out  0x64, al
    call show
    ; in 0:600 and in ffff:610: mov al, n; retf
    mov  dword [0x600], 0xcb55b0
    mov  dword [es:0x610], 0xcb66b0
    call far [cs:pointer]
    out  0x80, al
    mov  al, 0xdd
    out  0x64, al
    call far [cs:pointer]
    out  0x80, al
    mov  al, 2
    out  0x92, al
    call far [cs:pointer]
    out  0x80, al
    cli
    hlt
  show: mov al, [0x500]
    out  0x80, al
    mov  al, [es:0x510]
    out  0x80, al
    ret
  pointer: dw 0x610, 0xffff`);
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    assertEquals(
      postCodes(trace),
      [0x11, 0x22, 0x11, 0x11, 0x33, 0x33, 0x33, 0x22, 0x66, 0x55, 0x66],
      backend,
    );
    assertEquals(trace.end, { kind: "halt" }, backend);
  }
});

Deno.test("page tables are found without bit 20 of their address while A20 is closed", () => {
  const guest = rom(`start: xor ax, ax
    mov  ds, ax
    ; 32-bit paging, large pages: the first 4 MiB; their table at 0x2000, named as 0x102000
    mov  dword [0x2000], 0x83
    mov  dword [0x2004], 0x100083 ; reserved bits unless A20... bit 20 is of the offset: 4 MiB at 0
    mov  byte [0x500], 0x77
    xor  al, al
    out  0x92, al
    mov  eax, 0x102000
    mov  cr3, eax
    mov  eax, 0x10
    mov  cr4, eax
    mov  eax, 0x80000001
    mov  cr0, eax
    mov  al, [0x500]
    out  0x80, al
    mov  eax, [0x2000]
    out  0x80, al
    mov  eax, 1
    mov  cr0, eax
    cli
    hlt`);
  for (const backend of PC_BACKENDS) {
    const trace = runFile(backend, { guest });
    // The entry was marked as accessed and dirty.
    assertEquals([postCodes(trace), trace.end], [[0x77, 0xa3], { kind: "halt" }], backend);
  }
});
