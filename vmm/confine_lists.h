/*
 * The system calls of the machine's process, by thread; as virtio/seccomp.h.
 */
#ifndef VMM_CONFINE_LISTS_H
#define VMM_CONFINE_LISTS_H

#include "vmm/base/syscall_list.h"

/* What a vCPU's thread makes; both rest on virtio_seccomp_common. */
extern const struct syscall_list confine_vcpu_list;
/* What main's loop makes, and threads that it starts later. */
extern const struct syscall_list confine_main_list;

#endif
