/*
 * The device tree: what a kernel finds in it, and that dtc, which must be
 * there, has nothing to say against it.
 */
#include "arch/aarch64/fdt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>
#include <libfdt.h>
#include <unistd.h>

#include "arch/aarch64/layout.h"
#include "vmm/arch.h"

#define MIB    UINT64_C(0x100000)
#define MEMORY (64 * MIB)
#define AT     (LAYOUT_RAM + 4 * MIB)
#define ROOM   MIB

static struct guest_mem *mem;
static struct fdt_config config;
static uint64_t mpidr[ARCH_CPUS_MAX];
static struct error err;

static void setup(void)
{
	static const struct guest_mem_region ram = {LAYOUT_RAM, MEMORY};

	ck_assert_int_eq(guest_mem_new(&mem, &ram, 1, 0, &err), 0);
	for (unsigned int i = 0; i < ARCH_CPUS_MAX; i++)
		mpidr[i] = (i & 0xf) | (i >> 4) << 8; /* as KVM counts */
	config = (struct fdt_config){
		.cpus = 2,
		.mpidr = mpidr,
		.gic_version = 3,
		.has_its = true,
		.virtio_mmio = 2,
		.pci64_base = UINT64_C(0x1000000000),
		.pci64_size = UINT64_C(0x1000000000),
		.cmdline = "console=ttyAMA0 quiet",
	};
}

static void teardown(void)
{
	guest_mem_free(mem);
}

static const void *build(void)
{
	const void *fdt;

	ck_assert_msg(fdt_build(&config, mem, AT, ROOM, &err) == 0, "%s",
		      err.text);
	fdt = guest_mem_span(mem, AT, ROOM);
	ck_assert_int_eq(fdt_check_full(fdt, ROOM), 0);
	return fdt;
}

static int node(const void *fdt, const char *path)
{
	int offset = fdt_path_offset(fdt, path);

	ck_assert_msg(offset >= 0, "no node %s", path);
	return offset;
}

static const void *property(const void *fdt, const char *path, const char *name,
			    int *len)
{
	const void *data = fdt_getprop(fdt, node(fdt, path), name, len);

	ck_assert_msg(data != NULL, "no property %s of %s", name, path);
	return data;
}

static void expect_cells(const void *fdt, const char *path, const char *name,
			 const uint32_t *want, size_t count)
{
	int len;
	const fdt32_t *cells = property(fdt, path, name, &len);

	ck_assert_msg((size_t)len == count * 4, "%s of %s: %d bytes", name,
		      path, len);
	for (size_t i = 0; i < count; i++)
		ck_assert_msg(fdt32_to_cpu(cells[i]) == want[i],
			      "%s of %s: cell %zu is 0x%x, not 0x%x", name,
			      path, i, fdt32_to_cpu(cells[i]), want[i]);
}

#define EXPECT_CELLS(fdt, path, name, ...)                             \
	expect_cells(fdt, path, name, (const uint32_t[]){__VA_ARGS__}, \
		     sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

/* The list of strings, with a NUL between them, in a literal. */
static void expect_bytes(const void *fdt, const char *path, const char *name,
			 const char *want, size_t size)
{
	int len;
	const void *data = property(fdt, path, name, &len);

	ck_assert_msg((size_t)len == size && memcmp(data, want, size) == 0,
		      "%s of %s is \"%.*s\"", name, path, len,
		      (const char *)data);
}

#define EXPECT_TEXT(fdt, path, name, literal) \
	expect_bytes(fdt, path, name, literal, sizeof(literal))

static uint64_t get_u64(const void *fdt, const char *path, const char *name)
{
	int len;
	const fdt64_t *data = property(fdt, path, name, &len);

	ck_assert_int_eq(len, 8);
	return fdt64_ld(data);
}

static bool has(const void *fdt, const char *path, const char *name)
{
	return fdt_getprop(fdt, node(fdt, path), name, NULL);
}

static uint32_t phandle(const void *fdt, const char *path)
{
	return fdt_get_phandle(fdt, node(fdt, path));
}

#define GIC    "/interrupt-controller@8000000"
#define ITS    GIC "/msi-controller@8080000"
#define V2M    GIC "/v2m@8020000"
#define UART   "/serial@9000000"
#define GPIO   "/gpio@9030000"
#define PCI    "/pcie@3f000000"
#define CHOSEN "/chosen"

/* ---- What is in it ------------------------------------------------------ */

START_TEST(build_root_says_virt_and_has_memory)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, "/", "compatible", "linux,dummy-virt");
	EXPECT_CELLS(fdt, "/", "#address-cells", 2);
	EXPECT_CELLS(fdt, "/", "#size-cells", 2);
	EXPECT_CELLS(fdt, "/", "interrupt-parent", phandle(fdt, GIC));
	EXPECT_CELLS(fdt, "/memory@40000000", "reg", 0, 0x40000000, 0,
		     0x4000000);
	EXPECT_TEXT(fdt, "/memory@40000000", "device_type", "memory");
}
END_TEST

