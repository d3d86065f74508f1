; User mode and SYSCALL. To the hardware kernel and user mode are the same, so only Xen can go from one to the other: by iret
; to user mode, by SYSCALL or a trap back, on the stack that stack_switch named.

CALLBACKOP_register     equ 0
CALLBACKTYPE_syscall    equ 2
CALLBACKF_mask_events   equ 1
VGCF_in_syscall         equ 0x100       ; iret leaves rcx and r11 as SYSRET does
SYSCALL_VECTOR          equ 0x100       ; what a system call's frame has as its vector
IF_SHIFT                equ 9
FLAGS_FIXED             equ 2
FRAME_BELOW_RIP         equ -FRAME_r15

; rdi: handler
pv_syscall_set:
    push  rax
    push  rdi
    push  rsi
    cmp   qword [SYSCALL_HANDLER], 0
    mov   [SYSCALL_HANDLER], rdi
    jne   .done                         ; Xen knows the entry already
    mov   dword [XEN_REQUEST], CALLBACKTYPE_syscall | CALLBACKF_mask_events << 16
    mov   qword [XEN_REQUEST + 8], syscall_entry
    mov   edi, CALLBACKOP_register
    mov   esi, XEN_REQUEST
    hypercall callback_op
.done:
    pop   rsi
    pop   rdi
    pop   rax
    ret

; rdi: first instruction, rsi: stack, rdx: the user's rdi
pv_user_enter:
    movzx eax, byte [UPCALL_MASK]
    push  rax
    push  rcx
    save_registers
    mov   [USER_KERNEL_RSP], rsp
    mov   r12, rdi
    mov   r13, rsi
    mov   r14, rdx
    cmp   byte [XEN_STACK_READY], 0
    jne   .have_stack
    mov   edi, KERNEL_SS
    mov   esi, RSP0_TOP
    hypercall stack_switch
    mov   byte [XEN_STACK_READY], 1
.have_stack:
    call  use_user_table
    movzx eax, byte [UPCALL_MASK]
    xor   eax, 1
    shl   eax, IF_SHIFT
    or    eax, FLAGS_FIXED
    push  KERNEL_SS                     ; user mode has the same flat segments
    push  r13
    push  rax
    push  KERNEL_CS
    push  r12
    push  0                             ; not in a system call: rcx and r11 are loaded
    mov   rdi, r14
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
    jmp   XEN_HYPERCALL_PAGE + HYPERCALL_iret * STUB_BYTES

; edi: what user_enter returns
pv_user_exit:
    mov   eax, edi
    mov   rsp, [USER_KERNEL_RSP]
    restore_registers
    pop   rcx
    pop   qword [XEN_REQUEST]
    cmp   byte [XEN_REQUEST], 0
    je    pv_irq_unmask
    mov   byte [UPCALL_MASK], 1
    ret

; Xen comes here from user mode, with events masked; on the stack are rcx, r11, and what iret needs.
syscall_entry:
    push  rax
    push  qword [rsp + 8]               ; rcx
    mov   r11, [rsp + 24]
    mov   qword [rsp + 24], 0           ; error code
    mov   qword [rsp + 16], SYSCALL_VECTOR
    save_registers
    mov   rsi, rdi
    mov   rdi, rax
    lea   rdx, [rsp + FRAME_BELOW_RIP]
    mov   ecx, 1
    cld
    call  [SYSCALL_HANDLER]
    mov   [rsp + FRAME_BELOW_RIP + FRAME_rax], rax
    mov   eax, VGCF_in_syscall
    jmp   return_from_trap
