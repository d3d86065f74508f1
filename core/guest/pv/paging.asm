; Page tables of the guest's own, 4-level (SDM vol. 3, 4.5), edited in place: they are identity-mapped and writable.

PTE_P           equ 1 << 0
PTE_RW          equ 1 << 1
PTE_US          equ 1 << 2
PTE_PS          equ 1 << 7
PTE_INNER       equ PTE_P | PTE_RW | PTE_US     ; the leaf alone decides who may do what
PTE_KERNEL      equ PTE_P | PTE_RW
PTE_USER        equ PTE_P | PTE_RW | PTE_US
PAGE_SIZE       equ 4096
LOW_BITS        equ PAGE_SIZE - 1
PAGE_MASK       equ -PAGE_SIZE
TOP_SHIFT       equ 39                          ; of the index into the top-level table
LEAF_SHIFT      equ 12
CANONICAL_SHIFT equ 47                          ; this bit and all above are equal
LARGE_SHIFT     equ 21                          ; of the level that may map a large page

; -> rax: a frame, or 0. RAM is zero when the machine starts, and none is handed out twice.
pv_alloc_frame:
    mov   rax, [PV_NEXT_FRAME]
    cmp   rax, [PV_FRAMES_END]
    jae   .none
    add   qword [PV_NEXT_FRAME], PAGE_SIZE
    ret
.none:
    xor   eax, eax
    ret

; rdi: linear address, rsi: frame -> rax: 0, or 1
pv_map_user:
    push  rcx
    mov   ecx, PTE_USER
    jmp   map
pv_map_page:
    push  rcx
    mov   ecx, PTE_KERNEL
map:
    push  rdx
    test  esi, LOW_BITS
    jnz   refused
    call  find_entry
    jc    refused
    or    rcx, rsi
    mov   rax, [rdx]
    mov   [rdx], rcx
    test  al, PTE_P
    jz    changed                       ; what was not present is cached nowhere: SDM vol. 3, 4.10.4.3
flush:
    invlpg [rdi]
changed:
    xor   eax, eax
    pop   rdx
    pop   rcx
    ret
refused:
    mov   eax, 1
    pop   rdx
    pop   rcx
    ret

; rdi: linear address -> rax: 0, or 1
pv_protect_page:
    push  rcx
    push  rdx
    call  find_entry
    jc    refused
    test  byte [rdx], PTE_P
    jz    refused
    and   qword [rdx], -1 - PTE_RW
    jmp   flush

pv_unmap_page:
    push  rcx
    push  rdx
    call  find_entry
    jc    refused
    test  byte [rdx], PTE_P
    jz    refused
    mov   qword [rdx], 0
    jmp   flush

; -> rax: a top-level table that shares the first entry (512 GiB), or 0
pv_new_space:
    push  rdx
    call  pv_alloc_frame
    test  rax, rax
    jz    .done
    mov   rdx, cr3
    mov   rdx, [rdx]
    mov   [rax], rdx
.done:
    pop   rdx
    ret

; rdi: linear address -> rdx: address of its leaf entry; carry: not a page's address, or no frame left for a table.
; Makes the tables on the way, and takes large pages apart. Changes rax.
find_entry:
    test  edi, LOW_BITS
    jnz   .refused
    mov   rax, rdi
    sar   rax, CANONICAL_SHIFT          ; 0 or -1 if canonical
    inc   rax
    cmp   rax, 1
    ja    .refused
    push  rcx
    push  rsi
    mov   rdx, cr3
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
    test  sil, PTE_PS
    jnz   .split
.enter:
    mov   rdx, rsi
    and   rdx, PAGE_MASK               ; bits 52 and up are clear in every entry made here
    sub   ecx, 9
    jmp   .level
.make:
    call  pv_alloc_frame
    test  rax, rax
    jz    .out_of_frames
    lea   rsi, [rax + PTE_INNER]
    mov   [rdx], rsi
    jmp   .enter
.split:                                 ; a large page becomes a table that says the same
    call  split_large
    jnc   .enter
.out_of_frames:
    pop   rsi
    pop   rcx
.refused:
    stc
    ret
.found:
    pop   rsi
    pop   rcx
    clc
    ret

; rdx: address of the entry that maps a 2 MiB page, rsi: that entry -> rsi: the new entry; carry: no frame. Changes rax.
split_large:
    cmp   ecx, LARGE_SHIFT
    jne   .none                         ; 1 GiB pages: the loader makes none
    call  pv_alloc_frame
    test  rax, rax
    jz    .none
    push  rcx
    push  rdi
    mov   rdi, rax
    and   rsi, -1 - PTE_PS
    mov   ecx, 512
.fill:
    mov   [rdi], rsi
    add   rsi, PAGE_SIZE
    add   rdi, 8
    dec   ecx
    jnz   .fill
    pop   rdi
    pop   rcx
    lea   rsi, [rax + PTE_INNER]
    mov   [rdx], rsi
    clc
    ret
.none:
    stc
    ret
