; Console over virtio-console's transmit queue: a notification for as much text as the bounce buffer holds.
; virtio 1.2, 5.3.

TRANSMITQ       equ 1

; rsi: text, ecx: length
pv_console_write:
    push  rax
    push  rcx
    push  rdx
    push  rsi
    push  rdi
    push  r8
    cld
    mov   r8d, ecx
    cmp   byte [CONSOLE_READY], 0
    jne   .check
    push  rsi
    mov   edi, VIRTIO_CONSOLE
    mov   esi, TRANSMITQ
    mov   edx, CONSOLE_RING
    call  virtio_setup
    pop   rsi
    jc    .done
    mov   byte [CONSOLE_READY], 1
.check:
    test  r8d, r8d
    jz    .done
    mov   ecx, CONSOLE_BOUNCE_SIZE
    cmp   r8d, ecx
    cmovb ecx, r8d
    sub   r8d, ecx
    ; struct virtq_desc: address, length, flags (none: the device reads), next
    mov   edi, CONSOLE_BOUNCE
    mov   [CONSOLE_RING], rdi
    mov   [CONSOLE_RING + 8], ecx
    mov   dword [CONSOLE_RING + 12], 0
    mov   eax, ecx
    shr   ecx, 3
    rep movsq
    mov   ecx, eax
    and   ecx, 7
    rep movsb
    push  rsi
    mov   edi, VIRTIO_CONSOLE
    mov   esi, TRANSMITQ
    mov   edx, CONSOLE_RING
    call  virtio_request
    pop   rsi
    jnc   .check
.done:
    pop   r8
    pop   rdi
    pop   rsi
    pop   rdx
    pop   rcx
    pop   rax
    ret
