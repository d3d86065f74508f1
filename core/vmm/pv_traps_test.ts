// Traps, user mode and system calls: trap_set, syscall_set, user_enter, user_exit.
import { pvContract, type Row } from "./testing_pv.ts";

const TRAPS: Row[] = [
  [
    "trap_set: the handler gets vector and frame, and can change where the guest goes on",
    `%include "lib/traps.inc"
     start:
        mov   edi, 6
        lea   rsi, [rel invalid]
        pv    trap_set
        mov   rbx, 0
        mov   r12, 0x1234
     place:
        ud2
        mov   edi, 0
        pv    shutdown
     invalid:
        lea   rax, [rel place]
        cmp   [rdx], rax
        jne   bad
        cmp   edi, 6
        jne   bad
        test  rsi, rsi
        jnz   bad
        test  ecx, ecx
        jnz   bad
        cmp   qword [rdx + frame_r12], 0x1234
        jne   bad
        cmp   qword [rdx + frame_vector], 6
        jne   bad
        test  byte [rdx + frame_cs], 3
        jnz   bad
        add   qword [rdx + frame_rip], 2
        mov   qword [rdx + frame_rbx], 55
        xor   r12d, r12d
        ret
     bad: mov edi, 1
        pv    shutdown`,
    { registers: { rbx: 55n, r12: 0x1234n } },
  ],
  [
    "trap_set: a page fault comes with its error code and address",
    `start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        mov   rax, 0x40000123
        mov   byte [rax], 7            ; C6 00 07
        pv    shutdown
     fault:
        mov   rbx, rsi
        pv    fault_address
        mov   [rel seen], rax
        mov   [rel seen + 8], rbx
        mov   r13, rdx
        add   qword [rdx], 3
        lea   rax, [rel done]
        mov   [rdx], rax
        ret
     done:
        mov   rbx, [rel seen]
        mov   rdx, [rel seen + 8]
        xor   edi, edi
        pv    shutdown
     seen: dq 0, 0`,
    { registers: { rbx: 0x40000123n, rdx: 2n } },
  ],
  [
    "trap_set: divide error, breakpoint and a general protection fault",
    `start:
        mov   edi, 0
        lea   rsi, [rel skip2]
        pv    trap_set
        mov   edi, 3
        lea   rsi, [rel count]
        pv    trap_set
        mov   edi, 13
        lea   rsi, [rel protection]
        pv    trap_set
        xor   ebx, ebx
        xor   ecx, ecx
        mov   eax, 1
        cdq
        div   ecx                       ; F7 F1
        int3
        mov   rax, 0x8000000000000000
        mov   al, [rax]                 ; 8A 00
        mov   rbx, [rel traps]
        xor   edi, edi
        pv    shutdown
     skip2:
        inc   dword [rel traps]
        add   qword [rdx], 2
        ret
     count:
        add   dword [rel traps], 10
        ret
     protection:
        add   dword [rel traps], 100
        test  rsi, rsi
        jz    skip2
        ret
        align 8
     traps: dq 0`,
    { registers: { rbx: 112n } },
  ],
];

const USER: Row[] = [
  [
    "user_enter runs user code, which makes system calls until a handler ends it",
    `start:
        lea   rdi, [rel syscall]
        pv    syscall_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel stack]
        mov   rsi, rdi
        pv    map_user
        mov   rbx, 0xabc
        mov   r12, 0xdef
        lea   rdi, [rel user]
        lea   rsi, [rel stack + 4096]
        mov   edx, 5
        pv    user_enter
        mov   rcx, rax
        mov   rdx, [rel sum]
        xor   edi, edi
        pv    shutdown
     syscall:
        cmp   edi, 1
        je    .add
        mov   edi, esi
        pv    user_exit
     .add:
        add   [rel sum], rsi
        mov   rax, [rel sum]
        ret
     sum: dq 100
        align 4096
     user:                              ; rdi = 5
        mov   eax, 1
        syscall                         ; sum = 105
        mov   rdi, rax
        push  rdi
        mov   eax, 1
        syscall                         ; sum = 210
        pop   rdi
        cmp   rdi, 105
        jne   .end
        mov   rdi, rax
     .end:
        mov   eax, 2
        syscall
        align 4096
     stack: resb 4096`,
    { registers: { rcx: 210n, rdx: 210n, rbx: 0xabcn, r12: 0xdefn } },
  ],
  [
    "user mode can't touch the kernel's pages nor use its instructions",
    `start:
        mov   edi, 14
        lea   rsi, [rel fault]
        pv    trap_set
        mov   edi, 13
        lea   rsi, [rel protection]
        pv    trap_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        mov   rbx, rax
        mov   rdx, [rel log]
        xor   edi, edi
        pv    shutdown
     fault:                             ; ecx = 1: user; error code: read, user. Whether the page is there at all
        and   sil, 6                    ; (bit 0) differs: Xen gives user mode tables without the kernel's pages
        mov   [rel log], sil
        mov   [rel log + 1], cl
        add   qword [rdx], 8            ; over the load, to the HLT
        ret
     protection:
        mov   [rel log + 2], cl
        mov   edi, 9
        pv    user_exit
     log: dq 0
        align 4096
     user:
        mov   rax, [abs 0x50000]
        hlt
        align 4096`,
    { registers: { rbx: 9n, rdx: 0x010104n } },
  ],
  [
    "INT n from user mode reaches the handler that trap_set gave it",
    `start:
        mov   edi, 0x80
        lea   rsi, [rel handler]
        pv    trap_set
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        mov   rbx, rax
        xor   edi, edi
        pv    shutdown
     handler:
        lea   edi, [rdi + rcx]          ; 0x80 + 1
        pv    user_exit
        align 4096
     user: int 0x80
        align 4096`,
    { registers: { rbx: 0x81n } },
  ],
];

pvContract(TRAPS);
pvContract(USER);