START_TEST(build_cpus_have_their_affinity_and_psci)
{
	const void *fdt;

	config.cpus = 18;
	fdt = build();
	EXPECT_CELLS(fdt, "/cpus", "#address-cells", 1);
	EXPECT_CELLS(fdt, "/cpus/cpu@0", "reg", 0);
	EXPECT_CELLS(fdt, "/cpus/cpu@101", "reg", 0x101);
	EXPECT_TEXT(fdt, "/cpus/cpu@101", "device_type", "cpu");
	EXPECT_TEXT(fdt, "/cpus/cpu@101", "compatible", "arm,armv8");
	EXPECT_TEXT(fdt, "/cpus/cpu@101", "enable-method", "psci");
	ck_assert_int_lt(fdt_path_offset(fdt, "/cpus/cpu@102"), 0);
	EXPECT_TEXT(fdt, "/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2");
	EXPECT_TEXT(fdt, "/psci", "method", "hvc");
}
END_TEST

START_TEST(build_cpus_with_aff3_take_two_cells)
{
	const void *fdt;

	mpidr[1] = UINT64_C(0x0300000001);
	fdt = build();
	EXPECT_CELLS(fdt, "/cpus", "#address-cells", 2);
	EXPECT_CELLS(fdt, "/cpus/cpu@0", "reg", 0, 0);
	EXPECT_CELLS(fdt, "/cpus/cpu@300000001", "reg", 3, 1);
}
END_TEST

START_TEST(build_timer_has_its_four_interrupts)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, "/timer", "compatible", "arm,armv8-timer");
	EXPECT_CELLS(fdt, "/timer", "interrupts", 1, 13, 4, 1, 14, 4, 1, 11, 4,
		     1, 10, 4);
	ck_assert(has(fdt, "/timer", "always-on"));
}
END_TEST

START_TEST(build_gic_v3_has_its_child)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, GIC, "compatible", "arm,gic-v3");
	EXPECT_CELLS(fdt, GIC, "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0,
		     0xf60000);
	EXPECT_CELLS(fdt, GIC, "#interrupt-cells", 3);
	ck_assert(has(fdt, GIC, "interrupt-controller"));
	EXPECT_TEXT(fdt, ITS, "compatible", "arm,gic-v3-its");
	EXPECT_CELLS(fdt, ITS, "reg", 0, 0x8080000, 0, 0x20000);
	EXPECT_CELLS(fdt, ITS, "#msi-cells", 1);
	EXPECT_CELLS(fdt, PCI, "msi-map", 0, phandle(fdt, ITS), 0, 0x10000);
}
END_TEST

START_TEST(build_gic_v3_without_its_has_no_msi)
{
	const void *fdt;

	config.has_its = false;
	fdt = build();
	ck_assert_int_lt(fdt_path_offset(fdt, ITS), 0);
	ck_assert(!has(fdt, PCI, "msi-map"));
}
END_TEST

START_TEST(build_gic_v2_has_v2m_and_masks_of_cpus)
{
	const void *fdt;

	config.gic_version = 2;
	config.has_its = false;
	config.cpus = 3;
	fdt = build();
	EXPECT_TEXT(fdt, GIC, "compatible", "arm,cortex-a15-gic");
	EXPECT_CELLS(fdt, GIC, "reg", 0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0,
		     0x10000);
	EXPECT_TEXT(fdt, V2M, "compatible", "arm,gic-v2m-frame");
	EXPECT_CELLS(fdt, V2M, "reg", 0, 0x8020000, 0, 0x1000);
	EXPECT_CELLS(fdt, V2M, "arm,msi-base-spi", 80);
	EXPECT_CELLS(fdt, V2M, "arm,msi-num-spis", 64);
	EXPECT_CELLS(fdt, PCI, "msi-map", 0, phandle(fdt, V2M), 0, 0x10000);
	EXPECT_CELLS(fdt, "/timer", "interrupts", 1, 13, 0x704, 1, 14, 0x704, 1,
		     11, 0x704, 1, 10, 0x704);
	config.cpus = 8;
	fdt = build();
	EXPECT_CELLS(fdt, "/timer", "interrupts", 1, 13, 0xff04, 1, 14, 0xff04,
		     1, 11, 0xff04, 1, 10, 0xff04);
}
END_TEST

