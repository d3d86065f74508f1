// Frames, pages and address spaces.
import { pvContract, type Row } from "./testing_pv.ts";

const MEMORY: Row[] = [
  [
    "map_page maps, remaps, protects and unmaps",
    `%include "lib/frames.inc"
     start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        alloc_frame r12
        alloc_frame r13
        mov   rdi, 0x40000000
        mov   rsi, r12
        pv    map_page
        mov   r15, rax
        mov   qword [rdi], 1
        mov   rsi, r13
        pv    map_page
        add   r15, rax
        mov   qword [rdi], 2
        mov   rbx, [r12]
        mov   rcx, [r13]                ; both frames are mapped at their own addresses too
        pv    protect_page
        add   r15, rax
        mov   rbp, rdi
        mov   r14, 0
        mov   byte [rbp], 3             ; faults: 4 bytes
        mov   rdx, [rbp]
        mov   rdi, rbp
        pv    unmap_page
        add   r15, rax
        mov   al, [rbp]                 ; faults: 3 bytes, and 1 of a NOP
        nop
        pv    unmap_page                ; refused
        add   r15, rax
        xor   edi, edi
        pv    shutdown
     fault:
        inc   qword [rdx - 0x80]        ; r14
        add   qword [rdx], 4
        ret`,
    { registers: { rbx: 1n, rcx: 2n, rdx: 2n, r14: 2n, r15: 1n } },
  ],
  [
    "map_page refuses what is no page or no address",
    `start:
        mov   rdi, 0x40000001
        mov   rsi, 0x150000
        pv    map_page
        mov   rbx, rax
        mov   rdi, 0x40000000
        mov   rsi, 0x150001
        pv    map_page
        add   rbx, rax
        mov   rdi, 0x8000000000000000
        mov   rsi, 0x150000
        pv    map_page
        add   rbx, rax
        xor   edi, edi
        pv    shutdown`,
    { registers: { rbx: 3n } },
  ],
  [
    "switch_space changes what lies above the shared 512 GiB",
    `%include "lib/frames.inc"
     start:
        mov   r12, 0x8000000000
        alloc_frame rsi
        mov   rdi, r12
        pv    map_page
        mov   qword [r12], 1
        pv    current_space
        mov   r13, rax
        pv    new_space
        mov   r14, rax
        mov   rdi, r14
        pv    switch_space
        alloc_frame rsi
        mov   rdi, r12
        pv    map_page
        mov   qword [r12], 2
        mov   rdi, r13
        pv    switch_space
        mov   rbx, [r12]
        mov   rdi, r14
        pv    switch_space
        pv    tlb_flush
        mov   rcx, [r12]
        pv    current_space
        xor   edx, edx
        cmp   rax, r14
        sete  dl
        xor   edi, edi
        pv    shutdown`,
    { registers: { rbx: 1n, rcx: 2n, rdx: 1n } },
  ],
  [
    "alloc_frame hands out each frame once, until there are none",
    `start:
        xor   ebx, ebx
        xor   ecx, ecx
     .next:
        pv    alloc_frame
        test  rax, rax
        jz    .end
        cmp   rax, rbx
        jbe   .bad
        mov   rbx, rax
        test  eax, 4095
        jnz   .bad
        cmp   qword [rax], 0
        jne   .bad
        mov   qword [rax], 1
        inc   ecx
        jmp   .next
     .end:
        cmp   ecx, 8                    ; how many depends on the platform
        jb    .bad
        xor   edi, edi
        pv    shutdown
     .bad:
        mov   edi, 1
        pv    shutdown`,
    {},
  ],
];

pvContract(MEMORY);
