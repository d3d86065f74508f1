; Waiting: STI keeps interrupts out for one more instruction, so that none can slip in between it and HLT.

RFLAGS_IF   equ 0x200

pv_wait:
    push  rax
    pushfq
    pop   rax
    sti
    hlt
    test  eax, RFLAGS_IF
    jnz   .unmasked
    cli
.unmasked:
    pop   rax
    ret
