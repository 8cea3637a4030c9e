/* AML: encodings against ACPI 6.5, chapters 20 and 6.4, and misuse. */
#include "acpi/aml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

static struct aml aml;

static void setup(void)
{
	aml_init(&aml);
}

static void teardown(void)
{
	aml_fini(&aml);
}

/* What was encoded is exactly these bytes. */
#define CHECK_BYTES(...)                            \
	check_bytes((const uint8_t[]){__VA_ARGS__}, \
		    sizeof((const uint8_t[]){__VA_ARGS__}))

static void check_bytes(const uint8_t *expected, size_t expected_len)
{
	const uint8_t *code;
	size_t len;

	ck_assert_int_eq(aml_finish(&aml, &code, &len), 0);
	ck_assert_uint_eq(len, expected_len);
	ck_assert_mem_eq(code, expected, len);
}

static void check_misuse(void)
{
	const uint8_t *code;
	size_t len;

	ck_assert_int_eq(aml_finish(&aml, &code, &len), -EINVAL);
}

START_TEST(aml_term_integer_takes_the_shortest_form)
{
	aml_term(&aml, AML_INT(0));
	aml_term(&aml, AML_INT(1));
	aml_term(&aml, AML_INT(2));
	aml_term(&aml, AML_INT(0xff));
	aml_term(&aml, AML_INT(0x100));
	aml_term(&aml, AML_INT(0xffff));
	aml_term(&aml, AML_INT(0x10000));
	aml_term(&aml, AML_INT(0xffffffff));
	aml_term(&aml, AML_INT(0x100000000));
	aml_term(&aml, AML_INT(UINT64_MAX));
	CHECK_BYTES(0x00, 0x01, 0x0a, 2, 0x0a, 0xff, 0x0b, 0, 1, 0x0b, 0xff,
		    0xff, 0x0c, 0, 0, 1, 0, 0x0c, 0xff, 0xff, 0xff, 0xff, 0x0e,
		    0, 0, 0, 0, 1, 0, 0, 0, 0xff);
}
END_TEST

START_TEST(aml_term_string_ends_with_nul)
{
	aml_term(&aml, AML_STRING("QEMU0001"));
	CHECK_BYTES(0x0d, 'Q', 'E', 'M', 'U', '0', '0', '0', '1', 0);
}
END_TEST

START_TEST(aml_term_eisaid_is_compressed)
{
	/* 0x090CD041 (19.3.4). */
	aml_term(&aml, AML_EISAID("PNP0C09"));
	CHECK_BYTES(0x0c, 0x41, 0xd0, 0x0c, 0x09);
}
END_TEST

START_TEST(aml_term_paths_have_the_prefix_of_their_length)
{
	/* 20.2.2 */
	aml_term(&aml, AML_PATH("\\"));
	aml_term(&aml, AML_PATH("_SB"));
	aml_term(&aml, AML_PATH("\\_SB.PCI0"));
	aml_term(&aml, AML_PATH("^^_S5"));
	aml_term(&aml, AML_PATH("A.B1.C_2D"));
	CHECK_BYTES('\\', 0, '_', 'S', 'B', '_', '\\', 0x2e, '_', 'S', 'B', '_',
		    'P', 'C', 'I', '0', '^', '^', '_', 'S', '5', '_', 0x2f, 3,
		    'A', '_', '_', '_', 'B', '1', '_', '_', 'C', '_', '2', 'D');
}
END_TEST

START_TEST(aml_term_operators_stand_before_their_operands)
{
	aml_term(&aml, AML_AND(AML_LOCAL(7), AML_INT(1)));
	aml_term(&aml, AML_EQUAL(AML_ARG(6), AML_AND(AML_ARG(0), AML_INT(2))));
	CHECK_BYTES(0x7b, 0x67, 0x01, 0x00, 0x93, 0x6e, 0x7b, 0x68, 0x0a, 2,
		    0x00);
}
END_TEST

static const char *const bad_paths[] = {
	"",   "1A",   "a",    "ABCDE", "A..B", "A.",
	".A", "\\^A", "^\\A", "A B",   "^.A",  "\\.A",
};

START_TEST(aml_term_malformed_path_is_refused)
{
	aml_term(&aml, AML_PATH(bad_paths[_i]));
	check_misuse();
}
END_TEST

static const struct aml_term bad_terms[] = {
	{.kind = AML_TERM_EISAID, .text = "PNP0C9"},
	{.kind = AML_TERM_EISAID, .text = "pNP0C09"},
	{.kind = AML_TERM_EISAID, .text = "PNP0C0G"},
	{.kind = AML_TERM_STRING, .text = "\xc3\xa4"},
	{.kind = AML_TERM_LOCAL, .value = 8},
	{.kind = AML_TERM_ARG, .value = 7},
};

START_TEST(aml_term_out_of_range_is_refused)
{
	aml_term(&aml, &bad_terms[_i]);
	check_misuse();
}
END_TEST

/*
 * PkgLength: the largest content of each width, and one byte more. The length
 * counts itself and, in a buffer, the BufferSize that stands before the bytes.
 */
