/*
 * Accesses of every size, aligned or not, to every port and page of the
 * platform, and string I/O (HOSTILE.md 31). The machine must survive them,
 * answer all ones where nothing is, and be in order afterwards.
 */
#include "lib/guest.h"
#include "lib/irq.h"
#include "lib/pci.h"

#define GED    0xfea00000ull
#define IOAPIC 0xfec00000ull
#define HOLE   0xd0000000ull
#define ABOVE  0xfffff000ull
#define PAGE   0x1000

/* Ports with something behind them, and some without. Those that would end
 * the machine are read only. */
static const struct access_ports {
	uint16_t first, last;
	bool write;
} access_ports[] = {
	{0x20, 0x21, false},   {0x40, 0x43, false},   {0x60, 0x64, false},
	{0x70, 0x71, false},   {0xa0, 0xa1, false},   {0xf1, 0xf7, false},
	{0x2f8, 0x2ff, true},  {0x3f7, 0x400, false}, {0x504, 0x506, false},
	{0x5ff, 0x60c, false}, {0xcf6, 0xd00, false}, {0xfffc, 0xffff, true},
};

static const uint64_t access_pages[] = {
	GED,  PCI_ECAM, PCI_ECAM + 0xff000, PCI_ECAM + 0x100000, IOAPIC,
	HOLE, ABOVE,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint8_t access_buffer[64];

static void access_check_ports(void)
{
	for (unsigned int i = 0; i < COUNT(access_ports); i++) {
		const struct access_ports *p = &access_ports[i];

		for (uint32_t port = p->first; port <= p->last; port++) {
			in8((uint16_t)port);
			in16((uint16_t)port);
			in32((uint16_t)port);
			in_string((uint16_t)port, access_buffer, 5);
			if (!p->write)
				continue;
			out8((uint16_t)port, 0xff);
			out16((uint16_t)port, 0xffff);
			out32((uint16_t)port, 0xffffffff);
			out_string((uint16_t)port, access_buffer, 5);
		}
	}
	/* Nothing is there at all. */
	check_eq(in8(0x2f8), 0xff);
	check_eq(in16(0x2f8), 0xffff);
	check_eq(in32(0x2f8), 0xffffffff);
	in_string(0x2f8, access_buffer, 64);
	for (unsigned int i = 0; i < 64; i++)
		check_eq(access_buffer[i], 0xff);
}

static void access_read_page(uint64_t page)
{
	static const uint16_t offsets[] = {0, 1, 3, 4, 7, 9, 0x10, 0xffc};

	for (unsigned int i = 0; i < COUNT(offsets); i++) {
		uint64_t at = page + offsets[i];

		read8(at);
		read16(at);
		read32(at);
		if (offsets[i] <= PAGE - 8)
			read64(at);
	}
	/* Across the page's end, into whatever is next. */
	if (page != ABOVE) {
		read16(page + PAGE - 1);
		read32(page + PAGE - 3);
		read64(page + PAGE - 5);
	}
}

static void access_check_pages(void)
{
	for (unsigned int i = 0; i < COUNT(access_pages); i++)
		access_read_page(access_pages[i]);
	check_eq(read8(HOLE), 0xff);
	check_eq(read16(HOLE + 1), 0xffff);
	check_eq(read32(HOLE + 3), 0xffffffff);
	check_eq(read64(HOLE + 5), ~0ull);
	write8(HOLE, 0);
	write16(HOLE + 1, 0);
	write32(HOLE + 3, 0);
	write64(HOLE + 5, 0);
	check_eq(read64(HOLE), ~0ull);
}

/* Each size and offset must find the bytes of the dwords. */
static void access_check_pci(void)
{
	uint64_t both;

	for (unsigned int reg = 0; reg < 8; reg++) {
		uint32_t dword = read32(pci_ecam(0, reg & ~3u));
		uint8_t byte = (uint8_t)(dword >> 8 * (reg & 3));

		pci_select(0, reg);
		check_eq(in8((uint16_t)(PCI_CONFIG_DATA + (reg & 3))), byte);
		check_eq(read8(pci_ecam(0, reg)), byte);
		if ((reg & 3) == 3)
			continue;
		check_eq(in16((uint16_t)(PCI_CONFIG_DATA + (reg & 3))),
			 (uint16_t)(dword >> 8 * (reg & 3)));
		check_eq(read16(pci_ecam(0, reg)),
			 (uint16_t)(dword >> 8 * (reg & 3)));
	}
	/* PCIe leaves 8-byte accesses to the host bridge; ours may have two
	 * dwords there or nothing, but no third thing. */
	both = (uint64_t)read32(pci_ecam(0, 4)) << 32 | read32(pci_ecam(0, 0));
	check(read64(pci_ecam(0, 0)) == both ||
	      read64(pci_ecam(0, 0)) == ~0ull);
	/* Not a dword, so not the address register (PCI 3.0, 3.2.2.3.2). */
	pci_select(0, 0);
	out8(PCI_CONFIG_ADDRESS, 0);
	out16(PCI_CONFIG_ADDRESS, 0);
	check_eq(in32(PCI_CONFIG_DATA), PCI_HOST_BRIDGE);
	/* The dword of CONFIG_ADDRESS has the reset port inside. */
	pci_select(0, 0);
	check_eq(in32(PCI_CONFIG_ADDRESS), PCI_CONFIG_ENABLE);
}

/* Odd writes where state is, then see that it is in order. */
static void access_check_serial(void)
{
	out16(PORT_COM1 + 7, 0x1234);
	out32(PORT_COM1 + 7, 0x12345678);
	out8(PORT_COM1 + 7, 0x42);
	check_eq(in8(PORT_COM1 + 7), 0x42);
	in_string(PORT_COM1 + 7, access_buffer, 16);
	for (unsigned int i = 0; i < 16; i++)
		check_eq(access_buffer[i], 0x42);
	out_string(PORT_COM1, "rep outsb\n", 10);
}

static void access_check_ged(void)
{
	write8(GED + 0x800, 0xff);
	write16(GED + 0x801, 0xffff);
	write32(GED + 0x803, 0xffffffff);
	write64(GED + 0x805, ~0ull);
	write64(GED + PAGE - 4, ~0ull);
}

int guest_main(void)
{
	irq_init();
	access_check_ports();
	access_check_pages();
	access_check_pci();
	access_check_ged();
	access_check_serial();
	print("survived\n");
	return 0;
}
