/*
 * Printing, checks, options and the few C library functions that the compiler
 * expects.
 */
#include "lib/guest.h"

#include <stdarg.h>

#define SERIAL_LSR	0x05
#define SERIAL_LSR_THRE 0x20

#define PAGE_PRESENT_RW_BIG 0x83
#define WINDOW		    (511ull << 30)
#define WINDOW_SIZE	    0x200000ull

extern uint64_t pd_window[512];

static void print_char(char c)
{
	while (!(in8(PORT_COM1 + SERIAL_LSR) & SERIAL_LSR_THRE))
		;
	out8(PORT_COM1, (uint8_t)c);
}

static void print_text(const char *text)
{
	while (*text)
		print_char(*text++);
}

static void print_number(uint64_t value, unsigned int base)
{
	char digits[21];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	print_text(p);
}

void print(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		bool wide = false;

		if (*fmt != '%') {
			print_char(*fmt);
			continue;
		}
		if (*++fmt == 'l') {
			wide = true;
			fmt++;
		}
		switch (*fmt) {
		case 's':
			print_text(va_arg(ap, const char *));
			break;
		case 'c':
			print_char((char)va_arg(ap, int));
			break;
		case 'x':
		case 'u':
		case 'd':
			print_number(wide ? va_arg(ap, uint64_t)
					  : va_arg(ap, unsigned int),
				     *fmt == 'x' ? 16 : 10);
			break;
		default:
			print_char(*fmt);
			break;
		}
	}
	va_end(ap);
}

void guest_exit(uint8_t status)
{
	out8(PORT_DEBUG_EXIT, status);
	cpu_hang();
}

void guest_fail(const char *file, int line, const char *what)
{
	print("%s:%d: check failed: %s\n", file, line, what);
	guest_exit(GUEST_FAILED);
}

/* --- Options -------------------------------------------------------------- */

const char *option_text(const char *name, const char *none)
{
	const char *p = handover.cmdline;
	size_t len = strlen(name);

	while (p && *p) {
		if (!memcmp(p, name, len) && p[len] == '=')
			return p + len + 1;
		while (*p && *p != ' ')
			p++;
		while (*p == ' ')
			p++;
	}
	return none;
}

bool option_is(const char *name, const char *text)
{
	const char *found = option_text(name, "");
	size_t len = strlen(text);

	return !memcmp(found, text, len) && (!found[len] || found[len] == ' ');
}

uint64_t option_number(const char *name, uint64_t none)
{
	const char *text = option_text(name, NULL);
	uint64_t value = 0;

	if (!text)
		return none;
	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

/* --- Memory --------------------------------------------------------------- */

volatile uint8_t *mem_window(uint64_t address)
{
	pd_window[0] = (address & ~(WINDOW_SIZE - 1)) | PAGE_PRESENT_RW_BIG;
	asm volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
	return (volatile uint8_t *)(WINDOW + (address & (WINDOW_SIZE - 1)));
}

void *memcpy(void *to, const void *from, size_t len)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	while (len--)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, size_t len)
{
	uint8_t *t = to;

	while (len--)
		*t++ = (uint8_t)byte;
	return to;
}

/* Stops at the first difference: a text may be compared past its end. */
int memcmp(const void *a, const void *b, size_t len)
{
	const uint8_t *x = a, *y = b;

	for (; len; len--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t len = 0;

	while (s[len])
		len++;
	return len;
}
