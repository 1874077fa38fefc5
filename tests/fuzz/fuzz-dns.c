/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages of any bytes: the parser stays inside them, and what it tells is in bounds. */
#include <stdlib.h>
#include <string.h>

#include "enrich/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	static struct dns_message m;
	int r;

	memcpy(copy, data, size);
	r = dns_parse(copy, size, &m);
	free(copy);
	if (r) {
		check(r == DNS_E_MALFORMED || r == DNS_E_OTHER);
		return 0;
	}
	check(!m.has_question || (m.question.len >= 1 && m.question.len <= DNS_NAME_MAX));
	check(m.n_answers <= DNS_ANSWERS_MAX);
	for (size_t i = 0; i < m.n_answers; i++) {
		const struct dns_answer *a = &m.answer[i];

		check(a->owner.len >= 1 && a->owner.len <= DNS_NAME_MAX);
		check(a->type == DNS_TYPE_A || a->type == DNS_TYPE_AAAA ||
			a->type == DNS_TYPE_CNAME);
		check(a->type != DNS_TYPE_CNAME ||
			(a->target.len >= 1 && a->target.len <= DNS_NAME_MAX));
		check(!a->asked || m.has_question);
		check(a->ttl_s <= INT32_MAX);
	}
	return 0;
}
