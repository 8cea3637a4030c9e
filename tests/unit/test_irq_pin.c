/* An interrupt line that several devices share. */
#include "vmm/base/irq_pin.h"

#include <pthread.h>
#include <stdlib.h>

#include <check.h>

#include "tests/unit/support/fake_host.h"

#define GSI 20

static struct fake_host fake;
static struct irq_pin pin;

static void setup(void)
{
	fake_host_init(&fake);
	irq_pin_init(&pin, &fake.host, GSI);
}

START_TEST(irq_pin_set_line_is_high_while_one_source_is)
{
	irq_pin_set(&pin, 0, true);
	ck_assert(fake.irq_level[GSI]);
	irq_pin_set(&pin, IRQ_PIN_SOURCES - 1, true);
	irq_pin_set(&pin, 0, false);
	ck_assert(fake.irq_level[GSI]);
	/* Again what it is already. */
	irq_pin_set(&pin, 0, false);
	irq_pin_set(&pin, IRQ_PIN_SOURCES - 1, true);
	ck_assert(fake.irq_level[GSI]);
	irq_pin_set(&pin, IRQ_PIN_SOURCES - 1, false);
	ck_assert(!fake.irq_level[GSI]);
	ck_assert_uint_eq(fake.irq_edges[GSI], 1);
	irq_pin_fini(&pin);
}
END_TEST

START_TEST(irq_pin_set_each_source_alone)
{
	for (unsigned int i = 0; i < IRQ_PIN_SOURCES; i++) {
		irq_pin_set(&pin, i, true);
		ck_assert(fake.irq_level[GSI]);
		irq_pin_set(&pin, i, false);
		ck_assert(!fake.irq_level[GSI]);
	}
	irq_pin_fini(&pin);
}
END_TEST

START_TEST(irq_pin_fini_lowers_line)
{
	irq_pin_set(&pin, 3, true);
	irq_pin_fini(&pin);
	ck_assert(!fake.irq_level[GSI]);
}
END_TEST

#define TOGGLES 20000

static void *toggle(void *ctx)
{
	unsigned int source = *(unsigned int *)ctx;

	for (unsigned int i = 0; i < TOGGLES; i++)
		irq_pin_set(&pin, source, i % 2);
	irq_pin_set(&pin, source, source == 1);
	return NULL;
}

START_TEST(irq_pin_set_from_threads_ends_at_the_last_level)
{
	unsigned int sources[] = {1, 2, 63};
	pthread_t threads[3];

	for (unsigned int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, toggle, &sources[i]);
	for (unsigned int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	ck_assert(fake.irq_level[GSI]);
	irq_pin_set(&pin, 1, false);
	ck_assert(!fake.irq_level[GSI]);
	irq_pin_fini(&pin);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("irq_pin");
	TCase *tc = tcase_create("irq_pin");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, irq_pin_set_line_is_high_while_one_source_is);
	tcase_add_test(tc, irq_pin_set_each_source_alone);
	tcase_add_test(tc, irq_pin_fini_lowers_line);
	tcase_add_test(tc, irq_pin_set_from_threads_ends_at_the_last_level);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
