/*
 * CPL 3. On a KVM that interprets kernel code (HOSTS.md) this is where a guest
 * runs at the speed of the CPU: with IOPL 3 and all memory and device
 * registers mapped for it, and interrupts taken by small handlers at CPL 0.
 */
#ifndef TESTS_GUEST_LIB_USER_H
#define TESTS_GUEST_LIB_USER_H

/* Leave CPL 0 for good and end with what @main returns. After irq_init(), if
 * that is called at all; with interrupts on, if @interrupts. */
void __attribute__((noreturn)) user_run(int (*main)(void), int interrupts);

/* Wait for an interrupt handler to change what @flag points to from @seen.
 * hlt is not for CPL 3. */
static inline void user_wait(volatile unsigned int *flag, unsigned int seen)
{
	while (*flag == seen)
		asm volatile("pause");
}

#endif
