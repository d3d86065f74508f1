; Time and timers: VIRQ_TIMER by an event channel. Periods are Xen's periodic timer's if it grants them (1 ms and more),
; and single shots one after the other if not.

VIRQ_TIMER                  equ 0
EVTCHNOP_bind_virq          equ 1
VCPUOP_set_periodic_timer   equ 6
VCPUOP_stop_periodic_timer  equ 7
SHORTEST_PERIOD             equ 1000000

TIMER_OFF                   equ 0
TIMER_ONCE                  equ 1       ; until TIMER_DEADLINE
TIMER_EVERY                 equ 2       ; Xen's periodic timer
TIMER_RELOAD                equ 3       ; single shots, XEN_TIMER_PERIOD apart

; -> rax: nanoseconds, from the time stamp counter by the scale that Xen gives
pv_time_now:
    push  rcx
    push  rdx
    push  rbx
.again:
    mov   ebx, [TIME_VERSION]
    test  ebx, 1                        ; being written
    jnz   .again
    rdtsc
    shl   rdx, 32
    or    rax, rdx
    sub   rax, [TIME_TSC]
    movsx ecx, byte [TIME_SHIFT]
    test  ecx, ecx
    js    .right
    shl   rax, cl
    jmp   .scale
.right:
    neg   ecx
    shr   rax, cl
.scale:
    mov   edx, [TIME_MUL]
    mul   rdx
    shrd  rax, rdx, 32
    add   rax, [TIME_SYSTEM]
    cmp   ebx, [TIME_VERSION]
    jne   .again
    pop   rbx
    pop   rdx
    pop   rcx
    ret

; rdi: when, rsi: handler
pv_timer_set:
    push  rax
    push  rdi
    call  pv_timer_stop
    call  timer_setup
    mov   [TIMER_DEADLINE], rdi
    mov   qword [TIMER_MODE], TIMER_ONCE
    call  timer_arm
    pop   rdi
    pop   rax
    ret

; edi: period, rsi: handler
pv_timer_periodic:
    push  rax
    push  rdi
    call  pv_timer_stop
    call  timer_setup
    mov   edi, edi
    mov   [XEN_TIMER_PERIOD], rdi
    cmp   edi, SHORTEST_PERIOD
    jb    .short
    mov   qword [TIMER_MODE], TIMER_EVERY
    mov   edi, VCPUOP_set_periodic_timer
    call  vcpu_timer_op
    jmp   .done
.short:
    mov   qword [TIMER_MODE], TIMER_RELOAD
    call  pv_time_now
    add   rax, rdi
    mov   [TIMER_DEADLINE], rax
    call  timer_arm
.done:
    pop   rdi
    pop   rax
    ret

pv_timer_stop:
    push  rax
    push  rdi
    mov   rax, [TIMER_MODE]
    mov   qword [TIMER_MODE], TIMER_OFF
    cmp   eax, TIMER_OFF
    je    .done
    cmp   eax, TIMER_EVERY
    je    .periodic
    xor   edi, edi                      ; no deadline
    hypercall set_timer_op
    jmp   .done
.periodic:
    mov   edi, VCPUOP_stop_periodic_timer
    call  vcpu_timer_op
.done:
    pop   rdi
    pop   rax
    ret

; Asks for VIRQ_TIMER at TIMER_DEADLINE. Changes rax, rdi.
timer_arm:
    mov   rdi, [TIMER_DEADLINE]
    cmp   rdi, 1
    adc   rdi, 0                        ; 0 would stop the timer: 1 is past as well
    hypercall set_timer_op
    ret

; edi: command; XEN_TIMER_PERIOD is its argument. Changes rax, rdi.
vcpu_timer_op:
    push  rsi
    push  rdx
    xor   esi, esi                      ; this virtual CPU
    mov   edx, XEN_TIMER_PERIOD
    hypercall vcpu_op
    pop   rdx
    pop   rsi
    ret

; rsi: handler. Binds the virtual interrupt and registers the upcall, once. Changes rax.
timer_setup:
    mov   [TIMER_HANDLER], rsi
    cmp   qword [XEN_TIMER_PORT], 0
    jne   .done
    push  rdi
    push  rsi
    mov   edi, upcall
    call  register_upcall
    mov   dword [XEN_REQUEST], VIRQ_TIMER
    mov   dword [XEN_REQUEST + 4], 0    ; this virtual CPU
    mov   edi, EVTCHNOP_bind_virq
    mov   esi, XEN_REQUEST
    hypercall event_channel_op
    mov   eax, [XEN_REQUEST + 8]
    mov   [XEN_TIMER_PORT], rax
    pop   rsi
    pop   rdi
.done:
    ret

; Xen comes here with events masked; on the stack are rcx, r11, and what iret needs.
upcall:
    push  rax
    push  rdx
    push  rbx
    push  rbp
    push  rsi
    push  rdi
    push  r8
    push  r9
    push  r10
    push  r12
    push  r13
    push  r14
    push  r15
    cld
.again:
    mov   byte [UPCALL_PENDING], 0
    xor   eax, eax
    xchg  [PENDING_SEL], rax            ; every port here is in the first word
    mov   rcx, [XEN_TIMER_PORT]
    btr   [EVENTS_PENDING], rcx
    jnc   .next
    call  tick
.next:
    cmp   byte [UPCALL_PENDING], 0
    jne   .again
    pop   r15
    pop   r14
    pop   r13
    pop   r12
    pop   r10
    pop   r9
    pop   r8
    pop   rdi
    pop   rsi
    pop   rbp
    pop   rbx
    pop   rdx
    pop   rax
    pop   rcx
    pop   r11
    push  0                             ; flags: not in a system call
    jmp   XEN_HYPERCALL_PAGE + HYPERCALL_iret * STUB_BYTES

; The timer's event: calls the guest's handler, unless the event is of a timer that has been replaced since. Changes all.
tick:
    mov   rax, [TIMER_MODE]
    cmp   eax, TIMER_EVERY
    je    .call
    cmp   eax, TIMER_OFF
    je    .done
    mov   rbx, rax
    call  pv_time_now
    cmp   rax, [TIMER_DEADLINE]
    jb    .done
    cmp   ebx, TIMER_RELOAD
    je    .reload
    mov   qword [TIMER_MODE], TIMER_OFF
.call:
    jmp   [TIMER_HANDLER]
.reload:
    mov   rdi, [XEN_TIMER_PERIOD]
    add   [TIMER_DEADLINE], rdi
    call  timer_arm
    jmp   .call
.done:
    ret
