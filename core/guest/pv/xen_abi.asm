; Numbers of Xen's PV interface, in front of every unit (xen/include/public). Hypercalls: arguments in rdi, rsi, rdx, r10, r8,
; result in rax; the argument registers may be lost.

HYPERCALL_mmu_update        equ 1
HYPERCALL_set_trap_table    equ 0
HYPERCALL_stack_switch      equ 3
HYPERCALL_set_debugreg      equ 8
HYPERCALL_get_debugreg      equ 9
HYPERCALL_update_va_mapping equ 14
HYPERCALL_set_timer_op      equ 15
HYPERCALL_xen_version       equ 17
HYPERCALL_console_io        equ 18
HYPERCALL_iret              equ 23
HYPERCALL_vcpu_op           equ 24
HYPERCALL_mmuext_op         equ 26
HYPERCALL_sched_op          equ 29
HYPERCALL_callback_op       equ 30
HYPERCALL_event_channel_op  equ 32
STUB_BYTES                  equ 32      ; of the hypercall page, a hypercall

DOMID_SELF                  equ 0x7ff0
KERNEL_CS                   equ 0xe033
KERNEL_SS                   equ 0xe02b

; struct start_info, struct shared_info; the one vcpu_info is at the start of the latter.
START_PT_BASE               equ XEN_START_INFO + 88
UPCALL_PENDING              equ XEN_SHARED_INFO
UPCALL_MASK                 equ XEN_SHARED_INFO + 1
PENDING_SEL                 equ XEN_SHARED_INFO + 8
FAULT_ADDRESS               equ XEN_SHARED_INFO + 16
TIME_VERSION                equ XEN_SHARED_INFO + 32
TIME_TSC                    equ XEN_SHARED_INFO + 40
TIME_SYSTEM                 equ XEN_SHARED_INFO + 48
TIME_MUL                    equ XEN_SHARED_INFO + 56
TIME_SHIFT                  equ XEN_SHARED_INFO + 60
EVENTS_PENDING              equ XEN_SHARED_INFO + 0x800
EVENTS_MASKED               equ XEN_SHARED_INFO + 0xa00

; The library's own cells and argument structures.
XEN_REQUEST                 equ XEN_DATA            ; what a hypercall's pointer leads to
XEN_TIMER_PORT              equ XEN_DATA + 0x80     ; event channel of VIRQ_TIMER, 0 until bound
XEN_TIMER_PERIOD            equ XEN_DATA + 0x88     ; periods too short for Xen are kept here
XEN_STACK_READY             equ XEN_DATA + 0x90
XEN_USER_TABLE              equ XEN_DATA + 0x98     ; the user-mode table that Xen knows
XEN_BLOCK_PRODUCED          equ XEN_DATA + 0xa0     ; requests put on the block ring, ever

%macro hypercall 1
    call  XEN_HYPERCALL_PAGE + HYPERCALL_%1 * STUB_BYTES
%endmacro
