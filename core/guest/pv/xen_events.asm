; Events: the virtual interrupt flag is a byte in shared memory, so masking costs nothing, and unmasking only if something is
; pending. There is one upcall for all of them.

SCHEDOP_block               equ 1
CALLBACKOP_register         equ 0
CALLBACKTYPE_event          equ 0

pv_irq_unmask:
    mov   byte [UPCALL_MASK], 0
    cmp   byte [UPCALL_PENDING], 0      ; what came while masked; from here on Xen delivers by itself
    jne   .force
    ret
.force:                                 ; any hypercall does: events are delivered on the way back
    push  rax
    push  rdi
    push  rsi
    xor   edi, edi                      ; XENVER_version
    xor   esi, esi
    hypercall xen_version
    pop   rsi
    pop   rdi
    pop   rax
    ret

; Blocking unmasks in the same step. When it returns, an upcall has come and gone.
pv_wait:
    push  rax
    push  rdi
    push  rsi
    movzx eax, byte [UPCALL_MASK]
    push  rax
    mov   edi, SCHEDOP_block
    xor   esi, esi
    hypercall sched_op
    pop   rax
    mov   [UPCALL_MASK], al
    pop   rsi
    pop   rdi
    pop   rax
    ret

; rdi: where upcalls go
register_upcall:
    push  rax
    push  rdi
    push  rsi
    mov   dword [XEN_REQUEST], CALLBACKTYPE_event
    mov   [XEN_REQUEST + 8], rdi
    mov   edi, CALLBACKOP_register
    mov   esi, XEN_REQUEST
    hypercall callback_op
    pop   rsi
    pop   rdi
    pop   rax
    ret
