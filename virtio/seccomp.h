/*
 * The system calls that a device process of each type may make, for the member
 * `seccomp` of its struct virtio_device_ops.
 */
#ifndef VIRTIO_SECCOMP_H
#define VIRTIO_SECCOMP_H

#include "vmm/base/syscall_list.h"

/* What any device process needs: its loop, its frontend, memory, its end. */
extern const struct syscall_list virtio_seccomp_common;

extern const struct syscall_list virtio_seccomp_block;
extern const struct syscall_list virtio_seccomp_console;
extern const struct syscall_list virtio_seccomp_net;
extern const struct syscall_list virtio_seccomp_rng;

#endif
