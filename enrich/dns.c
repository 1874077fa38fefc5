/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a DNS message as far as its bytes go. */
#include "enrich/dns.h"

#include <string.h>

#define HEADER    12u
#define CLASS_IN  1u
#define LABEL_MAX 63u

struct reader {
	const uint8_t *bytes;
	size_t len;
	size_t at;
};

static bool take16(struct reader *r, uint16_t *ret)
{
	if (r->len - r->at < 2)
		return false;
	*ret = (uint16_t)(r->bytes[r->at] << 8 | r->bytes[r->at + 1]);
	r->at += 2;
	return true;
}

static bool take32(struct reader *r, uint32_t *ret)
{
	uint16_t high, low;

	if (!take16(r, &high) || !take16(r, &low))
		return false;
	*ret = (uint32_t)high << 16 | low;
	return true;
}

static void put(struct dns_name *n, char c)
{
	n->text[n->len++] = c;
}

/*
 * One name; r->at ends behind it. A pointer must lead before the place where the
 * name, or the part pointed to before, began: so every name ends.
 */
static bool take_name(struct reader *r, struct dns_name *ret)
{
	size_t at = r->at, bound = r->at, wire = 1;
	bool jumped = false;

	ret->len = 0;
	for (;;) {
		uint8_t n;

		if (at >= r->len)
			return false;
		n = r->bytes[at++];
		if (n >= 0xc0) {
			size_t to;

			if (at >= r->len)
				return false;
			to = (size_t)(n & 0x3f) << 8 | r->bytes[at++];
			if (!jumped)
				r->at = at;
			jumped = true;
			if (to < HEADER || to >= bound)
				return false;
			at = bound = to;
			continue;
		}
		wire += n ? n + 1u : 0u;
		if (n > LABEL_MAX || wire > DNS_WIRE_MAX || r->len - at < n)
			return false;
		if (!n)
			break;
		if (ret->len)
			put(ret, '.');
		for (; n; n--) {
			char c = (char)r->bytes[at++];

			if (c == '.' || c == ',' || c == '\\')
				put(ret, '\\');
			put(ret, c);
		}
	}
	if (!jumped)
		r->at = at;
	if (!ret->len)
		put(ret, '.');
	return true;
}

_Static_assert(DNS_NAME_MAX >= 2 * DNS_WIRE_MAX, "every byte may get a backslash");

/* True: go on. *ret_keep: it is one of those that are kept. */
static bool take_answer(struct reader *r, struct dns_answer *a, bool *ret_keep)
{
	uint16_t class, len;
	struct reader data;

	*ret_keep = false;
	if (!take_name(r, &a->owner) || !take16(r, &a->type) || !take16(r, &class) ||
		!take32(r, &a->ttl_s) || !take16(r, &len) || r->len - r->at < len)
		return false;
	/* The data's own end bounds it, but a name in it may point back to all of the message. */
	data = (struct reader){r->bytes, r->at + len, r->at};
	r->at += len;
	if (a->ttl_s & UINT32_C(0x80000000))
		a->ttl_s = 0;
	a->asked = false;
	if (class != CLASS_IN)
		return true;
	switch (a->type) {
	case DNS_TYPE_A:
		if (len != 4)
			return false;
		memcpy(a->addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
		memcpy(a->addr + 12, data.bytes + data.at, 4);
		break;
	case DNS_TYPE_AAAA:
		if (len != 16)
			return false;
		memcpy(a->addr, data.bytes + data.at, 16);
		break;
	case DNS_TYPE_CNAME:
		if (!take_name(&data, &a->target) || data.at != data.len)
			return false;
		break;
	default:
		return true;
	}
	*ret_keep = true;
	return true;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool dns_name_equal(const struct dns_name *a, const struct dns_name *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++)
		if (lower(a->text[i]) != lower(b->text[i]))
			return false;
	return true;
}

/* Follows the aliases from the question; the answers may stand in any order. */
static void mark_asked(struct dns_message *m)
{
	const struct dns_name *name = &m->question;

	for (size_t step = 0; name && step <= m->n_answers; step++) {
		const struct dns_name *next = NULL;

		for (size_t i = 0; i < m->n_answers; i++) {
			struct dns_answer *a = &m->answer[i];

			if (a->asked || !dns_name_equal(&a->owner, name))
				continue;
			a->asked = true;
			if (a->type == DNS_TYPE_CNAME)
				next = &a->target;
		}
		name = next;
	}
}

int dns_parse(const uint8_t *bytes, size_t len, struct dns_message *ret)
{
	struct reader r = {bytes, len, 0};
	uint16_t flags, questions, answers, class;
	bool keep;

	if (!take16(&r, &ret->id) || !take16(&r, &flags) || !take16(&r, &questions) ||
		!take16(&r, &answers) || len < HEADER)
		return DNS_E_MALFORMED;
	r.at = HEADER;
	if (flags & 0x7800 || questions > 1)
		return DNS_E_OTHER;
	ret->response = flags & 0x8000;
	ret->rcode = flags & 15;
	ret->has_question = questions;
	ret->type = 0;
	ret->question.len = 0;
	ret->n_answers = 0;
	if (questions &&
		(!take_name(&r, &ret->question) || !take16(&r, &ret->type) || !take16(&r, &class)))
		return DNS_E_MALFORMED;
	while (answers-- && ret->n_answers < DNS_ANSWERS_MAX) {
		if (!take_answer(&r, &ret->answer[ret->n_answers], &keep))
			break;
		ret->n_answers += keep;
	}
	if (ret->has_question)
		mark_asked(ret);
	return 0;
}
