; Console over the 16550 UART at COM1, polled: a byte goes out when the transmitter holding register is empty.
; Register numbers and bits: PC16550D data sheet, table II.

COM1        equ 0x3f8
UART_THR    equ COM1 + 0        ; transmitter holding
UART_DLL    equ COM1 + 0        ; divisor, while LCR has DLAB
UART_DLM    equ COM1 + 1
UART_IER    equ COM1 + 1        ; interrupt enable
UART_FCR    equ COM1 + 2        ; FIFO control
UART_LCR    equ COM1 + 3        ; line control
UART_MCR    equ COM1 + 4        ; modem control
UART_LSR    equ COM1 + 5        ; line status

LCR_DLAB    equ 0x80
LCR_8N1     equ 0x03
FCR_CLEAR   equ 0x07            ; FIFOs on, both cleared
MCR_DTR_RTS equ 0x03
LSR_THRE    equ 0x20
DIVISOR     equ 1               ; 115200 baud

%macro outport 2                ; port, value
    mov   dx, %1
    mov   al, %2
    out   dx, al
%endmacro

pv_console_write:
    push  rax
    push  rcx
    push  rdx
    push  rsi
    cmp   byte [UART_READY], 0
    jne   .check
    call  uart_setup
    jmp   .check
.wait:
    mov   dx, UART_LSR
    in    al, dx
    test  al, LSR_THRE
    jz    .wait
    mov   dx, UART_THR
    mov   al, [rsi]
    out   dx, al
    inc   rsi
    dec   ecx
.check:
    test  ecx, ecx
    jnz   .wait
    pop   rsi
    pop   rdx
    pop   rcx
    pop   rax
    ret

; Changes rax and rdx.
uart_setup:
    outport UART_IER, 0
    outport UART_LCR, LCR_8N1 | LCR_DLAB
    outport UART_DLL, DIVISOR
    outport UART_DLM, 0
    outport UART_LCR, LCR_8N1
    outport UART_FCR, FCR_CLEAR
    outport UART_MCR, MCR_DTR_RTS
    mov   byte [UART_READY], 1
    ret
