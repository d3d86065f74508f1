; Page tables under direct paging: they can be read, and only Xen changes them, having checked what is asked for. A frame that
; is to be a table must first be read-only wherever it is mapped. User mode has tables of its own, which lead to the pages of
; map_user and to nothing else; those of a space hang, as an entry that is not present, in the last slot of its top level.

PTE_P           equ 1 << 0
PTE_TABLE       equ 7                   ; present, writable, for user mode: the leaf alone decides
PTE_READ_ONLY   equ 5                   ; how a table is mapped for whoever reads it
PAGE_SIZE       equ 4096
LOW_BITS        equ PAGE_SIZE - 1
TOP_SHIFT       equ 39                  ; of the index into the top-level table
LEAF_SHIFT      equ 12
CANONICAL_SHIFT equ 47                  ; this bit and all above are equal
XEN_FIRST_SLOT  equ 256                 ; of the top level, 256 to 271 are Xen's
XEN_LAST_SLOT   equ 271
USER_LINK_SLOT  equ 511                 ; and the last is ours
USER_LINK       equ USER_LINK_SLOT * 8

MMUEXT_PIN_L4   equ 3
MMUEXT_NEW_USER equ 15

; -> rax: a frame, or 0. RAM is zero when the machine starts, and none is handed out twice.
pv_alloc_frame:
    mov   rax, [PV_NEXT_FRAME]
    cmp   rax, [PV_FRAMES_END]
    jae   no_frame
    add   qword [PV_NEXT_FRAME], PAGE_SIZE
    ret
no_frame:
    xor   eax, eax
    ret

; The same from the other end, for tables that only Xen's interface needs: what a guest gets is the same on all platforms.
alloc_last_frame:
    mov   rax, [PV_FRAMES_END]
    sub   rax, PAGE_SIZE
    cmp   rax, [PV_NEXT_FRAME]
    jb    no_frame
    mov   [PV_FRAMES_END], rax
    ret

; Makes Xen use the current space's tables for user mode. Carry: no frame for them. Changes rax, rdi, rsi, rdx, r10.
use_user_table:
    call  user_table
    cmp   rax, 1
    jb    .done
    cmp   rax, [XEN_USER_TABLE]
    je    .done
    mov   [XEN_USER_TABLE], rax
    mov   dword [XEN_REQUEST], MMUEXT_NEW_USER
    shr   rax, LEAF_SHIFT
    mov   [XEN_REQUEST + 8], rax
    mov   esi, 1
    call  mmuext
.done:
    ret

; rdi: linear address -> rdx: its leaf entry in the kernel's tables. Carry: not mapped.
find_mapped:
    mov   r8, [START_PT_BASE]
    jmp   find_present

; The same in user mode's.
find_user:
    mov   r8, [START_PT_BASE]
    mov   r8, [r8 + USER_LINK]
    test  r8, r8
    jz    fail
find_present:
    xor   r9d, r9d
    call  find_entry
    jc    fail
    test  byte [rdx], PTE_P
    jz    fail
    clc
    ret

; -> rax: top-level table of user mode in the current space; 0: no frame left. Keeps rdi, rsi.
user_table:
    mov   r8, [START_PT_BASE]
    mov   rax, [r8 + USER_LINK]
    test  rax, rax
    jz    .make
    ret
.make:
    push  rbx
    push  rbp
    call  alloc_last_frame
    mov   rbx, rax
    test  rax, rax
    jz    .out
    call  alloc_last_frame
    test  rax, rax
    jz    .out
    lea   rdx, [rax + PTE_TABLE]        ; all spaces share this one, as they do the kernel's first
    mov   [rbx], rdx
    xor   ecx, ecx
    call  request_read_only
    mov   rax, rbx
    call  request_read_only
    lea   rdx, [r8 + USER_LINK]
    call  request
    mov   rbp, rax
    call  update
    mov   rax, rbp
    call  pin_top
    mov   rax, rbp
.out:
    pop   rbp
    pop   rbx
    ret

