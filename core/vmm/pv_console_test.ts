// Console and the end: console_write, shutdown, and the printing library on top of them.
import { pvContract, type Row } from "./testing_pv.ts";

const CONSOLE: Row[] = [
  [
    "console_write writes, also nothing, also long text, and preserves registers",
    `start:
        mov   rax, 0x1111
        mov   rbx, 0x2222
        mov   rdx, 0x3333
        mov   rdi, 0x4444
        mov   r8, 0x5555
        lea   rsi, [rel text]
        mov   ecx, 0
        pv    console_write
        mov   ecx, 3
        pv    console_write
        lea   r9, [rel text]
        cmp   rsi, r9
        jne   bad
        cmp   ecx, 3
        jne   bad
        add   rax, rbx
        add   rax, rdx
        add   rax, rdi
        add   rax, r8
        mov   rbx, rax
        mov   ecx, 20000
        lea   rsi, [rel long]
        pv    console_write
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     text: db "abcd"
     long: times 20000 db "z"`,
    { console: "abc" + "z".repeat(20000), registers: { rbx: 0xffffn } },
  ],
  [
    "shutdown ends with its code and leaves the other registers",
    `start: mov rbx, 1
        mov rcx, 2
        mov rdx, 3
        mov r11, 4
        mov edi, 77
        pv shutdown`,
    {
      end: { kind: "shutdown", code: 77 },
      registers: { rbx: 1n, rcx: 2n, rdx: 3n, r11: 4n },
    },
  ],
];

/** fixtures/lib, as scenarios include it. */
const LIBRARY: Row[] = [
  [
    "lib/print.inc prints, and preserves registers",
    `%include "lib/print.inc"
     start:
        mov   rax, 0x0123456789abcdef
        mov   rcx, 10
        mov   rsi, 11
        mov   rdx, 12
        print "value ", '"', 10
        print_hex rax
        print ","
        print_decimal rax
        print ","
        mov   rbx, 0
        print_decimal rbx
        mov   rbx, -1
        print_decimal rbx
        lea   rbx, [rcx + rsi]
        add   rbx, rdx
        xor   edi, edi
        pv    shutdown`,
    {
      console: 'value "\n0123456789abcdef,81985529216486895,018446744073709551615',
      registers: { rbx: 33n },
    },
  ],
];

pvContract(CONSOLE);
pvContract(LIBRARY);
