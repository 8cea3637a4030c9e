/*
 * Instructions that C has no words for. All of them run at CPL 0 on a KVM
 * that interprets kernel code (see HOSTS.md): no int3, no popcnt, no xsave.
 */
#ifndef TESTS_GUEST_LIB_CPU_H
#define TESTS_GUEST_LIB_CPU_H

#include <stdbool.h>
#include <stdint.h>

static inline uint8_t in8(uint16_t port)
{
	uint8_t value;

	asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t in16(uint16_t port)
{
	uint16_t value;

	asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t in32(uint16_t port)
{
	uint32_t value;

	asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out16(uint16_t port, uint16_t value)
{
	asm volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void out32(uint16_t port, uint32_t value)
{
	asm volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

/* rep insb: @len bytes of @port. */
static inline void in_string(uint16_t port, void *buf, unsigned long len)
{
	asm volatile("rep insb" : "+D"(buf), "+c"(len) : "d"(port) : "memory");
}

/* rep outsb */
static inline void out_string(uint16_t port, const void *buf, unsigned long len)
{
	asm volatile("rep outsb" : "+S"(buf), "+c"(len) : "d"(port) : "memory");
}

static inline uint8_t read8(uint64_t address)
{
	return *(volatile uint8_t *)address;
}

static inline uint16_t read16(uint64_t address)
{
	return *(volatile uint16_t *)address;
}

static inline uint32_t read32(uint64_t address)
{
	return *(volatile uint32_t *)address;
}

static inline uint64_t read64(uint64_t address)
{
	return *(volatile uint64_t *)address;
}

static inline void write8(uint64_t address, uint8_t value)
{
	*(volatile uint8_t *)address = value;
}

static inline void write16(uint64_t address, uint16_t value)
{
	*(volatile uint16_t *)address = value;
}

static inline void write32(uint64_t address, uint32_t value)
{
	*(volatile uint32_t *)address = value;
}

static inline void write64(uint64_t address, uint64_t value)
{
	*(volatile uint64_t *)address = value;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	asm volatile("wrmsr"
		     :
		     : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)),
		       "c"(msr)
		     : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid c;

	asm volatile("cpuid"
		     : "=a"(c.eax), "=b"(c.ebx), "=c"(c.ecx), "=d"(c.edx)
		     : "a"(leaf), "c"(subleaf));
	return c;
}

/* Sleep until an interrupt. sti holds interrupts off for one more instruction,
 * so none is lost between the two. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" ::: "memory");
}

static inline void __attribute__((noreturn)) cpu_hang(void)
{
	for (;;)
		asm volatile("cli; hlt" ::: "memory");
}

#endif
