; The timer of the local APIC: deadlines by MSR, periods by its counter, and the end of interrupt by KVM's shared word
; where that is offered, which saves leaving the guest. SDM vol. 3, 11.5.4; Linux, Documentation/virt/kvm/x86/msr.rst.

APIC_EOI                equ LAPIC_BASE + 0x0b0
APIC_SPURIOUS           equ LAPIC_BASE + 0x0f0
APIC_LVT_TIMER          equ LAPIC_BASE + 0x320
APIC_INITIAL_COUNT      equ LAPIC_BASE + 0x380
APIC_DIVIDE             equ LAPIC_BASE + 0x3e0
SPURIOUS_ENABLE         equ 0x1ff       ; APIC on, spurious vector 0xff
DIVIDE_BY_1             equ 0x0b        ; KVM's APIC counts nanoseconds
LVT_MASKED              equ 1 << 16
LVT_PERIODIC            equ 1 << 17
LVT_TSC_DEADLINE        equ 2 << 17
TIMER_VECTOR            equ 0x40
MSR_TSC_DEADLINE        equ 0x6e0

KVM_FEATURE_PV_EOI      equ 6           ; bit
MSR_KVM_PV_EOI_EN       equ 0x4b564d04
MSR_ENABLE              equ 1
EOI_PENDING             equ 0           ; bit of the shared word: set, no end of interrupt is needed but to clear it

TIMER_OFF               equ 0
TIMER_ONCE              equ 1
TIMER_EVERY             equ 2
FARTHEST_NS             equ 1 << 61

; rdi: when, rsi: handler
pv_timer_set:
    push  rax
    push  rcx
    push  rdx
    call  timer_setup
    mov   [TIMER_DEADLINE], rdi
    mov   eax, TIMER_VECTOR | LVT_TSC_DEADLINE
    call  set_mode
    mov   qword [TIMER_MODE], TIMER_ONCE
    call  pv_time_now
    mov   rdx, rax
    mov   rax, rdi
    sub   rax, rdx
    jbe   .past
    mov   rdx, FARTHEST_NS
    cmp   rax, rdx
    cmova rax, rdx
    call  clock_counts
    jmp   .arm
.past:
    xor   eax, eax
.arm:
    mov   rcx, rax
    rdtsc
    shl   rdx, 32
    or    rax, rdx
    add   rax, rcx
    mov   rdx, rax
    shr   rdx, 32
    mov   ecx, MSR_TSC_DEADLINE
    wrmsr
    pop   rdx
    pop   rcx
    pop   rax
    ret

; edi: period, rsi: handler
pv_timer_periodic:
    push  rax
    push  rcx
    push  rdx
    call  timer_setup
    mov   eax, TIMER_VECTOR | LVT_PERIODIC
    call  set_mode
    mov   qword [TIMER_MODE], TIMER_EVERY
    mov   eax, APIC_INITIAL_COUNT       ; device addresses do not fit a signed displacement
    mov   [rax], edi
    pop   rdx
    pop   rcx
    pop   rax
    ret

pv_timer_stop:
    push  rax
    push  rcx
    mov   qword [TIMER_MODE], TIMER_OFF
    cmp   dword [LAPIC_READY], 0
    je    .done                         ; never set
    mov   eax, LVT_MASKED | TIMER_VECTOR
    call  set_mode
.done:
    pop   rcx
    pop   rax
    ret

; eax: LVT entry; written only if it is another one than last time. Changes rcx.
set_mode:
    cmp   [LAPIC_READY + 4], eax
    je    .done
    mov   [LAPIC_READY + 4], eax
    mov   ecx, APIC_LVT_TIMER
    mov   [rcx], eax
    mfence                              ; before a deadline is written: SDM vol. 3, 11.5.4.1
.done:
    ret

; rsi: handler. Switches the APIC on and sets the vector up, once. Changes rax, rcx, rdx.
timer_setup:
    mov   [TIMER_HANDLER], rsi
    cmp   dword [LAPIC_READY], 0
    jne   .done
    mov   dword [LAPIC_READY], 1
    mov   eax, APIC_SPURIOUS
    mov   dword [rax], SPURIOUS_ENABLE
    mov   eax, APIC_DIVIDE
    mov   dword [rax], DIVIDE_BY_1
    push  rdi
    push  rsi
    mov   edi, TIMER_VECTOR
    mov   esi, timer_interrupt
    call  pv_trap_set
    pop   rsi
    pop   rdi
    call  kvm_features
    bt    eax, KVM_FEATURE_PV_EOI
    jnc   .done
    mov   ecx, MSR_KVM_PV_EOI_EN
    mov   eax, KVM_EOI | MSR_ENABLE
    xor   edx, edx
    wrmsr
.done:
    ret

; Called as a trap handler. The end of interrupt comes first: the guest's handler need not return (user_exit).
timer_interrupt:
    btr   dword [KVM_EOI], EOI_PENDING
    jc    .ended
    mov   eax, APIC_EOI
    mov   dword [rax], 0
.ended:
    mov   rax, [TIMER_MODE]
    test  eax, eax
    jz    .stale                        ; stopped while it was pending
    cmp   eax, TIMER_ONCE
    jne   .call
    call  pv_time_now
    cmp   rax, [TIMER_DEADLINE]
    jb    .stale                        ; replaced while it was pending
    mov   qword [TIMER_MODE], TIMER_OFF
.call:
    jmp   [TIMER_HANDLER]
.stale:
    ret
