/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages: questions, answers, aliases in any order; and what a hostile one holds. */
#include "enrich/dns.h"

#include <stdlib.h>

#include "dns-build.h"
#include "tap.h"

static struct dns_message m;

/* From a copy of its own, so that a read beyond it is found. */
static int parse(const struct dns_build *b, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, b->bytes, len);
	r = dns_parse(copy, len, &m);
	free(copy);
	return r;
}

static bool is(const struct dns_name *n, const char *text)
{
	return n->len == strlen(text) && !memcmp(n->text, text, n->len);
}

static void check_plain(void)
{
	static const uint8_t v6[16] = {0xfd, [15] = 9};
	struct dns_build b;

	dns_head(&b, 7, 0x0100, 1, 0);
	dns_question(&b, "www.Example.test", 28);
	tap_is_int(parse(&b, b.len), 0, "a question");
	tap_ok(m.id == 7 && !m.response && m.has_question && m.type == 28 && !m.n_answers &&
			is(&m.question, "www.Example.test"),
		"its id, type and name");

	dns_head(&b, 8, 0x8183, 1, 4);
	dns_question(&b, "www.example.test", 1);
	dns_address(&b, "www.example.test", 300, (const uint8_t[]){10, 1, 2, 3});
	dns_put(&b, "\xc0\x0c", 2);
	dns_data(&b, 28, 5, v6, 16);
	dns_put(&b, "\xc0\x0c", 2);
	dns_data(&b, 16, 5, "\3txt", 4);
	dns_put(&b, "\xc0\x10", 2); /* example.test */
	dns_data(&b, 1, 0x80000001, "\12\1\2\4", 4);
	tap_is_int(parse(&b, b.len), 0, "an answer");
	tap_ok(m.response && m.rcode == 3 && m.n_answers == 3, "its code and answers kept");
	tap_ok(m.answer[0].type == 1 && m.answer[0].asked && m.answer[0].ttl_s == 300 &&
			!memcmp(m.answer[0].addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\12\1\2\3", 16),
		"IPv4, mapped");
	tap_ok(m.answer[1].type == 28 && m.answer[1].asked && !memcmp(m.answer[1].addr, v6, 16),
		"IPv6 by a pointer");
	tap_ok(is(&m.answer[2].owner, "example.test") && !m.answer[2].asked && !m.answer[2].ttl_s,
		"an owner nobody asked for is marked; a TTL with its sign is none");

	dns_head(&b, 8, 0x0100, 1, 0);
	dns_question(&b, "", 2);
	tap_ok(parse(&b, b.len) == 0 && is(&m.question, "."), "the root");
	dns_head(&b, 8, 0x8181, 0, 0);
	tap_ok(parse(&b, b.len) == 0 && !m.has_question && m.rcode == 1, "a code alone");
	dns_head(&b, 8, 0x2800, 1, 0);
	dns_question(&b, "x", 6);
	tap_is_int(parse(&b, b.len), DNS_E_OTHER, "an update is no query");
	dns_head(&b, 8, 0x0100, 2, 0);
	tap_is_int(parse(&b, b.len), DNS_E_OTHER, "nor are two questions");
}

static void check_aliases(void)
{
	static const uint8_t addr[] = {10, 1, 2, 3};
	struct dns_build b;

	dns_head(&b, 8, 0x8180, 1, 5);
	dns_question(&b, "a.test", 1);
	dns_address(&b, "c.TEST", 60, addr);
	dns_alias(&b, "b.test", "C.test");
	dns_alias(&b, "A.test", "b.test");
	dns_address(&b, "d.test", 60, addr);
	dns_alias(&b, "c.test", "a.test");
	tap_is_int(parse(&b, b.len), 0, "aliases backwards, one of them in a circle");
	tap_is_int(m.n_answers, 5, "all are kept");
	tap_ok(m.answer[0].asked && m.answer[1].asked && m.answer[2].asked && m.answer[4].asked,
		"those that the name leads to are marked");
	tap_ok(!m.answer[3].asked, "an address of another name is not");
	dns_head(&b, 8, 0x8180, 1, 40);
	dns_question(&b, "a.test", 1);
	for (unsigned i = 0; i < 40; i++)
		dns_address(&b, "a.test", 60, addr);
	tap_is_int(parse(&b, b.len), 0, "40 addresses");
	tap_is_int(m.n_answers, DNS_ANSWERS_MAX, "as many as there is room for");
	dns_head(&b, 8, 0x8180, 1, 2);
	dns_question(&b, "a.test", 1);
	dns_alias(&b, "a.test", "b.test");
	dns_alias(&b, "a.test", "a.test");
	tap_ok(parse(&b, b.len) == 0 && m.n_answers == 2, "two aliases of one name, one its own");
}

static void check_names(void)
{
	struct dns_build b;
	char longest[256] = "";

	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\3a.b\3\\,\0\2\xc3\xa4\0", 12);
	dns_put16(&b, 1);
	dns_put16(&b, 1);
	tap_is_int(parse(&b, b.len), 0, "any bytes in labels");
	tap_ok(m.question.len == 13 && !memcmp(m.question.text, "a\\.b.\\\\\\,\0.\xc3\xa4", 13),
		"dots, commas and backslashes in them are told apart");

	for (unsigned i = 0; i < 4; i++)
		for (unsigned j = 0; j < (i < 3 ? 64u : 61u); j++)
			strcat(longest, j < 63 && (i < 3 || j < 61) ? "x" : ".");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_question(&b, longest, 1);
	tap_ok(parse(&b, b.len) == 0 && m.question.len == 253, "a name of 255 bytes");
	strcat(longest, "x");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_question(&b, longest, 1);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "256 are too many");
	memset(longest, ',', 63);
	dns_head(&b, 8, 0x0100, 1, 0);
	for (unsigned i = 0; i < 4; i++) {
		dns_put(&b, (const uint8_t[]){i < 3 ? 63 : 61}, 1);
		dns_put(&b, longest, i < 3 ? 63 : 61);
	}
	dns_put(&b, "\0\0\1\0\1", 5);
	tap_ok(parse(&b, b.len) == 0 && m.question.len == 2 * 250 + 3,
		"a name of nothing but commas fits");
}

