/*
 * Starting application processors. SDM volume 3, 8.4 (INIT-SIPI-SIPI).
 */
#ifndef TESTS_GUEST_LIB_SMP_H
#define TESTS_GUEST_LIB_SMP_H

#include <stdint.h>

#define SMP_CPUS_MAX 255

/* One byte for each APIC id: how often it has checked in. */
extern volatile uint8_t smp_seen[SMP_CPUS_MAX + 1];

/* How many have checked in; all of them sleep then. */
extern volatile uint32_t smp_count;

/* Wake every other CPU; returns at once. After irq_init(). */
void smp_start(void);

#endif
