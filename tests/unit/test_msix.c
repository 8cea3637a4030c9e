/* MSI-X: capability, table and pending bits; who is heard when. */
#include "pci/msix.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <check.h>
#include <linux/pci_regs.h>
#include <sys/eventfd.h>

#include "pci/bus.h"
#include "tests/unit/support/fake_host.h"
#include "vmm/base/json.h"

#define ECAM	UINT64_C(0xe0000000)
#define SLOT	5
#define BAR	2
#define TABLE	0x3000
#define PBA	0x4000
#define VECTORS 70
#define FDS	4

#define ENABLE	PCI_MSIX_FLAGS_ENABLE
#define MASKALL PCI_MSIX_FLAGS_MASKALL
#define ADDRESS UINT64_C(0xfee01000)
#define CONTROL PCI_MSIX_ENTRY_VECTOR_CTRL
#define DATA_OF 0x4000 /* a vector's data is this and its number */

static struct fake_host fake;
static struct pci_bus *bus;
static struct pci_device device;
static struct pci_msix *msix;
static int fds[FDS];

/* What the callback said. */
static unsigned int told;
static int told_vector;
static bool told_masked;

static void note_masked(void *ctx, int vector, bool masked)
{
	ck_assert_ptr_eq(ctx, &told);
	told++;
	told_vector = vector;
	told_masked = masked;
}

static void note_written(void *ctx, unsigned int offset, unsigned int size)
{
	(void)ctx;
	(void)offset;
	(void)size;
	pci_msix_config_written(msix);
}

static const struct pci_device_ops device_ops = {
	.config_written = note_written,
};

static struct pci_msix_config config = {
	.vectors = VECTORS,
	.bar = BAR,
	.table = TABLE,
	.pba = PBA,
	.requester_id = SLOT << 3,
	.masked = note_masked,
	.ctx = &told,
};

static void make_msix(void)
{
	const struct pci_identity identity = {.vendor_id = 0x1af4};

	pci_device_init(&device, &identity);
	device.ops = &device_ops;
	ck_assert_int_eq(pci_msix_new(&msix, &fake.host, &device, &config), 0);
	ck_assert_int_eq(pci_bus_add(bus, SLOT, 0, &device), 0);
}

static void free_msix(void)
{
	pci_bus_remove(bus, &device);
	pci_msix_free(msix);
	ck_assert_uint_eq(fake.irqfd_count, 0);
	ck_assert_uint_eq(fake.msi_count, 0);
}

