/* The GICv2m frame: what it shows, what a write to it raises, and the routes
 * that messages to it become. */
#include "arch/aarch64/v2m.h"

#include <errno.h>
#include <string.h>

#include <check.h>

#include "arch/aarch64/layout.h"
#include "tests/unit/support/fake_host.h"

#define TYPER  0x008
#define SETSPI 0x040
#define IIDR   0xfcc

#define FIRST (INTID_SPI + SPI_V2M)
#define LAST  (INTID_SPI + SPI_COUNT - 1)

static struct fake_host fake;
static struct v2m *v2m;

static void setup(void)
{
	fake_host_init(&fake);
	ck_assert_int_eq(v2m_new(&v2m, &fake.host), 0);
}

static void teardown(void)
{
	v2m_device_ops.free(v2m);
	ck_assert_uint_eq(fake_host_ranges(&fake), 0);
}

static uint64_t get(uint64_t offset)
{
	return fake_host_read(&fake, BUS_MMIO, LAYOUT_GIC_V2M + offset, 4);
}

static void put(uint64_t offset, uint64_t value)
{
	fake_host_write(&fake, BUS_MMIO, LAYOUT_GIC_V2M + offset, 4, value);
}

static unsigned int edges(void)
{
	unsigned int sum = 0;

	for (unsigned int i = 0; i < FAKE_HOST_GSIS; i++) {
		ck_assert(!fake.irq_level[i]);
		sum += fake.irq_edges[i];
	}
	return sum;
}

START_TEST(new_place_taken_fails)
{
	struct v2m *second;

	ck_assert_int_eq(v2m_new(&second, &fake.host), -EEXIST);
	ck_assert_uint_eq(fake_host_ranges(&fake), 1);
}
END_TEST

START_TEST(read_shows_the_interrupts_and_who_made_it)
{
	ck_assert_uint_eq(get(TYPER), FIRST << 16 | SPI_V2M_COUNT);
	ck_assert_uint_eq(get(IIDR) & 0xfff, 0x43b);
	ck_assert_uint_eq(get(0), 0);
	ck_assert_uint_eq(get(SETSPI), 0);
}
END_TEST

/* An edge, since the line goes down again. */
START_TEST(write_of_one_of_its_interrupts_raises_it)
{
	put(SETSPI, FIRST);
	ck_assert_uint_eq(fake.irq_edges[SPI_V2M], 1);
	put(SETSPI, FIRST + 2);
	ck_assert_uint_eq(fake.irq_edges[SPI_V2M + 2], 1);
	ck_assert_uint_eq(edges(), 2);
}
END_TEST

START_TEST(write_of_others_or_elsewhere_raises_nothing)
{
	put(SETSPI, FIRST - 1);
	put(SETSPI, LAST + 1);
	put(SETSPI, 0);
	put(SETSPI, UINT32_MAX);
	put(SETSPI + 4, FIRST);
	put(TYPER, FIRST);
	ck_assert_uint_eq(edges(), 0);
}
END_TEST

START_TEST(route_of_its_messages_is_the_interrupt)
{
	static const uint32_t intids[] = {FIRST, FIRST + 7, LAST};

	for (unsigned int i = 0; i < 3; i++) {
		const struct host_msi msi = {
			.address = LAYOUT_GIC_V2M + SETSPI,
			.data = intids[i],
		};
		struct kvm_irq_routing_entry entry;

		memset(&entry, 0xff, sizeof(entry));
		entry.gsi = 300;
		ck_assert_int_eq(v2m_route(&msi, &entry), 0);
		ck_assert_uint_eq(entry.gsi, 300);
		ck_assert_uint_eq(entry.type, KVM_IRQ_ROUTING_IRQCHIP);
		ck_assert_uint_eq(entry.flags, 0);
		ck_assert_uint_eq(entry.u.irqchip.irqchip, 0);
		ck_assert_uint_eq(entry.u.irqchip.pin, intids[i] - INTID_SPI);
	}
}
END_TEST

START_TEST(route_of_other_messages_is_refused)
{
	static const struct host_msi messages[] = {
		{.address = LAYOUT_GIC_V2M, .data = FIRST},
		{.address = LAYOUT_GIC_V2M + SETSPI + 4, .data = FIRST},
		{.address = LAYOUT_GIC_ITS + SETSPI, .data = FIRST},
		{.address = LAYOUT_GIC_V2M + SETSPI, .data = FIRST - 1},
		{.address = LAYOUT_GIC_V2M + SETSPI, .data = LAST + 1},
		{.address = LAYOUT_GIC_V2M + SETSPI, .data = UINT32_MAX},
	};
	struct kvm_irq_routing_entry entry = {.gsi = 300};

	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++)
		ck_assert_int_eq(v2m_route(&messages[i], &entry), -EINVAL);
	ck_assert_uint_eq(entry.gsi, 300);
}
END_TEST

START_TEST(restore_takes_what_was_saved_and_nothing_else)
{
	struct error err = {.text = ""};
	json_t *state;

	ck_assert_int_eq(v2m_device_ops.save(v2m, &state), 0);
	v2m_device_ops.reset(v2m);
	ck_assert_int_eq(v2m_device_ops.restore(v2m, state, &err), 0);
	json_object_set_new(state, "surplus", json_true());
	ck_assert_int_eq(v2m_device_ops.restore(v2m, state, &err), -EINVAL);
	ck_assert_int_eq(v2m_device_ops.restore(v2m, NULL, &err), -EINVAL);
	ck_assert_uint_eq(edges(), 0);
	json_decref(state);
}
END_TEST

static Suite *v2m_suite(void)
{
	Suite *suite = suite_create("v2m");
	TCase *tc = tcase_create("v2m");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, new_place_taken_fails);
	tcase_add_test(tc, read_shows_the_interrupts_and_who_made_it);
	tcase_add_test(tc, write_of_one_of_its_interrupts_raises_it);
	tcase_add_test(tc, write_of_others_or_elsewhere_raises_nothing);
	tcase_add_test(tc, route_of_its_messages_is_the_interrupt);
	tcase_add_test(tc, route_of_other_messages_is_refused);
	tcase_add_test(tc, restore_takes_what_was_saved_and_nothing_else);
	suite_add_tcase(suite, tc);
	return suite;
}

int main(void)
{
	SRunner *runner = srunner_create(v2m_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
