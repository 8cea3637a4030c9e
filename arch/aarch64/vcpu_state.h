/*
 * All registers of a vCPU: read from KVM, written back, as JSON.
 */
#ifndef ARCH_AARCH64_VCPU_STATE_H
#define ARCH_AARCH64_VCPU_STATE_H

#include <jansson.h>

#include "vmm/base/error.h"

/**
 * vcpu_state_save() - As JSON.
 * @out: a new reference
 *
 * Whatever KVM_GET_REG_LIST names, timers included; whether it runs, and what
 * is pending. No vCPU may be in KVM_RUN. Return: 0, -ENOMEM, or what KVM says;
 * @err set.
 */
int vcpu_state_save(int vcpu_fd, json_t **out, struct error *err);

/**
 * vcpu_state_restore() - Give a vCPU what vcpu_state_save() gave.
 * @vcpu_fd: made with the same features, has not run
 *
 * Registers that this KVM has and @value has not keep their value: an older
 * kernel saved it. One that this KVM does not have, or has with another value
 * that cannot be changed, is refused, since the guest relies on it.
 * Return: 0; -EINVAL with @err naming the member, and nothing changed; or what
 * KVM says.
 */
int vcpu_state_restore(int vcpu_fd, const json_t *value, struct error *err);

#endif
