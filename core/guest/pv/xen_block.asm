; The PV disk: requests on a ring shared with the back end, pages by grant, one event a batch (blkif.h, ring.h, grant_table.h).
; Buffers that aren't sector-aligned pass through a page of ours, as the ring counts in sectors of a page.

RING_REQ_PROD       equ XEN_BLOCK_RING
RING_REQ_EVENT      equ XEN_BLOCK_RING + 4
RING_RSP_PROD       equ XEN_BLOCK_RING + 8
RING_RSP_EVENT      equ XEN_BLOCK_RING + 12
RING_ENTRIES        equ XEN_BLOCK_RING + 64
RING_MASK           equ 31              ; 32 entries
ENTRY_SIZE          equ 112
ENTRY_OPERATION     equ 0
ENTRY_SEGMENTS      equ 1
ENTRY_DEVICE        equ 2
ENTRY_ID            equ 8
ENTRY_SECTOR        equ 16
ENTRY_FIRST_SEGMENT equ 24              ; grant, first sector, last sector: 8 bytes each
ENTRY_STATUS        equ 10              ; of the response, which takes the request's place
MAX_SEGMENTS        equ 11
OPERATION_READ      equ 0
OPERATION_WRITE     equ 1

GRANT_ENTRY         equ 8               ; u16 flags, u16 domain, u32 frame
GTF_PERMIT_DOM0     equ 1
FIRST_GRANT         equ 8               ; those below are Xen's own use

EVTCHNOP_send       equ 4
SCHEDOP_poll        equ 3
SECTOR_SHIFT        equ 9
SECTOR_BITS         equ 511
PAGE_BITS           equ 4095
PAGE_MASK           equ -4096
NO_FRAME            equ 0xffffffff
PAGE_SECTORS        equ 8
MOST_SECTORS        equ 128             ; of one operation

; edi: first sector, esi: how many, rdx: buffer -> rax: 0, or 1
pv_block_read:
    mov   eax, OPERATION_READ
    jmp   transfer
pv_block_write:
    mov   eax, OPERATION_WRITE
transfer:
    push  rcx
    push  rdx
    push  rbx
    push  rbp
    push  rsi
    push  rdi
    push  r8
    push  r9
    push  r10
    push  r12
    push  r13
    push  r14
    push  r15
    mov   ebx, eax                      ; operation
    lea   eax, [rsi - 1]
    cmp   eax, MOST_SECTORS
    jae   failed
    mov   r12d, edi                     ; next sector
    mov   r13d, esi                     ; sectors left
    mov   r14, rdx                      ; where they go
    ; The event is polled for, never taken as an upcall.
    bts   dword [EVENTS_MASKED], XEN_BLOCK_PORT
    test  r14d, SECTOR_BITS
    jnz   bounce
.request:
    test  r13d, r13d
    jz    transferred
    call  new_request
    xor   ecx, ecx                      ; segments so far
.segment:
    mov   rax, r14
    call  add_segment
    mov   eax, edx                      ; sectors in it
    shl   eax, SECTOR_SHIFT
    add   r14, rax
    sub   r13d, edx
    jz    .send
    cmp   ecx, MAX_SEGMENTS
    jb    .segment
.send:
    call  send_request
    jz    .request
    jmp   failed

; A page at a time by way of XEN_BLOCK_BOUNCE
bounce:
    test  r13d, r13d
    jz    transferred
    cmp   ebx, OPERATION_WRITE
    jne   .filled
    call  this_much
    mov   rsi, r14
    mov   edi, XEN_BLOCK_BOUNCE
    rep movsb
.filled:
    call  new_request
    xor   ecx, ecx
    mov   eax, XEN_BLOCK_BOUNCE
    call  add_segment
    push  rdx
    call  send_request
    pop   rdx
    jnz   failed
    call  this_much
    cmp   ebx, OPERATION_READ
    jne   .emptied
    mov   esi, XEN_BLOCK_BOUNCE
    mov   rdi, r14
    rep movsb
    call  this_much
.emptied:
    add   r14, rcx
    sub   r13d, edx
    jmp   bounce

transferred:
    xor   eax, eax
    jmp   leave_transfer
failed:
    mov   eax, 1
leave_transfer:
    pop   r15
    pop   r14
    pop   r13
    pop   r12
    pop   r10
    pop   r9
    pop   r8
    pop   rdi
    pop   rsi
    pop   rbp
    pop   rbx
    pop   rdx
    pop   rcx
    ret

