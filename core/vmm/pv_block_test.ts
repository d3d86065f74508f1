// The disk, and buffers wherever they are mapped.
import { pvContract, type Row, word } from "./testing_pv.ts";

const BLOCK: Row[] = [
  [
    "block_read and block_write move sectors, also many",
    `start:
        mov   edi, 3
        mov   esi, 8
        lea   rdx, [rel buffer]
        pv    block_read
        mov   r15, rax
        mov   rbx, [rel buffer]
        mov   rcx, [rel buffer + 512]
        mov   rax, 'written'
        mov   [rel buffer + 512], rax
        mov   edi, 20
        mov   esi, 2
        pv    block_write
        add   r15, rax
        mov   edi, 0
        mov   esi, 72                   ; more than one request of any platform
        pv    block_read
        add   r15, rax
        mov   r8, [rel buffer + 21 * 512]
        mov   r9, [rel buffer + 71 * 512]
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: resb 65536`,
    {
      registers: {
        r15: 0n,
        rbx: word("sector 3"),
        rcx: word("sector 4"),
        r8: word("written\0"),
        r9: word("sector 7"),
      },
      sector: [21, "written\0"],
    },
  ],
  [
    "block_read and block_write refuse what is not on the disk",
    `start:
        lea   rdx, [rel buffer]
        mov   edi, 127
        mov   esi, 2
        pv    block_read
        mov   rbx, rax
        mov   edi, 128
        mov   esi, 1
        pv    block_write
        add   rbx, rax
        mov   edi, 0
        mov   esi, 0
        pv    block_read
        add   rbx, rax
        mov   esi, 129
        pv    block_read
        add   rbx, rax
        mov   edi, 127                  ; and it goes on working
        mov   esi, 1
        pv    block_read
        mov   rcx, rax
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: resb 66048`,
    { registers: { rbx: 4n, rcx: 0n } },
  ],
];

/** Buffers need not lie where they are mapped: what devices see is the library's affair. */
const MAPPED: Row[] = [
  [
    "console_write, block_read and block_write take buffers in pages mapped elsewhere",
    `%include "lib/frames.inc"
     start:
        mov   rbp, 0x40000000
        alloc_frame r12
        alloc_frame r13
        lea   rdi, [rbp + 4096]         ; the two pages are not neighbours in memory, nor in order
        mov   rsi, r12
        pv    map_page
        mov   rdi, rbp
        mov   rsi, r13
        pv    map_page
        lea   rdx, [rbp + 4096 - 512]
        mov   edi, 7
        mov   esi, 2
        pv    block_read
        mov   r15, rax
        lea   rsi, [rbp + 4096 - 4]
        mov   dword [rsi], 'over'
        mov   ecx, 12
        pv    console_write
        mov   edi, 30
        mov   esi, 2
        pv    block_write
        add   r15, rax
        mov   rbx, [r12]
        xor   edi, edi
        pv    shutdown`,
    {
      console: "oversector 8",
      registers: { r15: 0n, rbx: word("sector 8") },
      sector: [31, "sector 8\n"],
    },
  ],
];

const READ_ONLY: Row[] = [
  [
    "block_write refuses a read-only disk",
    `start:
        mov   edi, 1
        mov   esi, 1
        lea   rdx, [rel buffer]
        pv    block_write
        mov   rbx, rax
        pv    block_read
        mov   rcx, rax
        xor   edi, edi
        pv    shutdown
        align 4096
     buffer: times 512 db 'w'`,
    { registers: { rbx: 1n, rcx: 0n }, sector: [1, "sector 1\n"] },
  ],
];

pvContract(BLOCK);
pvContract(MAPPED);
pvContract(READ_ONLY, { readOnly: true });
