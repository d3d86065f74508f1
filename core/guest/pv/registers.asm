; The lower part of a trap frame (TRAP_FRAME in operations.ts), and what user_enter keeps: all general registers but RAX
; and RCX, which every way in needs a place for first.
%macro save_registers 0
    push  rdx
    push  rbx
    push  rbp
    push  rsi
    push  rdi
    push  r8
    push  r9
    push  r10
    push  r11
    push  r12
    push  r13
    push  r14
    push  r15
%endmacro
%macro restore_registers 0
    pop   r15
    pop   r14
    pop   r13
    pop   r12
    pop   r11
    pop   r10
    pop   r9
    pop   r8
    pop   rdi
    pop   rsi
    pop   rbp
    pop   rbx
    pop   rdx
%endmacro