START_TEST(build_primecells_have_clocks)
{
	const void *fdt = build();
	uint32_t clock = phandle(fdt, "/apb-pclk");

	EXPECT_CELLS(fdt, "/apb-pclk", "clock-frequency", 24000000);
	EXPECT_TEXT(fdt, UART, "compatible", "arm,pl011\0arm,primecell");
	EXPECT_CELLS(fdt, UART, "reg", 0, 0x9000000, 0, 0x1000);
	EXPECT_CELLS(fdt, UART, "interrupts", 0, 1, 4);
	EXPECT_CELLS(fdt, UART, "clocks", clock, clock);
	EXPECT_TEXT(fdt, UART, "clock-names", "uartclk\0apb_pclk");
	EXPECT_TEXT(fdt, "/rtc@9010000", "compatible",
		    "arm,pl031\0arm,primecell");
	EXPECT_CELLS(fdt, "/rtc@9010000", "reg", 0, 0x9010000, 0, 0x1000);
	ck_assert(!has(fdt, "/rtc@9010000", "interrupts"));
}
END_TEST

START_TEST(build_gpio_has_the_power_button)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, GPIO, "compatible", "arm,pl061\0arm,primecell");
	EXPECT_CELLS(fdt, GPIO, "reg", 0, 0x9030000, 0, 0x1000);
	EXPECT_CELLS(fdt, GPIO, "interrupts", 0, 7, 4);
	EXPECT_CELLS(fdt, GPIO, "#gpio-cells", 2);
	EXPECT_TEXT(fdt, "/gpio-keys", "compatible", "gpio-keys");
	EXPECT_CELLS(fdt, "/gpio-keys/power-key", "linux,code", 116);
	EXPECT_CELLS(fdt, "/gpio-keys/power-key", "gpios", phandle(fdt, GPIO),
		     3, 0);
}
END_TEST

START_TEST(build_pvpanic_and_debug_exit_share_a_page)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, "/pvpanic@90c0000", "compatible", "qemu,pvpanic-mmio");
	EXPECT_CELLS(fdt, "/pvpanic@90c0000", "reg", 0, 0x90c0000, 0, 2);
	EXPECT_TEXT(fdt, "/debug-exit@90c0ffc", "compatible",
		    "bantam,debug-exit");
	EXPECT_CELLS(fdt, "/debug-exit@90c0ffc", "reg", 0, 0x90c0ffc, 0, 4);
}
END_TEST

START_TEST(build_virtio_mmio_is_as_many_as_there_are)
{
	for (unsigned int n = 0; n <= LAYOUT_VIRTIO_MMIO_MAX; n += 8) {
		const void *fdt;
		char path[32];

		config.virtio_mmio = n;
		fdt = build();
		for (unsigned int i = 0; i < LAYOUT_VIRTIO_MMIO_MAX; i++) {
			uint32_t base = 0xa000000 + i * 0x1000;

			snprintf(path, sizeof(path), "/virtio@%x", base);
			if (i >= n) {
				ck_assert_int_lt(fdt_path_offset(fdt, path), 0);
				continue;
			}
			EXPECT_TEXT(fdt, path, "compatible", "virtio,mmio");
			EXPECT_CELLS(fdt, path, "reg", 0, base, 0, 0x1000);
			EXPECT_CELLS(fdt, path, "interrupts", 0, 16 + i, 4);
			ck_assert(has(fdt, path, "dma-coherent"));
		}
	}
}
END_TEST

START_TEST(build_pci_has_ecam_and_windows)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, PCI, "compatible", "pci-host-ecam-generic");
	EXPECT_TEXT(fdt, PCI, "device_type", "pci");
	EXPECT_CELLS(fdt, PCI, "reg", 0, 0x3f000000, 0, 0x100000);
	EXPECT_CELLS(fdt, PCI, "bus-range", 0, 0);
	EXPECT_CELLS(fdt, PCI, "ranges", 0x02000000, 0, 0x10000000, 0,
		     0x10000000, 0, 0x2eff0000, 0x03000000, 0x10, 0, 0x10, 0,
		     0x10, 0);
	ck_assert(has(fdt, PCI, "dma-coherent"));
	config.pci64_size = 0;
	fdt = build();
	EXPECT_CELLS(fdt, PCI, "ranges", 0x02000000, 0, 0x10000000, 0,
		     0x10000000, 0, 0x2eff0000);
}
END_TEST

