; KVM's features, and the time by kvmclock: the VMM keeps a page that tells how to turn the time stamp counter into
; nanoseconds, so that asking for the time leaves the guest no more. Linux, Documentation/virt/kvm/x86/{cpuid,msr}.rst.

KVM_CPUID_SIGNATURE     equ 0x40000000
KVM_CPUID_FEATURES      equ 0x40000001
SIGNATURE_EBX           equ 0x4b4d564b  ; "KVMK"
KVM_FEATURE_CLOCKSOURCE2 equ 3          ; bit
MSR_KVM_SYSTEM_TIME_NEW equ 0x4b564d01
MSR_ENABLE              equ 1

; struct pvclock_vcpu_time_info
CLOCK_VERSION           equ KVM_CLOCK           ; odd while it is being changed
CLOCK_TSC_TIMESTAMP     equ KVM_CLOCK + 8
CLOCK_SYSTEM_TIME       equ KVM_CLOCK + 16
CLOCK_MUL               equ KVM_CLOCK + 24      ; nanoseconds are ((tsc << shift) * mul) >> 32
CLOCK_SHIFT             equ KVM_CLOCK + 28      ; signed
ONE_GHZ_MUL             equ 0x80000000          ; of a counter at 1 GHz, with shift 1
ONE_GHZ_SHIFT           equ 1

; -> eax: feature bits, 0 if this is not KVM.
kvm_features:
    cmp   byte [KVM_FEATURES], 0
    jne   .known
    push  rbx
    push  rcx
    push  rdx
    mov   byte [KVM_FEATURES], 1
    mov   eax, KVM_CPUID_SIGNATURE
    xor   ecx, ecx
    cpuid
    cmp   ebx, SIGNATURE_EBX
    jne   .asked
    mov   eax, KVM_CPUID_FEATURES
    xor   ecx, ecx
    cpuid
    mov   [KVM_FEATURES + 4], eax
.asked:
    pop   rdx
    pop   rcx
    pop   rbx
.known:
    mov   eax, [KVM_FEATURES + 4]
    ret

; -> rax: nanoseconds
pv_time_now:
    push  rbx
    push  rcx
    push  rdx
    cmp   byte [CLOCK_READY], 0
    jne   .read
    call  clock_setup
.read:
    mov   ebx, [CLOCK_VERSION]
    test  bl, 1
    jnz   .read
    rdtsc
    shl   rdx, 32
    or    rax, rdx
    sub   rax, [CLOCK_TSC_TIMESTAMP]
    movsx ecx, byte [CLOCK_SHIFT]
    test  ecx, ecx
    js    .right
    shl   rax, cl
    jmp   .scale
.right:
    neg   ecx
    shr   rax, cl
.scale:
    mov   edx, [CLOCK_MUL]
    mul   rdx
    shrd  rax, rdx, 32
    add   rax, [CLOCK_SYSTEM_TIME]
    cmp   ebx, [CLOCK_VERSION]
    jne   .read
    pop   rdx
    pop   rcx
    pop   rbx
    ret

; Changes rax, rcx, rdx.
clock_setup:
    mov   byte [CLOCK_READY], 1
    call  kvm_features
    bt    eax, KVM_FEATURE_CLOCKSOURCE2
    jnc   .none
    mov   ecx, MSR_KVM_SYSTEM_TIME_NEW
    mov   eax, KVM_CLOCK | MSR_ENABLE
    xor   edx, edx
    wrmsr
    ret
.none:                                  ; the board's counter, which runs at 1 GHz
    mov   dword [CLOCK_MUL], ONE_GHZ_MUL
    mov   byte [CLOCK_SHIFT], ONE_GHZ_SHIFT
    ret

; rax: nanoseconds, below 2^62 -> rax: as many counts of the time stamp counter, rounded up. Changes rcx, rdx.
clock_counts:
    mov   rdx, rax
    shr   rdx, 32
    shl   rax, 32
    mov   ecx, [CLOCK_MUL]
    div   rcx
    movsx ecx, byte [CLOCK_SHIFT]
    test  ecx, ecx
    js    .left
    shr   rax, cl
    inc   rax
    ret
.left:
    neg   ecx
    shl   rax, cl
    inc   rax
    ret
