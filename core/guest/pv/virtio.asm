; One virtqueue of a virtio-mmio device, with requests one at a time and no interrupts: the driver looks at the used ring.
; virtio 1.2: 2.7 (split virtqueues), 3.1.1 (initialization), 4.2.2 (registers).

VIRTIO_DRIVER_FEATURES      equ 0x020
VIRTIO_DRIVER_FEATURES_SEL  equ 0x024
VIRTIO_QUEUE_SEL            equ 0x030
VIRTIO_QUEUE_NUM_MAX        equ 0x034
VIRTIO_QUEUE_NUM            equ 0x038
VIRTIO_QUEUE_READY          equ 0x044
VIRTIO_QUEUE_NOTIFY         equ 0x050
VIRTIO_STATUS               equ 0x070
VIRTIO_QUEUE_DESC           equ 0x080
VIRTIO_QUEUE_DRIVER         equ 0x090
VIRTIO_QUEUE_DEVICE         equ 0x0a0

STATUS_ACKNOWLEDGE          equ 1
STATUS_DRIVER               equ 2
STATUS_DRIVER_OK            equ 4
STATUS_FEATURES_OK          equ 8
STATUS_NEEDS_RESET          equ 64
FEATURES_HIGH_VERSION_1     equ 1       ; VIRTIO_F_VERSION_1 is bit 32
AVAIL_NO_INTERRUPT          equ 1
USED_NO_NOTIFY              equ 1

QUEUE_SIZE                  equ 8
RING_AVAIL                  equ 0x100   ; after the descriptors: flags, index, then heads
RING_USED                   equ 0x200   ; flags, index, then elements
MOST_POLLS                  equ 100000  ; then the device is taken for broken

; rdi: registers, esi: queue, rdx: ring -> carry: refused. Changes rax.
virtio_setup:
    mov   dword [rdi + VIRTIO_STATUS], 0
    mov   dword [rdi + VIRTIO_STATUS], STATUS_ACKNOWLEDGE
    mov   dword [rdi + VIRTIO_STATUS], STATUS_ACKNOWLEDGE | STATUS_DRIVER
    mov   dword [rdi + VIRTIO_DRIVER_FEATURES_SEL], 1
    mov   dword [rdi + VIRTIO_DRIVER_FEATURES], FEATURES_HIGH_VERSION_1
    mov   dword [rdi + VIRTIO_STATUS], STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK
    mov   eax, [rdi + VIRTIO_STATUS]
    test  al, STATUS_FEATURES_OK
    jz    .refused
    mov   [rdi + VIRTIO_QUEUE_SEL], esi
    mov   eax, [rdi + VIRTIO_QUEUE_NUM_MAX]
    cmp   eax, QUEUE_SIZE
    jb    .refused
    mov   dword [rdi + VIRTIO_QUEUE_NUM], QUEUE_SIZE
    ; The high halves of the addresses are zero after a reset.
    mov   word [rdx + RING_AVAIL], AVAIL_NO_INTERRUPT
    mov   [rdi + VIRTIO_QUEUE_DESC], edx
    lea   eax, [rdx + RING_AVAIL]
    mov   [rdi + VIRTIO_QUEUE_DRIVER], eax
    lea   eax, [rdx + RING_USED]
    mov   [rdi + VIRTIO_QUEUE_DEVICE], eax
    mov   dword [rdi + VIRTIO_QUEUE_READY], 1
    mov   dword [rdi + VIRTIO_STATUS], STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK
    clc
    ret
.refused:
    stc
    ret

; Offers the chain that starts at descriptor 0, and waits until it is used.
; rdi: registers, esi: queue, rdx: ring -> carry: never used. Changes rax, rcx.
virtio_request:
    movzx eax, word [rdx + RING_AVAIL + 2]
    mov   ecx, eax
    and   ecx, QUEUE_SIZE - 1
    mov   word [rdx + RING_AVAIL + 4 + rcx * 2], 0
    inc   eax
    mov   [rdx + RING_AVAIL + 2], ax    ; x86 keeps stores in order: the head is seen before the index
    mfence                              ; and the index before what the device says of notifications
    test  byte [rdx + RING_USED], USED_NO_NOTIFY
    jnz   .wait
    mov   [rdi + VIRTIO_QUEUE_NOTIFY], esi
.wait:
    mov   ecx, MOST_POLLS
.poll:
    cmp   [rdx + RING_USED + 2], ax
    je    .used
    pause
    dec   ecx
    jnz   .poll
    stc
    ret
.used:
    clc
    ret