static void setup(void)
{
	const struct pci_bus_config bus_config = {.ecam = ECAM, .gsi = 16};

	fake_host_init(&fake);
	told = 0;
	config.vectors = VECTORS;
	config.masked = note_masked;
	ck_assert_int_eq(pci_bus_new(&bus, &fake.host, &bus_config), 0);
	make_msix();
	for (unsigned int i = 0; i < FDS; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

static void teardown(void)
{
	free_msix();
	pci_bus_device_ops.free(bus);
	for (unsigned int i = 0; i < FDS; i++)
		close(fds[i]);
}

/* --- As a driver and a device -----------------------------------------------
 */

static void control(uint32_t bits)
{
	fake_host_write(&fake, BUS_MMIO,
			ECAM + (SLOT << 15 | (pci_msix_cap(msix) + 2)), 2,
			bits);
}

static void write_entry(unsigned int vector, unsigned int field, uint32_t value)
{
	pci_msix_table_write(msix, 16 * vector + field, 4, value);
}

static void mask(unsigned int vector, bool masked)
{
	write_entry(vector, CONTROL, masked);
}

/* Give it its own message, and leave it masked. */
static void program(unsigned int vector)
{
	write_entry(vector, PCI_MSIX_ENTRY_LOWER_ADDR, (uint32_t)ADDRESS);
	write_entry(vector, PCI_MSIX_ENTRY_UPPER_ADDR, 0);
	write_entry(vector, PCI_MSIX_ENTRY_DATA, DATA_OF + vector);
}

static void attach(unsigned int fd, unsigned int vector)
{
	ck_assert_int_eq(pci_msix_attach(msix, fds[fd], vector), 0);
}

static void ring(unsigned int fd)
{
	ck_assert_int_eq(eventfd_write(fds[fd], 1), 0);
}

static unsigned int came(unsigned int vector)
{
	return fake_host_messages(&fake, DATA_OF + vector);
}

static bool pending(unsigned int vector)
{
	uint64_t word = pci_msix_pba_read(msix, vector / 64 * 8, 8);

	return word >> vector % 64 & 1;
}

static bool heard(unsigned int fd)
{
	return fake_host_listens(&fake, fds[fd]);
}

/* --- Capability, table, pending bits ----------------------------------------
 */

START_TEST(pci_msix_new_capability_says_where)
{
	unsigned int cap = pci_msix_cap(msix);

	ck_assert_uint_eq(pci_device_read(&device, cap, 1), PCI_CAP_ID_MSIX);
	ck_assert_uint_eq(pci_device_read(&device, cap + 2, 2), VECTORS - 1);
	ck_assert_uint_eq(pci_device_read(&device, cap + 4, 4), TABLE | BAR);
	ck_assert_uint_eq(pci_device_read(&device, cap + 8, 4), PBA | BAR);
	control(0xffff);
	ck_assert_uint_eq(pci_device_read(&device, cap + 2, 2),
			  ENABLE | MASKALL | (VECTORS - 1));
	ck_assert(pci_msix_enabled(msix));
	control(MASKALL);
	ck_assert(!pci_msix_enabled(msix));
}
END_TEST

START_TEST(pci_msix_new_without_interrupts_takes_none)
{
	struct pci_device other = {.ops = NULL};
	struct pci_msix *more;

	fake.msi_limit = 2 * VECTORS - 1;
	ck_assert_int_eq(pci_msix_new(&more, &fake.host, &other, &config),
			 -ENOSPC);
	ck_assert_uint_eq(fake.msi_count, VECTORS);
	fake.msi_limit++;
	ck_assert_int_eq(pci_msix_new(&more, &fake.host, &other, &config), 0);
	pci_msix_free(more);
	ck_assert_uint_eq(fake.msi_count, VECTORS);
}
END_TEST

START_TEST(pci_msix_new_with_the_most_vectors_works)
{
	free_msix();
	config.vectors = PCI_MSIX_VECTORS_MAX;
	make_msix();
	control(ENABLE);
	attach(0, PCI_MSIX_VECTORS_MAX - 1);
	program(PCI_MSIX_VECTORS_MAX - 1);
	ring(0);
	ck_assert(pending(PCI_MSIX_VECTORS_MAX - 1));
	ck_assert_uint_eq(pci_msix_pba_read(msix, 248, 8), UINT64_C(1) << 63);
	mask(PCI_MSIX_VECTORS_MAX - 1, false);
	ck_assert_uint_eq(came(PCI_MSIX_VECTORS_MAX - 1), 1);
}
END_TEST

START_TEST(pci_msix_table_all_masked_at_first)
{
	for (unsigned int i = 0; i < VECTORS; i++) {
		ck_assert_uint_eq(pci_msix_table_read(msix, 16 * i, 8), 0);
		ck_assert_uint_eq(pci_msix_table_read(msix, 16 * i + 8, 8),
				  UINT64_C(1) << 32);
	}
}
END_TEST

START_TEST(pci_msix_table_write_keeps_reserved_bits_0)
{
	for (unsigned int i = 0; i < 16; i += 8)
		pci_msix_table_write(msix, 16 * 3 + i, 8, UINT64_MAX);
	ck_assert_uint_eq(pci_msix_table_read(msix, 16 * 3, 8),
			  UINT64_C(0xfffffffffffffffc));
	ck_assert_uint_eq(pci_msix_table_read(msix, 16 * 3 + 8, 8),
			  UINT64_C(0x1ffffffff));
	ck_assert_uint_eq(pci_msix_table_read(msix, 16 * 2 + 8, 8),
			  UINT64_C(1) << 32);
	ck_assert_uint_eq(pci_msix_table_read(msix, 16 * 4, 8), 0);
}
END_TEST

/* Accesses of all sizes at all offsets do what those of bytes would. */
START_TEST(pci_msix_table_odd_accesses_are_those_of_their_bytes)
{
	static const unsigned int sizes[] = {1, 2, 3, 4, 5, 7, 8};
	uint8_t model[16 * VECTORS + 16] = {0};
	unsigned int seed = 1;

	for (unsigned int i = 0; i < VECTORS; i++)
		model[16 * i + CONTROL] = 1;
	for (unsigned int i = 0; i < 20000; i++) {
		unsigned int at =
			(unsigned int)rand_r(&seed) % (16 * VECTORS + 8);
		unsigned int size = sizes[(unsigned int)rand_r(&seed) % 7];
		uint64_t value = (uint64_t)rand_r(&seed) * 0x1234567;
		uint64_t expected = 0;

		pci_msix_table_write(msix, at, size, value);
		for (unsigned int j = 0; j < size; j++) {
			unsigned int in = (at + j) % 16;
			uint8_t byte = (uint8_t)(value >> 8 * j);

			if (at + j >= 16 * VECTORS)
				continue;
			if (in < CONTROL)
				model[at + j] = in ? byte : byte & 0xfc;
			else if (in == CONTROL)
				model[at + j] = byte & 1;
		}
		at = (unsigned int)rand_r(&seed) % (16 * VECTORS + 8);
		for (unsigned int j = 0; j < size; j++)
			expected |= (uint64_t)model[at + j] << 8 * j;
		ck_assert_uint_eq(pci_msix_table_read(msix, at, size),
				  expected);
	}
}
END_TEST

START_TEST(pci_msix_table_past_the_end_is_nothing)
{
	static const uint64_t offsets[] = {
		UINT64_C(16) * VECTORS,
		UINT64_C(16) * VECTORS + 1,
		0xfff,
		UINT32_MAX,
		UINT64_C(1) << 36,
		UINT64_MAX,
		UINT64_MAX - 7,
	};

	for (unsigned int i = 0; i < 7; i++) {
		pci_msix_table_write(msix, offsets[i], 8, UINT64_MAX);
		ck_assert_uint_eq(pci_msix_table_read(msix, offsets[i], 8), 0);
		ck_assert_uint_eq(pci_msix_pba_read(msix, offsets[i], 8), 0);
	}
	/* Across it. */
	pci_msix_table_write(msix, 16 * VECTORS - 8, 8, 0);
	pci_msix_table_write(msix, 16 * VECTORS - 2, 8, UINT64_MAX);
	ck_assert_uint_eq(pci_msix_table_read(msix, 16 * VECTORS - 8, 8), 0);
	ck_assert_uint_eq(pci_msix_attach(msix, fds[0], VECTORS), -EINVAL);
	ck_assert_uint_eq(pci_msix_attach(msix, fds[0], PCI_MSIX_NO_VECTOR),
			  -EINVAL);
	ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(pci_msix_pba_read_any_size_and_offset)
{
	static const unsigned int vectors[] = {0, 9, 63, 69};
	uint8_t bytes[24] = {0};

	for (unsigned int i = 0; i < 4; i++) {
		attach(i, vectors[i]);
		ring(i);
		bytes[vectors[i] / 8] |= (uint8_t)(1u << vectors[i] % 8);
	}
	for (unsigned int at = 0; at < 16; at++) {
		for (unsigned int size = 1; size <= 8; size++) {
			uint64_t expected = 0;

			for (unsigned int i = 0; i < size; i++)
				expected |= (uint64_t)bytes[at + i] << 8 * i;
			ck_assert_uint_eq(pci_msix_pba_read(msix, at, size),
					  expected);
		}
	}
}
END_TEST

/* --- Delivery ---------------------------------------------------------------
 */

START_TEST(pci_msix_attach_heard_while_enabled_and_unmasked)
{
	program(1);
	attach(0, 1);
	ck_assert(!heard(0));
	mask(1, false);
	ck_assert(!heard(0));
	control(ENABLE | MASKALL);
	ck_assert(!heard(0));
	control(ENABLE);
	ck_assert(heard(0));
	ring(0);
	/* On its way, whoever has looked at the eventfd. */
	ck_assert(!pending(1));
	ck_assert_uint_eq(came(1), 1);
	ck_assert(!pending(1));
	mask(1, true);
	ck_assert(!heard(0));
	mask(1, false);
	control(ENABLE | MASKALL);
	ck_assert(!heard(0));
	control(ENABLE);
	control(0);
	ck_assert(!heard(0));
	ck_assert_uint_eq(came(1), 1);
}
END_TEST

START_TEST(pci_msix_attach_to_open_vector_is_heard_at_once)
{
	control(ENABLE);
	program(1);
	mask(1, false);
	/* A route is only set once somebody can raise it. */
	ck_assert_uint_eq(fake.msis[1].routes, 0);
	ring(0);
	attach(0, 1);
	ck_assert_uint_eq(came(1), 1);
	attach(1, 1);
	ring(1);
	ck_assert_uint_eq(came(1), 2);
	ck_assert_int_eq(pci_msix_attach(msix, fds[0], 2), -EEXIST);
	pci_msix_detach(msix, fds[0]);
	ck_assert(!heard(0));
	ck_assert(heard(1));
	pci_msix_detach(msix, fds[0]);
	pci_msix_detach(msix, -1);
	ck_assert(heard(1));
}
END_TEST

START_TEST(pci_msix_masked_signals_are_pending_and_come_once)
{
	control(ENABLE);
	program(2);
	attach(0, 2);
	attach(1, 2);
	ck_assert(!pending(2));
	ring(0);
	ring(0);
	ring(0);
	ck_assert(pending(2));
	ck_assert_uint_eq(came(2), 0);
	mask(2, false);
	ck_assert_uint_eq(came(2), 1);
	ck_assert(!pending(2));
	mask(2, true);
	ck_assert(!pending(2));
	mask(2, false);
	ck_assert_uint_eq(came(2), 1);
}
END_TEST

START_TEST(pci_msix_function_mask_holds_all_back)
{
	control(ENABLE | MASKALL);
	for (unsigned int i = 0; i < FDS; i++) {
		program(i);
		mask(i, false);
		attach(i, i);
		ring(i);
	}
	for (unsigned int i = 0; i < FDS; i++)
		ck_assert(pending(i) && !came(i));
	mask(3, true);
	control(ENABLE);
	for (unsigned int i = 0; i < FDS; i++)
		ck_assert_uint_eq(came(i), i != 3);
	ck_assert(pending(3));
}
END_TEST

START_TEST(pci_msix_signal_just_before_mask_is_delivered)
{
	control(ENABLE);
	program(2);
	attach(0, 2);
	mask(2, false);
	ring(0);
	mask(2, true);
	ck_assert(!pending(2));
	ck_assert_uint_eq(came(2), 1);
}
END_TEST

START_TEST(pci_msix_route_is_set_once_for_each_change)
{
	control(ENABLE);
	attach(0, 2);
	program(2);
	ck_assert_uint_eq(fake.msis[2].routes, 0);
	mask(2, false);
	ck_assert_uint_eq(fake.msis[2].routes, 1);
	ck_assert_uint_eq(fake.msis[2].route.address, ADDRESS);
	ck_assert_uint_eq(fake.msis[2].route.data, DATA_OF + 2);
	ck_assert_uint_eq(fake.msis[2].route.device_id, SLOT << 3);
	for (unsigned int i = 0; i < 10; i++) {
		mask(2, true);
		mask(2, false);
		program(2);
	}
	ck_assert_uint_eq(fake.msis[2].routes, 1);
	mask(2, true);
	write_entry(2, PCI_MSIX_ENTRY_LOWER_ADDR, 0xfee02000);
	write_entry(2, PCI_MSIX_ENTRY_UPPER_ADDR, 1);
	ck_assert_uint_eq(fake.msis[2].routes, 1);
	mask(2, false);
	ck_assert_uint_eq(fake.msis[2].routes, 2);
	ck_assert_uint_eq(fake.msis[2].route.address, UINT64_C(0x1fee02000));
	/* While it is open, at once. */
	write_entry(2, PCI_MSIX_ENTRY_DATA, 7);
	ck_assert_uint_eq(fake.msis[2].route.data, 7);
	ck_assert(heard(0));
}
END_TEST

START_TEST(pci_msix_route_refused_vector_is_closed_until_it_works)
{
	control(ENABLE);
	program(2);
	attach(0, 2);
	mask(2, false);
	ck_assert(heard(0));
	fake.msi_route_error = -EINVAL;
	write_entry(2, PCI_MSIX_ENTRY_UPPER_ADDR, 0xff);
	ck_assert(!heard(0));
	ring(0);
	ck_assert(pending(2));
	/* Others go on. */
	fake.msi_route_error = 0;
	program(3);
	attach(1, 3);
	mask(3, false);
	ring(1);
	ck_assert_uint_eq(came(3), 1);
	write_entry(2, PCI_MSIX_ENTRY_UPPER_ADDR, 0);
	ck_assert(heard(0));
	ck_assert_uint_eq(came(2), 1);
}
END_TEST

START_TEST(pci_msix_attach_refused_by_host_leaves_nothing)
{
	control(ENABLE);
	program(2);
	mask(2, false);
	fake.irqfd_add_error = -ENOMEM;
	ck_assert_int_eq(pci_msix_attach(msix, fds[0], 2), -ENOMEM);
	fake.irqfd_add_error = 0;
	mask(2, true);
	ring(0);
	ck_assert(!pending(2));
	mask(2, false);
	ck_assert(!heard(0));
	attach(0, 2);
	ck_assert_uint_eq(came(2), 1);
	/* Or it is tried again with the next change. */
	mask(2, true);
	fake.irqfd_add_error = -ENOMEM;
	mask(2, false);
	ring(0);
	ck_assert(pending(2));
	fake.irqfd_add_error = 0;
	mask(2, true);
	mask(2, false);
	ck_assert_uint_eq(came(2), 2);
}
END_TEST

START_TEST(pci_msix_masked_callback_tells_changes_only)
{
	mask(4, true);
	ck_assert_uint_eq(told, 0);
	mask(4, false);
	ck_assert(told == 1 && told_vector == 4 && !told_masked);
	program(4);
	ck_assert_uint_eq(told, 1);
	control(ENABLE);
	ck_assert(told == 2 && told_vector == -1 && !told_masked);
	control(ENABLE);
	ck_assert_uint_eq(told, 2);
	control(ENABLE | MASKALL);
	ck_assert(told == 3 && told_vector == -1 && told_masked);
	/* Two vectors in one write: the end of 4, the start of 5. */
	pci_msix_table_write(msix, 16 * 4 + CONTROL, 8, 1);
	ck_assert(told == 4 && told_vector == 4 && told_masked);
}
END_TEST

START_TEST(pci_msix_reset_is_as_new)
{
	control(ENABLE);
	program(2);
	mask(2, false);
	attach(0, 2);
	attach(1, 3);
	pci_msix_reset(msix);
	pci_bus_device_ops.reset(bus);
	ck_assert(!heard(0));
	ck_assert_uint_eq(pci_msix_table_read(msix, 32, 8), 0);
	ck_assert(!pci_msix_enabled(msix));
	ring(1);
	ck_assert(!pending(3));
	control(ENABLE);
	mask(3, false);
	ck_assert(!heard(1));
	attach(1, 3);
	ck_assert(heard(1));
}
END_TEST

/* --- Masks and signals at once ----------------------------------------------
 */

#define SIGNALS 20000

static _Atomic unsigned int sent, done;

/* Wait for the one before to have come, whatever the masks do: then each
 * signal is one interrupt. */
static void *signal_one_by_one(void *ctx)
{
	(void)ctx;
	for (unsigned int i = 0; i < SIGNALS; i++) {
		sent++;
		eventfd_write(fds[0], 1);
		while (came(1) < sent && !done)
			sched_yield();
	}
	done = 1;
	return NULL;
}

static void *storm(void *ctx)
{
	(void)ctx;
	for (unsigned int i = 0; !done; i++) {
		mask(1, i % 2);
		if (i % 16 == 0)
			control(ENABLE | (i % 32 ? MASKALL : 0));
		pci_msix_pba_read(msix, 0, 8);
	}
	return NULL;
}

START_TEST(pci_msix_mask_storm_loses_and_doubles_nothing)
{
	pthread_t device_thread, storms[2];

	sent = done = 0;
	free_msix();
	config.masked = NULL;
	make_msix();
	program(1);
	attach(0, 1);
	control(ENABLE);
	pthread_create(&device_thread, NULL, signal_one_by_one, NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_create(&storms[i], NULL, storm, NULL);
	pthread_join(device_thread, NULL);
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(storms[i], NULL);
	control(ENABLE);
	mask(1, true);
	mask(1, false);
	ck_assert_uint_eq(came(1), SIGNALS);
	ck_assert_uint_eq(sent, SIGNALS);
}
END_TEST

/* --- State ------------------------------------------------------------------
 */

static json_t *save(void)
{
	json_t *state;

	ck_assert_int_eq(pci_msix_save(msix, &state), 0);
	return state;
}

/* Into a new one, as after a restore of the bus. */
static void restore_into_new(const json_t *state, uint32_t control_bits)
{
	struct error err;

	free_msix();
	fake_host_forget(&fake);
	make_msix();
	pci_device_set(&device, pci_msix_cap(msix) + 2, 2,
		       control_bits | (VECTORS - 1));
	ck_assert_msg(!pci_msix_restore(msix, state, &err), "%s", err.text);
}

static void empty(unsigned int fd)
{
	eventfd_t count;

	eventfd_read(fds[fd], &count);
}

START_TEST(pci_msix_save_leaves_all_as_it_is)
{
	control(ENABLE);
	program(1);
	program(66);
	mask(1, false);
	attach(0, 1);
	attach(1, 66);
	ring(1);
	json_decref(save());
	ck_assert(heard(0));
	ck_assert(pending(66));
	ring(0);
	mask(66, false);
	ck_assert_uint_eq(came(1), 1);
	ck_assert_uint_eq(came(66), 1);
}
END_TEST

START_TEST(pci_msix_restore_pending_comes_once_unmasked)
{
	json_t *state, *again;

	control(ENABLE);
	program(1);
	program(66);
	mask(1, false);
	attach(0, 1);
	attach(1, 66);
	ring(1);
	state = save();
	empty(1);
	restore_into_new(state, ENABLE);
	ck_assert(pci_msix_enabled(msix));
	ck_assert(pending(66));
	again = save();
	ck_assert(json_equal(state, again));
	attach(0, 1);
	attach(1, 66);
	ck_assert(heard(0) && !heard(1));
	ck_assert_uint_eq(came(66), 0);
	/* One more signal is the same pending bit. */
	mask(66, false);
	ck_assert_uint_eq(came(66), 1);
	ck_assert(!pending(66));
	mask(66, true);
	mask(66, false);
	ck_assert_uint_eq(came(66), 1);
	ck_assert_uint_eq(came(1), 0);
	json_decref(state);
	json_decref(again);
}
END_TEST

START_TEST(pci_msix_restore_pending_behind_function_mask_comes)
{
	json_t *state;

	control(ENABLE | MASKALL);
	program(1);
	program(2);
	mask(1, false);
	mask(2, false);
	attach(0, 1);
	attach(1, 2);
	ring(0);
	ring(1);
	state = save();
	restore_into_new(state, ENABLE | MASKALL);
	ck_assert_uint_eq(came(1), 0);
	fake.irqfd_add_error = -ENOMEM;
	control(ENABLE);
	ck_assert(pending(1) && pending(2));
	fake.irqfd_add_error = 0;
	control(ENABLE | MASKALL);
	control(ENABLE);
	ck_assert_uint_eq(came(1), 1);
	ck_assert_uint_eq(came(2), 1);
	ck_assert_uint_eq(fake.irqfd_count, 0);
	json_decref(state);
}
END_TEST

START_TEST(pci_msix_reset_forgets_restored_pending)
{
	json_t *state;

	program(1);
	attach(0, 1);
	ring(0);
	state = save();
	restore_into_new(state, 0);
	ck_assert(pending(1));
	pci_msix_reset(msix);
	ck_assert(!pending(1));
	program(1);
	mask(1, false);
	control(ENABLE);
	ck_assert_uint_eq(came(1), 0);
	json_decref(state);
}
END_TEST

static void damage(json_t *state, int how)
{
	uint8_t table[16 * VECTORS] = {0};
	uint8_t bits[16] = {0};

	switch (how) {
	case 0:
		json_object_del(state, "table");
		break;
	case 1:
		json_object_set_new(state, "pending", json_blob(bits, 15));
		break;
	case 2:
		json_object_set_new(state, "table",
				    json_blob(table, sizeof(table) - 16));
		break;
	case 3: /* a vector that there is not */
		bits[VECTORS / 8] = 1u << VECTORS % 8;
		json_object_set_new(state, "pending",
				    json_blob(bits, sizeof(bits)));
		break;
	case 4: /* reserved bits */
		table[16 + CONTROL + 1] = 1;
		json_object_set_new(state, "table",
				    json_blob(table, sizeof(table)));
		break;
	case 5:
		table[32] = 1;
		json_object_set_new(state, "table",
				    json_blob(table, sizeof(table)));
		break;
	case 6:
		json_object_set_new(state, "table", json_integer(1));
		break;
	default:
		json_object_set_new(state, "more", json_true());
		break;
	}
}

START_TEST(pci_msix_restore_bad_state_is_refused_unchanged)
{
	struct error err = {0};
	json_t *state, *before, *after;

	control(ENABLE);
	program(1);
	mask(1, false);
	attach(0, 1);
	state = save();
	before = save();
	damage(state, _i);
	ck_assert_int_eq(pci_msix_restore(msix, state, &err), -EINVAL);
	ck_assert_uint_gt(strlen(err.text), 0);
	after = save();
	ck_assert(json_equal(before, after));
	ck_assert(heard(0));
	ck_assert_int_eq(pci_msix_restore(msix, NULL, &err), -EINVAL);
	json_decref(state);
	json_decref(before);
	json_decref(after);
}
END_TEST

static void add_access_tests(TCase *tc)
{
	tcase_add_test(tc, pci_msix_new_capability_says_where);
	tcase_add_test(tc, pci_msix_new_without_interrupts_takes_none);
	tcase_add_test(tc, pci_msix_new_with_the_most_vectors_works);
	tcase_add_test(tc, pci_msix_table_all_masked_at_first);
	tcase_add_test(tc, pci_msix_table_write_keeps_reserved_bits_0);
	tcase_add_test(tc,
		       pci_msix_table_odd_accesses_are_those_of_their_bytes);
	tcase_add_test(tc, pci_msix_table_past_the_end_is_nothing);
	tcase_add_test(tc, pci_msix_pba_read_any_size_and_offset);
}

static void add_delivery_tests(TCase *tc)
{
	tcase_add_test(tc, pci_msix_attach_heard_while_enabled_and_unmasked);
	tcase_add_test(tc, pci_msix_attach_to_open_vector_is_heard_at_once);
	tcase_add_test(tc, pci_msix_masked_signals_are_pending_and_come_once);
	tcase_add_test(tc, pci_msix_function_mask_holds_all_back);
	tcase_add_test(tc, pci_msix_signal_just_before_mask_is_delivered);
	tcase_add_test(tc, pci_msix_route_is_set_once_for_each_change);
	tcase_add_test(tc,
		       pci_msix_route_refused_vector_is_closed_until_it_works);
	tcase_add_test(tc, pci_msix_attach_refused_by_host_leaves_nothing);
	tcase_add_test(tc, pci_msix_masked_callback_tells_changes_only);
	tcase_add_test(tc, pci_msix_reset_is_as_new);
	tcase_add_test(tc, pci_msix_mask_storm_loses_and_doubles_nothing);
}

static void add_state_tests(TCase *tc)
{
	tcase_add_test(tc, pci_msix_save_leaves_all_as_it_is);
	tcase_add_test(tc, pci_msix_restore_pending_comes_once_unmasked);
	tcase_add_test(tc, pci_msix_restore_pending_behind_function_mask_comes);
	tcase_add_test(tc, pci_msix_reset_forgets_restored_pending);
	tcase_add_loop_test(tc, pci_msix_restore_bad_state_is_refused_unchanged,
			    0, 8);
}

int main(void)
{
	Suite *suite = suite_create("msix");
	TCase *tc = tcase_create("msix");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	add_access_tests(tc);
	add_delivery_tests(tc);
	add_state_tests(tc);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