static const struct {
	size_t data; /* bytes in the buffer */
	uint8_t head[9];
	size_t head_len;
} pkg_lengths[] = {
	{0, {0x11, 0x02, 0x00}, 3},
	{60, {0x11, 0x3f, 0x0a, 60}, 4},
	{61, {0x11, 0x41, 0x04, 0x0a, 61}, 5},
	{4090, {0x11, 0x4f, 0xff, 0x0b, 0xfa, 0x0f}, 6},
	{4091, {0x11, 0x81, 0x00, 0x01, 0x0b, 0xfb, 0x0f}, 7},
	{0xffff7, {0x11, 0x8f, 0xff, 0xff, 0x0c, 0xf7, 0xff, 0x0f, 0x00}, 9},
	{0xffff8, {0x11, 0xc1, 0x00, 0x00, 0x01, 0x0c, 0xf8, 0xff, 0x0f}, 9},
};

START_TEST(aml_buffer_lengths_at_the_boundaries_are_right)
{
	size_t size = pkg_lengths[_i].data, len;
	uint8_t *data = malloc(size + 1);
	const uint8_t *code;

	ck_assert_ptr_nonnull(data);
	memset(data, 0xa5, size + 1);
	aml_buffer(&aml, data, size);
	ck_assert_int_eq(aml_finish(&aml, &code, &len), 0);
	ck_assert_mem_eq(code, pkg_lengths[_i].head, pkg_lengths[_i].head_len);
	ck_assert_mem_eq(code + len - size, data, size);
	free(data);
}
END_TEST

START_TEST(aml_field_skip_beyond_a_pkg_length_is_refused)
{
	aml_field_begin(&aml, "REGS", AML_BYTE_ACC);
	aml_field_skip(&aml, 0x0fffffff + 1);
	aml_field_end(&aml);
	check_misuse();
}
END_TEST

START_TEST(aml_device_end_nested_gives_each_its_length)
{
	aml_scope_begin(&aml, "\\_SB");
	aml_device_begin(&aml, "PWRB");
	aml_name(&aml, "_HID", AML_EISAID("PNP0C0C"));
	aml_device_end(&aml);
	aml_scope_end(&aml);
	CHECK_BYTES(0x10, 0x17, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 0x0f, 'P',
		    'W', 'R', 'B', 0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0,
		    0x0c, 0x0c);
}
END_TEST

START_TEST(aml_package_begin_elements_are_counted)
{
	aml_name_of(&aml, "_S5");
	aml_package_begin(&aml, 2);
	aml_term(&aml, AML_INT(5));
	aml_term(&aml, AML_INT(0));
	aml_package_end(&aml);
	CHECK_BYTES(0x08, '_', 'S', '5', '_', 0x12, 5, 2, 0x0a, 5, 0);
}
END_TEST

START_TEST(aml_method_begin_body_is_encoded)
{
	aml_method_begin(&aml, "_EVT", 1, true);
	aml_store(&aml, AML_PATH("EVNT"), AML_LOCAL(0));
	aml_if_begin(&aml, AML_AND(AML_LOCAL(0), AML_INT(1)));
	aml_notify(&aml, "PWRB", 0x80);
	aml_if_end(&aml);
	aml_return(&aml, AML_LOCAL(0));
	aml_method_end(&aml);
	CHECK_BYTES(0x14, 0x1b, '_', 'E', 'V', 'T', 0x09, 0x70, 'E', 'V', 'N',
		    'T', 0x60, 0xa0, 0x0c, 0x7b, 0x60, 0x01, 0x00, 0x86, 'P',
		    'W', 'R', 'B', 0x0a, 0x80, 0xa4, 0x60);
}
END_TEST

START_TEST(aml_field_begin_units_have_their_bits)
{
	aml_operation_region(&aml, "REGS", AML_SYSTEM_IO, 0x505, 4);
	aml_field_begin(&aml, "REGS", AML_BYTE_ACC);
	aml_field_unit(&aml, "ONE", 8);
	aml_field_skip(&aml, 64);
	aml_field_end(&aml);
	CHECK_BYTES(0x5b, 0x80, 'R', 'E', 'G', 'S', 0x01, 0x0b, 0x05, 0x05,
		    0x0a, 4, 0x5b, 0x81, 0x0e, 'R', 'E', 'G', 'S', 0x01, 'O',
		    'N', 'E', '_', 8, 0x00, 0x40, 0x04);
}
END_TEST

START_TEST(aml_resources_begin_small_items_are_encoded)
{
	aml_resources_begin(&aml, "_CRS");
	aml_io(&aml, 0x3f8, 8);
	aml_memory32_fixed(&aml, 0xe0000000, 0x100000);
	aml_interrupt(&aml, AML_EDGE, 4);
	aml_interrupt(&aml, AML_LEVEL, 9);
	aml_interrupt_shared(&aml, 20);
	aml_resources_end(&aml);
	CHECK_BYTES(0x08, '_', 'C', 'R', 'S', 0x11, 0x34, 0x0a, 0x31,
		    /* IO */
		    0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 1, 8,
		    /* Memory32Fixed */
		    0x86, 9, 0, 1, 0, 0, 0, 0xe0, 0, 0, 0x10, 0,
		    /* Interrupt */
		    0x89, 6, 0, 0x03, 1, 4, 0, 0, 0,
		    /* Interrupt */
		    0x89, 6, 0, 0x01, 1, 9, 0, 0, 0,
		    /* Interrupt: level, high, shared */
		    0x89, 6, 0, 0x09, 1, 20, 0, 0, 0,
		    /* EndTag */
		    0x79, 0);
}
END_TEST

