; Traps by Xen's trap table. Each vector has a stub of one CALL, whose return address tells it. Xen's frame has rcx and r11
; below the CPU's own; they make room for the vector and rax of the frame that handlers see.

STUB_SIZE        equ 5                  ; call rel32
ERROR_VECTORS    equ 0x60227d00         ; 8, 10-14, 17, 21, 29, 30 push an error code: SDM vol. 3, table 6-1
LAST_VECTOR      equ 0x80
FIRST_USER_INT   equ 0x50               ; INT n from here on is for user mode too
TRAP_MASK_EVENTS equ 4
TRAP_KERNEL      equ TRAP_MASK_EVENTS | 1   ; a guest's kernel counts as level 1
TRAP_USER        equ TRAP_MASK_EVENTS | 3
FRAME_BELOW_RIP  equ -FRAME_r15         ; bytes of a trap frame below its RIP

; edi: vector, rsi: handler
pv_trap_set:
    push  rax
    push  rdi
    push  rdx
    mov   eax, edi
    cmp   eax, LAST_VECTOR
    ja    .done
    mov   [TRAP_HANDLERS + rax * 8], rsi
    mov   [XEN_REQUEST], rax            ; struct trap_info: vector, flags, cs, address; then a null one
    mov   byte [XEN_REQUEST + 1], TRAP_USER
    cmp   eax, 3
    je    .flags
    cmp   eax, 4
    je    .flags
    cmp   eax, FIRST_USER_INT
    jae   .flags
    mov   byte [XEN_REQUEST + 1], TRAP_KERNEL
.flags:
    mov   word [XEN_REQUEST + 2], KERNEL_CS
    lea   edx, [rax + rax * 4]          ; offset into the table of stubs
    cmp   eax, 32
    jae   .plain
    mov   edi, ERROR_VECTORS
    bt    edi, eax
    jc    .have_stub
.plain:
    add   edx, trap_plain_stubs - trap_error_stubs
.have_stub:
    add   edx, trap_error_stubs
    mov   [XEN_REQUEST + 8], rdx
    mov   qword [XEN_REQUEST + 24], 0
    mov   edi, XEN_REQUEST
    hypercall set_trap_table
.done:
    pop   rdx
    pop   rdi
    pop   rax
    ret

trap_error_stubs:
    times 32 call trap_error
trap_plain_stubs:
    times LAST_VECTOR + 1 call trap_plain

; Stack: return address into the stubs, rcx, r11, error code, rip
trap_error:
    xchg  rax, [rsp]
    mov   rcx, [rsp + 8]
    mov   r11, [rsp + 16]
    mov   [rsp + 16], rax               ; becomes the vector
    mov   rax, [rsp]
    mov   [rsp + 8], rax
    mov   [rsp], rcx
    jmp   trap

; Stack: return address into the stubs, rcx, r11, rip
trap_plain:
    push  rax
    mov   rax, [rsp + 8]
    mov   rcx, [rsp + 16]
    mov   r11, [rsp + 24]
    mov   qword [rsp + 24], 0           ; no error code
    mov   [rsp + 16], rax               ; becomes the vector
    mov   rax, [rsp]
    mov   [rsp + 8], rax
    mov   [rsp], rcx

; Stack: rcx, rax, vector's stub, error code, rip; r11 is the interrupted one's
trap:
    save_registers
    mov   eax, [rsp + FRAME_BELOW_RIP + FRAME_vector]
    sub   eax, trap_error_stubs + STUB_SIZE
    xor   edx, edx
    mov   ecx, STUB_SIZE
    div   ecx
    cmp   eax, 32                       ; the plain stubs follow the 32 others
    jb    .vector
    sub   eax, 32
.vector:
    mov   [rsp + FRAME_BELOW_RIP + FRAME_vector], rax
    mov   edi, eax
    mov   rsi, [rsp + FRAME_BELOW_RIP + FRAME_error]
    lea   rdx, [rsp + FRAME_BELOW_RIP]
    xor   ecx, ecx
    test  byte [rdx + FRAME_cs], 3
    setnz cl
    cld
    call  [TRAP_HANDLERS + rdi * 8]
    xor   eax, eax                      ; flags of the iret frame: not in a system call

; rax: flags for iret. Stack: a trap frame from r15 on. Loads what it holds.
return_from_trap:
    mov   [rsp + FRAME_BELOW_RIP + FRAME_error], rax
    restore_registers
    pop   rcx
    pop   rax
    add   rsp, 8                        ; the vector
    jmp   XEN_HYPERCALL_PAGE + HYPERCALL_iret * STUB_BYTES
