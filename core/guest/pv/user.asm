; User mode and SYSCALL. User mode is entered by IRETQ on a stack that user_exit finds again; system calls arrive through
; LSTAR (SDM vol. 3, 5.8.8) and leave by SYSRET. Both build the frame that traps build, so that handlers see one shape.

MSR_STAR          equ 0xc0000081
MSR_LSTAR         equ 0xc0000082
MSR_FMASK         equ 0xc0000084
STAR_HIGH         equ (SELECTOR_code32 << 16) | SELECTOR_code64   ; SYSRET: code32 + 16 and + 8; SYSCALL: code64 and + 8
FMASK             equ 0x47700           ; AC, NT, IOPL, DF, IF, TF are clear in a handler
SYSCALL_VECTOR    equ 0x100             ; what a system call's frame has as its vector
USER_FLAGS        equ 0x202             ; of the flags, user mode gets IF as it is; bit 1 is always set
FRAME_BELOW       equ -FRAME_r15

; rdi: handler
pv_syscall_set:
    push  rax
    push  rcx
    push  rdx
    cmp   qword [SYSCALL_HANDLER], 0
    mov   [SYSCALL_HANDLER], rdi
    jne   .done                         ; the MSRs are set already
    mov   ecx, MSR_STAR
    xor   eax, eax
    mov   edx, STAR_HIGH
    wrmsr
    mov   ecx, MSR_LSTAR
    mov   eax, syscall_entry
    xor   edx, edx
    wrmsr
    mov   ecx, MSR_FMASK
    mov   eax, FMASK
    wrmsr
.done:
    pop   rdx
    pop   rcx
    pop   rax
    ret

; rdi: first instruction, rsi: stack, rdx: the user's rdi
pv_user_enter:
    pushfq
    push  rcx
    save_registers
    mov   [USER_KERNEL_RSP], rsp
    pushfq
    pop   rax
    and   eax, USER_FLAGS
    push  SELECTOR_userData
    push  rsi
    push  rax
    push  SELECTOR_userCode64
    push  rdi
    mov   rdi, rdx
    xor   eax, eax
    xor   ecx, ecx
    xor   edx, edx
    xor   ebx, ebx
    xor   ebp, ebp
    xor   esi, esi
    xor   r8d, r8d
    xor   r9d, r9d
    xor   r10d, r10d
    xor   r11d, r11d
    xor   r12d, r12d
    xor   r13d, r13d
    xor   r14d, r14d
    xor   r15d, r15d
    iretq

; edi: what user_enter returns
pv_user_exit:
    mov   eax, edi
    mov   rsp, [USER_KERNEL_RSP]
    restore_registers
    pop   rcx
    popfq
    ret

; From user mode: rax: number, rcx: where to return to, r11: flags. Interrupts are masked (FMASK).
syscall_entry:
    mov   [SYSCALL_USER_RSP], rsp
    mov   rsp, RSP0_TOP
    push  SELECTOR_userData
    push  qword [SYSCALL_USER_RSP]
    push  r11
    push  SELECTOR_userCode64
    push  rcx
    push  0
    push  SYSCALL_VECTOR
    push  rax
    push  rcx
    save_registers
    mov   rsi, rdi
    mov   rdi, rax
    lea   rdx, [rsp + FRAME_BELOW]
    mov   ecx, 1
    call  [SYSCALL_HANDLER]
    mov   [rsp + FRAME_BELOW + FRAME_rax], rax
    restore_registers
    pop   rcx
    pop   rax
    mov   rcx, [rsp + 16 + FRAME_rip]   ; vector and error code are on the stack still
    mov   r11, [rsp + 16 + FRAME_rflags]
    mov   rsp, [rsp + 16 + FRAME_rsp]
    o64 sysret