START_TEST(aml_resources_begin_windows_are_encoded)
{
	aml_resources_begin(&aml, "_CRS");
	aml_word_bus_number(&aml, 0, 1);
	aml_word_io(&aml, 0xd00, 0xf300);
	aml_dword_memory(&aml, 0xc0000000, 0x20000000);
	aml_qword_memory(&aml, 0x1000000000, 0x1000000000);
	aml_resources_end(&aml);
	CHECK_BYTES(0x08, '_', 'C', 'R', 'S', 0x11, 0x4e, 0x06, 0x0a, 0x6a,
		    /* WordBusNumber */
		    0x88, 0x0d, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0,
		    /* WordIO */
		    0x88, 0x0d, 0, 1, 0x0c, 3, 0, 0, 0, 0x0d, 0xff, 0xff, 0, 0,
		    0, 0xf3,
		    /* DWordMemory */
		    0x87, 0x17, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff,
		    0xff, 0xff, 0xdf, 0, 0, 0, 0, 0, 0, 0, 0x20,
		    /* QWordMemory */
		    0x8a, 0x2b, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		    0, 0x10, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0, 0, 0,
		    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0,
		    /* EndTag */
		    0x79, 0);
}
END_TEST

START_TEST(aml_word_io_outside_its_width_is_refused)
{
	aml_resources_begin(&aml, "_CRS");
	if (_i == 0)
		aml_word_io(&aml, 0xff00, 0x101);
	else if (_i == 1)
		aml_word_io(&aml, 0, 0);
	else
		aml_qword_memory(&aml, UINT64_MAX, 2);
	aml_resources_end(&aml);
	check_misuse();
}
END_TEST

START_TEST(aml_finish_unbalanced_is_refused)
{
	switch (_i) {
	case 0: /* left open */
		aml_device_begin(&aml, "ABCD");
		break;
	case 1: /* closed as another */
		aml_device_begin(&aml, "ABCD");
		aml_scope_end(&aml);
		break;
	case 2: /* never opened */
		aml_if_end(&aml);
		break;
	case 3:
		aml_resources_end(&aml);
		break;
	default: /* too deep */
		for (unsigned int i = 0; i <= AML_DEPTH_MAX; i++)
			aml_scope_begin(&aml, "ABCD");
		for (unsigned int i = 0; i < AML_DEPTH_MAX; i++)
			aml_scope_end(&aml);
		break;
	}
	check_misuse();
}
END_TEST

START_TEST(aml_finish_error_sticks)
{
	size_t len;

	aml_term(&aml, AML_PATH("bad"));
	len = aml.code.len;
	aml_name(&aml, "GOOD", AML_INT(1));
	ck_assert_uint_eq(aml.code.len, len);
	check_misuse();
}
END_TEST

#define LOOP(tcase, test, array)            \
	tcase_add_loop_test(tcase, test, 0, \
			    (int)(sizeof(array) / sizeof((array)[0])))

static Suite *suite(void)
{
	Suite *s = suite_create("aml");
	TCase *tc = tcase_create("encoding");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, aml_term_integer_takes_the_shortest_form);
	tcase_add_test(tc, aml_term_string_ends_with_nul);
	tcase_add_test(tc, aml_term_eisaid_is_compressed);
	tcase_add_test(tc, aml_term_paths_have_the_prefix_of_their_length);
	tcase_add_test(tc, aml_term_operators_stand_before_their_operands);
	LOOP(tc, aml_buffer_lengths_at_the_boundaries_are_right, pkg_lengths);
	tcase_add_test(tc, aml_device_end_nested_gives_each_its_length);
	tcase_add_test(tc, aml_package_begin_elements_are_counted);
	tcase_add_test(tc, aml_method_begin_body_is_encoded);
	tcase_add_test(tc, aml_field_begin_units_have_their_bits);
	tcase_add_test(tc, aml_resources_begin_small_items_are_encoded);
	tcase_add_test(tc, aml_resources_begin_windows_are_encoded);
	suite_add_tcase(s, tc);

	tc = tcase_create("misuse");
	tcase_add_checked_fixture(tc, setup, teardown);
	LOOP(tc, aml_term_malformed_path_is_refused, bad_paths);
	LOOP(tc, aml_term_out_of_range_is_refused, bad_terms);
	tcase_add_test(tc, aml_field_skip_beyond_a_pkg_length_is_refused);
	tcase_add_loop_test(tc, aml_word_io_outside_its_width_is_refused, 0, 3);
	tcase_add_loop_test(tc, aml_finish_unbalanced_is_refused, 0, 5);
	tcase_add_test(tc, aml_finish_error_sticks);
	suite_add_tcase(s, tc);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
