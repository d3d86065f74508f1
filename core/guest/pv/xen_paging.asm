; Address spaces: the pv-ops over `xen_tables.asm`.

PTE_P           equ 1 << 0
PTE_RW          equ 1 << 1
PTE_PAGE        equ 7                   ; present, writable, and for CPL 3, where the kernel is too
LOW_BITS        equ 4095
LEAF_SHIFT      equ 12
USER_LINK       equ 511 * 8             ; as in xen_tables.asm

UVMF_INVLPG         equ 2
MMUEXT_NEW_BASEPTR  equ 5
MMUEXT_TLB_FLUSH    equ 6
MMUEXT_NEW_USER     equ 15
MMUEXT_SIZE         equ 24

%macro enter_op 0
    push  rcx
    push  rdx
    push  rbx
    push  rbp
    push  rsi
    push  rdi
    push  r8
    push  r9
    push  r10
%endmacro

%macro leave_op 0
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
%endmacro

; rdi: linear address, rsi: frame -> rax: 0, or 1
pv_map_page:
    enter_op
    call  map_kernel
    jc    refused
    call  unmap_user
    jmp   done

pv_map_user:
    enter_op
    call  map_kernel
    jc    refused
    call  user_table
    test  rax, rax
    jz    refused
    mov   r8, rax
    mov   r9d, alloc_last_frame
    call  find_entry
    jc    refused
    lea   rbx, [rsi + PTE_PAGE]
    call  update_one
    jc    refused
done:
    xor   eax, eax
    leave_op
refused:
    mov   eax, 1
    leave_op

; rdi: linear address -> rax: 0, or 1
pv_protect_page:
    enter_op
    call  find_mapped
    jc    refused
    mov   rsi, [rdx]
    and   rsi, -1 - PTE_RW
    call  update_va
    jc    refused
    call  find_user
    jc    done
    mov   rbx, [rdx]
    and   rbx, -1 - PTE_RW
    call  update_one
    jmp   done

pv_unmap_page:
    enter_op
    call  find_mapped
    jc    refused
    xor   esi, esi
    call  update_va
    jc    refused
    call  unmap_user
    jmp   done

; -> rax: a top-level table that shares the first entry (512 GiB), or 0
pv_new_space:
    enter_op
    call  user_table                    ; user mode shares its part too
    mov   rbx, rax
    test  rax, rax
    jz    .none
    call  alloc_last_frame
    mov   rbp, rax
    test  rax, rax
    jz    .none
    call  pv_alloc_frame
    test  rax, rax
    jz    .none
    mov   rdx, [rbx]
    mov   [rbp], rdx
    mov   rdx, [START_PT_BASE]
    mov   rdx, [rdx]
    mov   [rax], rdx
    mov   [rax + USER_LINK], rbp
    xor   ecx, ecx
    call  request_read_only
    xchg  rax, rbp
    call  request_read_only
    xchg  rax, rbp
    call  update
    jc    .none
    mov   rbx, rax
    call  pin_top
    mov   rax, rbp
    call  pin_top
    mov   rax, rbx
    leave_op
.none:
    xor   eax, eax
    leave_op

; rdi: top-level table
pv_switch_space:
    push  rax
    enter_op
    mov   rbx, rdi
    mov   dword [XEN_REQUEST], MMUEXT_NEW_BASEPTR
    shr   rdi, LEAF_SHIFT
    mov   [XEN_REQUEST + 8], rdi
    mov   esi, 1
    mov   rdi, [rbx + USER_LINK]
    cmp   rdi, [XEN_USER_TABLE]
    je    .same_user
    mov   [XEN_USER_TABLE], rdi
    mov   dword [XEN_REQUEST + MMUEXT_SIZE], MMUEXT_NEW_USER
    shr   rdi, LEAF_SHIFT
    mov   [XEN_REQUEST + MMUEXT_SIZE + 8], rdi
    inc   esi
.same_user:
    call  mmuext
    mov   [START_PT_BASE], rbx
    jmp   leave_with_rax

pv_tlb_flush:
    push  rax
    enter_op
    mov   dword [XEN_REQUEST], MMUEXT_TLB_FLUSH
    mov   esi, 1
    call  mmuext
leave_with_rax:
    pop   r10
    pop   r9
    pop   r8
    pop   rdi
    pop   rsi
    pop   rbp
    pop   rbx
    pop   rdx
    pop   rcx
    pop   rax
    ret

; What follows is for use between enter_op and leave_op, and may change rax, rcx, rdx, r8, r9, r10.

; rdi: linear address, rsi: frame. Carry: refused.
map_kernel:
    test  esi, LOW_BITS
    jnz   .fail
    mov   r8, [START_PT_BASE]
    mov   r9d, pv_alloc_frame
    call  find_entry
    jc    .fail
    push  rsi
    add   rsi, PTE_PAGE
    call  update_va
    pop   rsi
    ret
.fail:
    stc
    ret

; rdi: linear address, rsi: the new entry. Carry: refused.
update_va:
    push  rdi
    push  rsi
    mov   edx, UVMF_INVLPG
    hypercall update_va_mapping
    pop   rsi
    pop   rdi
    neg   rax                           ; carry unless 0
    ret

; rdi: linear address
unmap_user:
    call  find_user
    jc    .done
    xor   ebx, ebx
    call  update_one
.done:
    ret
