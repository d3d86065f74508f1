; The first disk by programmed I/O on the primary ATA channel: 28-bit LBA, polled, a word at a time.
; ATA/ATAPI-6, 7.15 (registers), 8.34 READ SECTORS, 8.62 WRITE SECTORS.

ATA_DATA        equ 0x1f0
ATA_COUNT       equ 0x1f2
ATA_LBA_LOW     equ 0x1f3
ATA_LBA_MID     equ 0x1f4
ATA_LBA_HIGH    equ 0x1f5
ATA_DEVICE      equ 0x1f6
ATA_STATUS      equ 0x1f7               ; reads; writes are the command register
ATA_CONTROL     equ 0x3f6

DEVICE_LBA      equ 0xe0                ; LBA addressing, device 0
CONTROL_NIEN    equ 0x02                ; no interrupts: this driver polls
STATUS_ERR      equ 0x01
STATUS_DRQ      equ 0x08
STATUS_DF       equ 0x20
STATUS_BSY      equ 0x80
NO_DEVICE       equ 0xff                ; what a channel without a device reads as
READ_SECTORS    equ 0x20
WRITE_SECTORS   equ 0x30
SECTOR_WORDS    equ 256
MOST_SECTORS    equ 128

; edi: first sector, esi: count, rdx: buffer -> rax: 0, or 1
pv_block_read:
    push  rcx
    push  rdx
    push  rsi
    push  rdi
    push  r8
    mov   r8, rdx
    mov   al, READ_SECTORS
    call  ata_command
    jc    ata_failed
    mov   rdi, r8
    cld
.sector:
    call  ata_ready
    jc    ata_failed
    test  al, STATUS_DRQ
    jz    ata_failed
    mov   dx, ATA_DATA
    mov   ecx, SECTOR_WORDS
    rep insw
    dec   esi
    jnz   .sector
ata_done:
    xor   eax, eax
ata_return:
    pop   r8
    pop   rdi
    pop   rsi
    pop   rdx
    pop   rcx
    ret
ata_failed:
    mov   eax, 1
    jmp   ata_return

pv_block_write:
    push  rcx
    push  rdx
    push  rsi
    push  rdi
    push  r8
    mov   r8, rdx
    mov   al, WRITE_SECTORS
    call  ata_command
    jc    ata_failed
    mov   edi, esi                      ; OUTSW takes RSI
    mov   rsi, r8
    cld
.sector:
    call  ata_ready
    jc    ata_failed
    test  al, STATUS_DRQ
    jz    ata_failed
    mov   dx, ATA_DATA
    mov   ecx, SECTOR_WORDS
    rep outsw
    dec   edi
    jnz   .sector
    call  ata_ready                     ; the last sector is taken
    jc    ata_failed
    jmp   ata_done

; al: command, edi: first sector, esi: count. Carry: refused. Changes rax, rcx, rdx.
ata_command:
    lea   ecx, [rsi - 1]
    cmp   ecx, MOST_SECTORS
    jae   .refused
    push  rax
    mov   dx, ATA_CONTROL
    mov   al, CONTROL_NIEN
    out   dx, al
    mov   dx, ATA_DEVICE
    mov   eax, edi
    shr   eax, 24
    cmp   eax, 0x0f                     ; 28 bits of sector number
    ja    .too_far
    or    al, DEVICE_LBA
    out   dx, al
    call  ata_idle
    jc    .too_far
    mov   dx, ATA_COUNT
    mov   eax, esi
    out   dx, al
    mov   eax, edi
    inc   dx                            ; low, middle, high
    out   dx, al
    inc   dx
    shr   eax, 8
    out   dx, al
    inc   dx
    shr   eax, 8
    out   dx, al
    pop   rax
    mov   dx, ATA_STATUS
    out   dx, al
    clc
    ret
.too_far:
    pop   rax
.refused:
    stc
    ret

; Waits until the device is not busy. -> al: status; carry: it reports an error, or isn't there. Changes rdx.
ata_ready:
    call  ata_idle
    jc    .error
    test  al, STATUS_ERR | STATUS_DF
    jnz   .error
    clc
    ret
.error:
    stc
    ret

; The same, but an error is none: the last command may have left it.
ata_idle:
    mov   dx, ATA_STATUS
.poll:
    in    al, dx
    cmp   al, NO_DEVICE
    je    .missing
    test  al, STATUS_BSY
    jnz   .poll
    clc
    ret
.missing:
    stc
    ret