/* pci/bus.h: pin p of slot s is gsi + (s + p) % 4. */
START_TEST(build_pci_interrupts_are_the_bus_s)
{
	const void *fdt = build();
	int len;
	const fdt32_t *map = property(fdt, PCI, "interrupt-map", &len);

	EXPECT_CELLS(fdt, PCI, "#interrupt-cells", 1);
	EXPECT_CELLS(fdt, PCI, "interrupt-map-mask", 0x1800, 0, 0, 7);
	ck_assert_int_eq(len, 16 * 10 * 4);
	for (unsigned int i = 0; i < 16; i++, map += 10) {
		unsigned int slot = i / 4, pin = i % 4;
		const uint32_t want[10] = {
			slot << 11,	      0, 0, pin + 1,
			phandle(fdt, GIC),    0, 0, 0,
			3 + (slot + pin) % 4, 4,
		};

		for (unsigned int j = 0; j < 10; j++)
			ck_assert_uint_eq(fdt32_to_cpu(map[j]), want[j]);
	}
}
END_TEST

START_TEST(build_chosen_tells_the_kernel_what_to_do)
{
	const void *fdt = build();

	EXPECT_TEXT(fdt, CHOSEN, "bootargs", "console=ttyAMA0 quiet");
	EXPECT_TEXT(fdt, CHOSEN, "stdout-path", UART);
	EXPECT_TEXT(fdt, "/aliases", "serial0", UART);
	ck_assert(!has(fdt, CHOSEN, "linux,initrd-start"));
	ck_assert(!has(fdt, CHOSEN, "linux,initrd-end"));
	config.initrd = UINT64_C(0x123456000);
	config.initrd_size = 0x789;
	fdt = build();
	ck_assert_uint_eq(get_u64(fdt, CHOSEN, "linux,initrd-start"),
			  UINT64_C(0x123456000));
	ck_assert_uint_eq(get_u64(fdt, CHOSEN, "linux,initrd-end"),
			  UINT64_C(0x123456789));
}
END_TEST

START_TEST(build_again_gives_other_seeds)
{
	static const uint8_t zero[32];
	uint8_t first[32];
	const void *fdt = build();
	uint64_t kaslr = get_u64(fdt, CHOSEN, "kaslr-seed");
	const void *rng;
	int len;

	rng = property(fdt, CHOSEN, "rng-seed", &len);
	ck_assert_int_eq(len, 32);
	memcpy(first, rng, sizeof(first));
	ck_assert_mem_ne(first, zero, sizeof(zero));
	fdt = build();
	ck_assert_uint_ne(get_u64(fdt, CHOSEN, "kaslr-seed"), kaslr);
	ck_assert_mem_ne(property(fdt, CHOSEN, "rng-seed", &len), first,
			 sizeof(first));
}
END_TEST

/* Linux takes ACPI tables of its own accord only where the tree has /chosen and
 * nothing else. */
START_TEST(build_with_efi_has_chosen_alone)
{
	static const struct efi_handoff efi = {
		.system_table = UINT64_C(0x142300000),
		.mmap = UINT64_C(0x142310000),
		.mmap_size = 160,
		.desc_size = 40,
		.desc_version = 1,
	};
	const void *fdt;
	int child;

	config.efi = &efi;
	config.initrd = 0x1000;
	config.initrd_size = 1;
	fdt = build();
	child = fdt_first_subnode(fdt, 0);
	ck_assert_str_eq(fdt_get_name(fdt, child, NULL), "chosen");
	ck_assert_int_lt(fdt_next_subnode(fdt, child), 0);
	ck_assert_uint_eq(get_u64(fdt, CHOSEN, "linux,uefi-system-table"),
			  efi.system_table);
	ck_assert_uint_eq(get_u64(fdt, CHOSEN, "linux,uefi-mmap-start"),
			  efi.mmap);
	EXPECT_CELLS(fdt, CHOSEN, "linux,uefi-mmap-size", 160);
	EXPECT_CELLS(fdt, CHOSEN, "linux,uefi-mmap-desc-size", 40);
	EXPECT_CELLS(fdt, CHOSEN, "linux,uefi-mmap-desc-ver", 1);
	EXPECT_CELLS(fdt, CHOSEN, "linux,uefi-secure-boot", 2);
	EXPECT_TEXT(fdt, CHOSEN, "bootargs", "console=ttyAMA0 quiet");
	ck_assert(has(fdt, CHOSEN, "kaslr-seed"));
	ck_assert(has(fdt, CHOSEN, "linux,initrd-end"));
	ck_assert(!has(fdt, CHOSEN, "stdout-path"));
}
END_TEST

