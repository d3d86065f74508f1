; The first disk over virtio-blk: a chain of three descriptors (header, data, status) and a notification a request.
; virtio 1.2, 5.2.6.

REQUESTQ        equ 0
BLK_T_IN        equ 0
BLK_T_OUT       equ 1
BLK_S_OK        equ 0
DESC_NEXT       equ 1
DESC_WRITE      equ 2                   ; the device writes
REQUEST_TYPE    equ BLOCK_REQUEST
REQUEST_SECTOR  equ BLOCK_REQUEST + 8
REQUEST_STATUS  equ BLOCK_REQUEST + 16
REQUEST_HEADER  equ 16                  ; bytes
SECTOR_SHIFT    equ 9
MOST_SECTORS    equ 128
BOUNCE_SECTORS  equ BLOCK_BOUNCE_SIZE >> SECTOR_SHIFT

; edi: first sector, esi: count, rdx: buffer -> rax: 0, or 1
pv_block_read:
    mov   eax, BLK_T_IN
    jmp   transfer
pv_block_write:
    mov   eax, BLK_T_OUT
transfer:
    push  rbx
    push  rcx
    push  rdx
    push  rsi
    push  rdi
    push  r8
    push  r9
    push  r10
    cld
    mov   [REQUEST_TYPE], eax
    mov   ebx, edi                      ; next sector
    mov   r8d, esi                      ; sectors to go
    mov   r9, rdx                       ; next byte of the buffer
    mov   eax, 1
    lea   ecx, [rsi - 1]
    cmp   ecx, MOST_SECTORS
    jae   .return
    cmp   byte [BLOCK_READY], 0
    jne   .more
    mov   edi, VIRTIO_BLOCK
    mov   esi, REQUESTQ
    mov   edx, BLOCK_RING
    call  virtio_setup
    mov   eax, 1
    jc    .return
    mov   byte [BLOCK_READY], 1
.more:
    mov   r10d, BOUNCE_SECTORS
    cmp   r8d, r10d
    cmovb r10d, r8d
    mov   [REQUEST_SECTOR], rbx
    mov   byte [REQUEST_STATUS], 0xff
    call  describe
    cmp   dword [REQUEST_TYPE], BLK_T_OUT
    jne   .submit
    mov   rsi, r9
    mov   edi, BLOCK_BOUNCE
    call  copy
    mov   r9, rsi
.submit:
    mov   edi, VIRTIO_BLOCK
    mov   esi, REQUESTQ
    mov   edx, BLOCK_RING
    call  virtio_request
    mov   eax, 1
    jc    .return
    cmp   byte [REQUEST_STATUS], BLK_S_OK
    jne   .return
    cmp   dword [REQUEST_TYPE], BLK_T_IN
    jne   .next
    mov   esi, BLOCK_BOUNCE
    mov   rdi, r9
    call  copy
    mov   r9, rdi
.next:
    add   ebx, r10d
    sub   r8d, r10d
    jnz   .more
    xor   eax, eax
.return:
    pop   r10
    pop   r9
    pop   r8
    pop   rdi
    pop   rsi
    pop   rdx
    pop   rcx
    pop   rbx
    ret

; Writes the chain for r10d sectors. Changes rax, rcx.
describe:
    mov   eax, BLOCK_REQUEST
    mov   [BLOCK_RING], rax
    mov   dword [BLOCK_RING + 8], REQUEST_HEADER
    mov   dword [BLOCK_RING + 12], DESC_NEXT | 1 << 16
    mov   eax, BLOCK_BOUNCE
    mov   [BLOCK_RING + 16], rax
    mov   eax, r10d
    shl   eax, SECTOR_SHIFT
    mov   [BLOCK_RING + 24], eax
    mov   eax, DESC_NEXT | 2 << 16
    mov   ecx, DESC_NEXT | DESC_WRITE | 2 << 16
    cmp   dword [REQUEST_TYPE], BLK_T_IN
    cmove eax, ecx
    mov   [BLOCK_RING + 28], eax
    mov   eax, REQUEST_STATUS
    mov   [BLOCK_RING + 32], rax
    mov   dword [BLOCK_RING + 40], 1
    mov   dword [BLOCK_RING + 44], DESC_WRITE
    ret

; Copies r10d sectors from rsi to rdi, and moves both on. Changes rcx.
copy:
    mov   ecx, r10d
    shl   ecx, SECTOR_SHIFT - 3
    rep movsq
    ret
