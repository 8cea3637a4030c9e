/* Base64, both ways, and what is not base64. */
#include "vmm/base/base64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <check.h>

/* RFC 4648, section 10, and all bits. */
static const struct {
	const char *data;
	const char *text;
} vectors[] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xff\xfe", "///+"},
};
#define VECTORS ((int)(sizeof(vectors) / sizeof(vectors[0])))

START_TEST(encode_of_vector_gives_its_text)
{
	size_t len = strlen(vectors[_i].data);
	char text[16];

	base64_encode(text, (const uint8_t *)vectors[_i].data, len);
	ck_assert_str_eq(text, vectors[_i].text);
	ck_assert_uint_eq(strlen(text), BASE64_LEN(len));
}
END_TEST

START_TEST(decode_of_vector_gives_its_data)
{
	size_t text_len = strlen(vectors[_i].text), len;
	uint8_t data[16];

	ck_assert_int_eq(base64_decode(data, &len, vectors[_i].text, text_len),
			 0);
	ck_assert_uint_eq(len, strlen(vectors[_i].data));
	ck_assert_mem_eq(data, vectors[_i].data, len);
}
END_TEST

static const char *const refused[] = {
	"A",	"AA",	 "AAA",	     "AAAAA",	 "====",
	"A===", "AA=A",	 "=AAA",     "AA==AAAA", "AAA=AAA=",
	"Zh==", "Zm9=",	 "Zm9v\n",   " Zm9",	 "Zm9_",
	"Zm9-", "Zm\0v", "Zm9v====", "\xc3\xa9", "AAAA\0\0\0",
};
static const size_t refused_len[] = {
	1, 2, 3, 5, 4, 4, 4, 4, 8, 8, 4, 4, 5, 4, 4, 4, 4, 8, 2, 7,
};
#define REFUSED ((int)(sizeof(refused) / sizeof(refused[0])))

START_TEST(decode_of_other_text_is_refused)
{
	uint8_t data[16];
	size_t len;

	ck_assert_int_eq(
		base64_decode(data, &len, refused[_i], refused_len[_i]),
		-EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("base64");
	TCase *tcase = tcase_create("base64");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, encode_of_vector_gives_its_text, 0, VECTORS);
	tcase_add_loop_test(tcase, decode_of_vector_gives_its_data, 0, VECTORS);
	tcase_add_loop_test(tcase, decode_of_other_text_is_refused, 0, REFUSED);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