; r8: top-level table, rdi: linear address, r9: who gives frames for tables, or 0 -> rdx: the leaf entry. Carry: not a
; page's address, or Xen's or ours, or a table is missing. Changes rax, r10.
find_entry:
    test  edi, LOW_BITS
    jnz   fail
    mov   rax, rdi
    sar   rax, CANONICAL_SHIFT          ; 0 or -1 if canonical
    inc   rax
    cmp   rax, 1
    ja    fail
    mov   rax, rdi
    shr   rax, TOP_SHIFT
    and   eax, 511
    cmp   eax, USER_LINK_SLOT
    je    fail
    cmp   eax, XEN_FIRST_SLOT
    jb    .ours
    cmp   eax, XEN_LAST_SLOT
    jbe   fail
.ours:
    push  rcx
    push  rsi
    mov   rdx, r8
    mov   ecx, TOP_SHIFT
.level:
    mov   rax, rdi
    shr   rax, cl
    and   eax, 511
    lea   rdx, [rdx + rax * 8]
    cmp   ecx, LEAF_SHIFT
    je    .found
    mov   rsi, [rdx]
    test  sil, PTE_P
    jz    .make
.enter:
    mov   rdx, rsi
    and   rdx, -1 - LOW_BITS
    sub   ecx, 9
    jmp   .level
.make:
    test  r9, r9
    jz    .missing
    call  r9
    test  rax, rax
    jz    .missing
    call  hook_table
    jc    .missing
    mov   rsi, [rdx]
    jmp   .enter
.found:
    pop   rsi
    pop   rcx
    clc
    ret
.missing:
    pop   rsi
    pop   rcx
fail:
    stc
    ret

; rax: frame of zeros, rdx: entry that is to lead to it. Carry: refused. Changes rax, r10.
hook_table:
    push  rbx
    push  rcx
    push  rdx
    xor   ecx, ecx
    call  request_read_only
    add   rax, PTE_TABLE
    call  request
    call  update
    pop   rdx
    pop   rcx
    pop   rbx
    ret

; Requests to mmu_update are gathered in XEN_REQUEST; rcx: bytes so far.

; rdx: address of an entry, rbx: its new value. Carry: refused. Changes rax, rcx, r10.
update_one:
    mov   rax, rbx
    xor   ecx, ecx
    call  request
    jmp   update

; rdx: address of an entry, rax: its new value
request:
    mov   [XEN_REQUEST + rcx], rdx
    mov   [XEN_REQUEST + rcx + 8], rax
    add   ecx, 16
    ret

; rax: frame that is to be read-only where RAM is mapped at its own address
request_read_only:
    push  rdx
    push  rdi
    push  r8
    push  r9
    push  rax
    mov   rdi, rax
    mov   r8, [START_PT_BASE]
    xor   r9d, r9d
    call  find_entry
    mov   rax, [rsp]
    add   rax, PTE_READ_ONLY
    call  request
    pop   rax
    pop   r9
    pop   r8
    pop   rdi
    pop   rdx
    ret

; Sends them. Carry: refused. Keeps all but rcx and r10.
update:
    push  rax
    push  rdi
    push  rsi
    push  rdx
    push  r8
    mov   edi, XEN_REQUEST
    mov   esi, ecx
    shr   esi, 4
    xor   edx, edx
    mov   r10d, DOMID_SELF
    hypercall mmu_update
    neg   rax                           ; carry unless 0
    pop   r8
    pop   rdx
    pop   rsi
    pop   rdi
    pop   rax
    ret

; rax: top-level table, which stays checked from now on. Changes rdi, rsi, rdx, r10, rax.
pin_top:
    push  rdi
    push  rsi
    mov   dword [XEN_REQUEST], MMUEXT_PIN_L4
    shr   rax, LEAF_SHIFT
    mov   [XEN_REQUEST + 8], rax
    mov   esi, 1
    call  mmuext
    pop   rsi
    pop   rdi
    ret

; esi: how many operations are in XEN_REQUEST. Carry: refused. Changes rax, rdi, rsi, rdx, r10.
mmuext:
    push  r8
    mov   edi, XEN_REQUEST
    xor   edx, edx
    mov   r10d, DOMID_SELF
    hypercall mmuext_op
    pop   r8
    neg   rax
    ret
