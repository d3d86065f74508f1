; Debug registers, which are Xen's to load.

%macro keep 0
    push  rdi
    push  rsi
    push  rdx
    push  r8
    push  r10
%endmacro

%macro give_back 0
    pop   r10
    pop   r8
    pop   rdx
    pop   rsi
    pop   rdi
    ret
%endmacro

; edi: number, rsi: value
pv_debug_set:
    push  rax
    call  .set
    pop   rax
    ret
.set:
    keep
    hypercall set_debugreg
    give_back

; edi: number -> rax: value
pv_debug_get:
    keep
    hypercall get_debugreg
    give_back
