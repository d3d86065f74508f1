; Debug registers: each has an instruction of its own.

; edi: number, rsi: value
pv_debug_set:
    cmp   edi, 1
    jb    .dr0
    je    .dr1
    cmp   edi, 3
    jb    .dr2
    je    .dr3
    cmp   edi, 6
    je    .dr6
    mov   dr7, rsi
    ret
.dr0:
    mov   dr0, rsi
    ret
.dr1:
    mov   dr1, rsi
    ret
.dr2:
    mov   dr2, rsi
    ret
.dr3:
    mov   dr3, rsi
    ret
.dr6:
    mov   dr6, rsi
    ret

; edi: number -> rax: value
pv_debug_get:
    cmp   edi, 1
    jb    .dr0
    je    .dr1
    cmp   edi, 3
    jb    .dr2
    je    .dr3
    cmp   edi, 6
    je    .dr6
    mov   rax, dr7
    ret
.dr0:
    mov   rax, dr0
    ret
.dr1:
    mov   rax, dr1
    ret
.dr2:
    mov   rax, dr2
    ret
.dr3:
    mov   rax, dr3
    ret
.dr6:
    mov   rax, dr6
    ret