/* ---- Where it does not fit ---------------------------------------------- */

START_TEST(build_too_small_a_place_is_an_error)
{
	static const uint8_t zero[16];

	for (uint64_t size = 16; size <= 2048; size *= 2) {
		ck_assert_int_eq(fdt_build(&config, mem, AT, size, &err),
				 -ENOSPC);
		ck_assert_uint_gt(strlen(err.text), 10);
	}
	ck_assert_mem_eq(guest_mem_span(mem, AT, 16), zero, 16);
}
END_TEST

START_TEST(build_no_ram_there_is_an_error)
{
	ck_assert_int_eq(fdt_build(&config, mem, 0x1000, ROOM, &err), -EFAULT);
	ck_assert_int_eq(fdt_build(&config, mem, LAYOUT_RAM + MEMORY - 0x800,
				   ROOM, &err),
			 -EFAULT);
}
END_TEST

START_TEST(build_largest_machine_fits)
{
	char cmdline[2048];
	const void *fdt;

	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[2047] = '\0';
	config.cmdline = cmdline;
	config.cpus = ARCH_CPUS_MAX;
	config.virtio_mmio = LAYOUT_VIRTIO_MMIO_MAX;
	fdt = build();
	ck_assert_uint_lt(fdt_totalsize(fdt), 64 * 1024);
	ck_assert_str_eq(property(fdt, CHOSEN, "bootargs", NULL), cmdline);
}
END_TEST

/* ---- dtc ---------------------------------------------------------------- */

/* Taken apart without a warning. */
START_TEST(build_any_machine_survives_dtc)
{
	char name[] = "/tmp/bantam-fdt-XXXXXX", command[160], text[4096];
	int fd = mkstemp(name);
	const void *fdt;
	size_t len;
	FILE *dtc;

	config.gic_version = _i & 1 ? 2 : 3;
	config.has_its = !(_i & 1);
	config.cpus = _i & 2 ? 1 : 8;
	config.virtio_mmio = _i & 4 ? 0 : LAYOUT_VIRTIO_MMIO_MAX;
	config.pci64_size = _i & 2 ? 0 : config.pci64_size;
	config.initrd_size = _i & 4;
	if (_i & 4)
		mpidr[0] = UINT64_C(0x0100000000);
	fdt = build();
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, fdt, fdt_totalsize(fdt)),
			 fdt_totalsize(fdt));
	close(fd);
	snprintf(command, sizeof(command),
		 "dtc -I dtb -O dts -o /dev/null %s 2>&1", name);
	dtc = popen(command, "r");
	ck_assert_ptr_nonnull(dtc);
	len = fread(text, 1, sizeof(text) - 1, dtc);
	text[len] = '\0';
	ck_assert_msg(pclose(dtc) == 0,
		      "dtc failed: %s (is it, of Debian's package "
		      "device-tree-compiler, installed?)",
		      text);
	ck_assert_msg(len == 0, "%s", text);
	unlink(name);
}
END_TEST

static Suite *fdt_suite(void)
{
	Suite *suite = suite_create("fdt");
	TCase *tc = tcase_create("fdt");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, build_root_says_virt_and_has_memory);
	tcase_add_test(tc, build_cpus_have_their_affinity_and_psci);
	tcase_add_test(tc, build_cpus_with_aff3_take_two_cells);
	tcase_add_test(tc, build_timer_has_its_four_interrupts);
	tcase_add_test(tc, build_gic_v3_has_its_child);
	tcase_add_test(tc, build_gic_v3_without_its_has_no_msi);
	tcase_add_test(tc, build_gic_v2_has_v2m_and_masks_of_cpus);
	tcase_add_test(tc, build_primecells_have_clocks);
	tcase_add_test(tc, build_gpio_has_the_power_button);
	tcase_add_test(tc, build_pvpanic_and_debug_exit_share_a_page);
	tcase_add_test(tc, build_virtio_mmio_is_as_many_as_there_are);
	tcase_add_test(tc, build_pci_has_ecam_and_windows);
	tcase_add_test(tc, build_pci_interrupts_are_the_bus_s);
	tcase_add_test(tc, build_chosen_tells_the_kernel_what_to_do);
	tcase_add_test(tc, build_again_gives_other_seeds);
	tcase_add_test(tc, build_with_efi_has_chosen_alone);
	tcase_add_test(tc, build_too_small_a_place_is_an_error);
	tcase_add_test(tc, build_no_ram_there_is_an_error);
	tcase_add_test(tc, build_largest_machine_fits);
	tcase_add_loop_test(tc, build_any_machine_survives_dtc, 0, 8);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(fdt_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