static void check_pointers(void)
{
	struct dns_build b;

	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\xc0\x0c\0\1\0\1", 6);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "a pointer to itself");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\1a\xc0\x0c\0\1\0\1", 8);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "a pointer to its own name");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\xc0\x10\0\1\1a\0", 7);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "a pointer forwards");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\xc0\x02\0\1\0\1", 6);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "a pointer into the header");
	dns_head(&b, 8, 0x0100, 1, 0);
	dns_put(&b, "\x40x\0\0\1\0\1", 7);
	tap_is_int(parse(&b, b.len), DNS_E_MALFORMED, "a label of an unknown kind");

	/* Every answer's owner points to the owner before it, which adds a label. */
	dns_head(&b, 8, 0x8180, 1, 16);
	dns_question(&b, "a", 1);
	for (unsigned i = 0, at = 12; i < 16; i++) {
		size_t here = b.len;

		dns_put(&b, "\1b", 2);
		dns_put16(&b, 0xc000 | at);
		dns_data(&b, 1, 1, "\1\2\3\4", 4);
		at = (unsigned)here;
	}
	tap_ok(parse(&b, b.len) == 0 && m.n_answers == 16 && m.answer[15].owner.len == 33,
		"a chain of pointers backwards");
}

static void check_cut(void)
{
	struct dns_build b;
	unsigned wrong = 0;
	size_t question;

	dns_head(&b, 8, 0x8180, 1, 3);
	dns_question(&b, "a.test", 1);
	question = b.len;
	dns_alias(&b, "a.test", "b.test");
	dns_address(&b, "b.test", 60, (const uint8_t[]){10, 1, 2, 3});
	dns_address(&b, "b.test", 60, (const uint8_t[]){10, 1, 2, 4});
	for (size_t len = 0; len <= b.len; len++) {
		int r = parse(&b, len);

		if (len < question ? r != DNS_E_MALFORMED
				   : r != 0 || m.n_answers != (len == b.len               ? 3u
								      : len >= b.len - 22 ? 2u
								      : len >= b.len - 44 ? 1u
											  : 0u))
			wrong++;
	}
	tap_is_int(wrong, 0, "cut anywhere, whole answers are told and no other");
	dns_head(&b, 8, 0x8180, 1, 2);
	dns_question(&b, "a.test", 1);
	dns_put(&b, "\xc0\x0c", 2);
	dns_data(&b, 1, 60, "\1\2\3", 3);
	dns_address(&b, "a.test", 60, (const uint8_t[]){10, 1, 2, 4});
	tap_ok(parse(&b, b.len) == 0 && !m.n_answers, "behind an impossible answer nothing counts");
	dns_head(&b, 8, 0x8180, 1, 1);
	dns_question(&b, "a.test", 1);
	dns_put(&b, "\xc0\x0c", 2);
	dns_data(&b, 5, 60, "\1b\0x", 4);
	tap_ok(parse(&b, b.len) == 0 && !m.n_answers, "nor does an alias with something behind it");
}

int main(void)
{
	check_plain();
	check_aliases();
	check_names();
	check_pointers();
	check_cut();
	return tap_done();
}
