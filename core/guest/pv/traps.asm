; Traps through the IDT that the loader prepared. Each vector has a stub of one CALL: the return address tells the vector,
; and the stubs fall into two tables, with and without an error code. Interrupt handlers of the library go the same way.

STUB_SIZE        equ 5                  ; call rel32
ERROR_VECTORS    equ 0x60227d00         ; 8, 10-14, 17, 21, 29, 30 push an error code: SDM vol. 3, table 6-1
LAST_VECTOR      equ 0x80
FIRST_USER_INT   equ 0x50               ; INT n from here on is for user mode too
GATE_KERNEL      equ 0x8e               ; present interrupt gate, DPL 0: SDM vol. 3, figure 6-8
GATE_USER        equ 0xee               ; the same, DPL 3
FRAME_BELOW_RIP  equ -FRAME_r15         ; bytes of a trap frame below its RIP

; edi: vector, rsi: handler
pv_trap_set:
    push  rax
    push  rdx
    mov   eax, edi
    cmp   eax, LAST_VECTOR
    ja    .done
    mov   [TRAP_HANDLERS + rax * 8], rsi
    lea   edx, [rax + rax * 4]          ; offset into the table of stubs
    cmp   eax, 32
    jae   .plain
    push  rcx
    mov   ecx, ERROR_VECTORS
    bt    ecx, eax
    pop   rcx
    jc    .have_stub
.plain:
    add   edx, trap_plain_stubs - trap_error_stubs
.have_stub:
    add   edx, trap_error_stubs

    shl   eax, 4                        ; a gate is 16 bytes: SDM vol. 3, figure 6-8
    mov   [IDT_BASE + rax], dx
    mov   word [IDT_BASE + rax + 2], SELECTOR_code64
    mov   byte [IDT_BASE + rax + 4], 0  ; no interrupt stack table
    cmp   edi, 3
    je    .user
    cmp   edi, 4
    je    .user
    cmp   edi, FIRST_USER_INT
    jae   .user
    mov   byte [IDT_BASE + rax + 5], GATE_KERNEL
    jmp   .rest
.user:
    mov   byte [IDT_BASE + rax + 5], GATE_USER
.rest:
    shr   edx, 16
    mov   [IDT_BASE + rax + 6], dx
    mov   qword [IDT_BASE + rax + 8], 0
.done:
    pop   rdx
    pop   rax
    ret

trap_error_stubs:
    times 32 call trap_error
trap_plain_stubs:
    times LAST_VECTOR + 1 call trap_plain

trap_plain:
    push  qword [rsp]                   ; the stub's return address, once more:
    mov   qword [rsp + 8], 0            ; its first place becomes the error code
trap_error:
    push  rax
    push  rcx
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
    restore_registers
    pop   rcx
    pop   rax
    add   rsp, 16                       ; vector and error code
    iretq
