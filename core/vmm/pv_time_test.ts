// Time, timers, waiting, and the mask of events.
import { pvContract, type Row } from "./testing_pv.ts";

const TIME: Row[] = [
  [
    "timer_periodic ticks as often as it is waited for, and stops",
    `start:
        mov   edi, 1000000
        lea   rsi, [rel tick]
        pv    time_now
        mov   r12, rax
        pv    timer_periodic
     .wait:
        pv    wait
        cmp   dword [rel ticks], 20
        jb    .wait
        pv    timer_stop
        pv    time_now
        sub   rax, r12
        cmp   rax, 19000000
        jb    bad
        cmp   rax, 21000000
        ja    bad
        mov   ebx, [rel ticks]
        pv    irq_masked
        mov   ecx, eax
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        ret
     ticks: dd 0`,
    { registers: { rbx: 20n, rcx: 1n } },
  ],
  [
    "timer_set calls once, near or far, and at once when it is past",
    `start:
        lea   rsi, [rel tick]
        mov   rdi, 1                    ; past
        pv    timer_set
        pv    wait
        pv    time_now
        lea   rdi, [rax + 200000000]    ; farther than a PIT counts
        mov   r12, rdi
        pv    timer_set
        mov   ecx, 2
     .wait:
        pv    wait
        cmp   [rel ticks], ecx
        jb    .wait
        pv    time_now
        cmp   rax, r12
        jb    bad
        sub   rax, r12
        cmp   rax, 1000000
        ja    bad
        mov   ebx, [rel ticks]
        xor   edi, edi
        pv    shutdown
     bad: mov edi, 1
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        ret
     ticks: dd 0`,
    { registers: { rbx: 2n } },
  ],
  [
    "an event waits while it is masked, and its handler changes no register",
    `start:
        pv    irq_mask
        lea   rsi, [rel tick]
        pv    time_now
        lea   rdi, [rax + 20000]
        pv    timer_set
        pv    time_now
        lea   r12, [rax + 100000]
     .spin:
        pv    time_now
        cmp   rax, r12
        jb    .spin
        mov   ecx, [rel ticks]
        mov   rax, 1
        mov   rbx, 2
        mov   rdx, 3
        mov   rsi, 4
        mov   rdi, 5
        mov   r8, 6
        mov   r15, 7
        pv    irq_unmask
        nop
        nop
        add   rbx, rax
        add   rbx, rdx
        add   rbx, rsi
        add   rbx, rdi
        add   rbx, r8
        add   rbx, r15
        mov   edx, [rel ticks]
        pv    irq_masked
        mov   r8, rax
        xor   edi, edi
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        mov   rax, -1
        mov   rbx, rax
        mov   rdx, rax
        mov   rsi, rax
        mov   rdi, rax
        mov   r8, rax
        mov   r15, rax
        ret
     ticks: dd 0`,
    { registers: { rcx: 0n, rbx: 28n, rdx: 1n, r8: 0n } },
  ],
  [
    "an interrupt in user mode reaches its handler, which may end user mode",
    `start:
        lea   rdi, [rel user]
        mov   rsi, rdi
        pv    map_user
        mov   edi, 1000000
        lea   rsi, [rel tick]
        pv    timer_periodic
        pv    irq_unmask
        lea   rdi, [rel user]
        xor   esi, esi
        pv    user_enter
        pv    irq_mask
        mov   ebx, eax
        xor   edi, edi
        pv    shutdown
     tick:
        inc   dword [rel ticks]
        cmp   dword [rel ticks], 3
        jne   .on
        mov   edi, 33
        pv    user_exit
     .on:
        ret
     ticks: dd 0
        align 4096
     user: jmp user
        align 4096`,
    { registers: { rbx: 33n } },
  ],
];

pvContract(TIME);