; -> ecx: bytes of the next page through the bounce buffer, edx: sectors. Changes nothing else.
this_much:
    mov   edx, PAGE_SECTORS
    cmp   r13d, edx
    cmovb edx, r13d
    mov   ecx, edx
    shl   ecx, SECTOR_SHIFT
    cld
    ret

; -> rbp: the next request, begun
new_request:
    mov   ebp, [XEN_BLOCK_PRODUCED]
    and   ebp, RING_MASK
    imul  ebp, ebp, ENTRY_SIZE
    add   ebp, RING_ENTRIES
    mov   [rbp + ENTRY_OPERATION], bl
    mov   byte [rbp + ENTRY_SEGMENTS], 0
    mov   word [rbp + ENTRY_DEVICE], 0
    mov   eax, [XEN_BLOCK_PRODUCED]
    mov   [rbp + ENTRY_ID], rax
    mov   [rbp + ENTRY_SECTOR], r12
    ret

; rax: sector-aligned address, rcx: number of the segment, r13d: sectors wanted -> edx: sectors taken, up to the end of the
; page; rcx and r12 go on. The buffer may be mapped anywhere: its tables tell the frame. Changes rax, rdi, rsi, r8-r10.
add_segment:
    mov   esi, eax
    and   esi, PAGE_BITS
    shr   esi, SECTOR_SHIFT             ; first sector of the page
    mov   edx, PAGE_SECTORS
    sub   edx, esi
    cmp   edx, r13d
    cmova edx, r13d
    push  rdx
    mov   rdi, rax
    and   rdi, PAGE_MASK
    call  find_mapped
    mov   eax, NO_FRAME                 ; not mapped: Xen refuses the grant, and the request fails
    jc    .have_frame
    mov   rax, [rdx]
    shl   rax, 12                       ; bits 12 to 51 of the entry
    shr   rax, 24
.have_frame:
    pop   rdx
    lea   edi, [rcx + FIRST_GRANT]
    mov   [XEN_GRANT_TABLE + rdi * GRANT_ENTRY + 4], eax
    mov   dword [XEN_GRANT_TABLE + rdi * GRANT_ENTRY], GTF_PERMIT_DOM0
    mov   [rbp + rcx * 8 + ENTRY_FIRST_SEGMENT], edi
    mov   [rbp + rcx * 8 + ENTRY_FIRST_SEGMENT + 4], sil
    lea   eax, [rsi + rdx - 1]
    mov   [rbp + rcx * 8 + ENTRY_FIRST_SEGMENT + 5], al
    inc   ecx
    mov   [rbp + ENTRY_SEGMENTS], cl
    add   r12d, edx
    ret

; Puts the request on the ring, tells the back end, waits for the answer. Zero flag: it went well. Changes rax, rcx, rdx, rdi,
; rsi, r8, r10.
send_request:
    mov   eax, [XEN_BLOCK_PRODUCED]
    inc   eax
    mov   [XEN_BLOCK_PRODUCED], eax
    mov   [RING_RSP_EVENT], eax         ; tell us of this answer
    mov   [RING_REQ_PROD], eax
    mov   dword [XEN_REQUEST], XEN_BLOCK_PORT
    mov   edi, EVTCHNOP_send
    mov   esi, XEN_REQUEST
    hypercall event_channel_op
    test  rax, rax
    jnz   .revoke                       ; no such disk
.wait:
    mov   eax, [XEN_BLOCK_PRODUCED]
    cmp   [RING_RSP_PROD], eax
    je    .answered
    mov   qword [XEN_REQUEST], XEN_REQUEST + 24
    mov   qword [XEN_REQUEST + 8], 1    ; ports
    mov   qword [XEN_REQUEST + 16], 0   ; no timeout
    mov   dword [XEN_REQUEST + 24], XEN_BLOCK_PORT
    mov   edi, SCHEDOP_poll
    mov   esi, XEN_REQUEST
    hypercall sched_op
    btr   dword [EVENTS_PENDING], XEN_BLOCK_PORT
    jmp   .wait
.answered:
    btr   dword [EVENTS_PENDING], XEN_BLOCK_PORT
    movsx eax, word [rbp + ENTRY_STATUS]
.revoke:
    mov   ecx, MAX_SEGMENTS
    mov   edi, XEN_GRANT_TABLE + FIRST_GRANT * GRANT_ENTRY
.grant:
    mov   qword [rdi], 0
    add   edi, GRANT_ENTRY
    dec   ecx
    jnz   .grant
    test  eax, eax
    ret
