; The console: one hypercall, whatever the length.

CONSOLEIO_write     equ 0

; rsi: text, ecx: length
pv_console_write:
    push  rax
    push  rdi
    push  rsi
    push  rdx
    mov   rdx, rsi
    mov   esi, ecx
    mov   edi, CONSOLEIO_write
    hypercall console_io
    pop   rdx
    pop   rsi
    pop   rdi
    pop   rax
    ret
