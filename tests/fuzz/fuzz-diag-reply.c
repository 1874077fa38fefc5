/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag replies of any bytes: the parser stays inside them, ends, and verifies what it says. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/diag-msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

static void check_socket(const struct diag_socket *s)
{
	/* What was asked is what came: an exact match, unless it is a listener. */
	struct socket_key k = s->key;

	for (int i = 0; i < 2; i++) {
		enum diag_match m;

		k.proto = i ? IPPROTO_UDP : IPPROTO_TCP;
		m = diag_compare(&k, s);
		check(m == DIAG_MATCH_EXACT || (!i && m == DIAG_MATCH_LISTENER));
		k.local_port ^= 1;
		check(diag_compare(&k, s) == DIAG_MATCH_NONE);
		k.local_port ^= 1;
	}
	check(s->inode || s->uid);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct diag_message m;
	size_t at = 0, before = 0;
	int e;

	memcpy(copy, data, size);
	while (!(e = diag_next(copy, size, &at, &m))) {
		check(at > before && at <= size);
		before = at;
		if (m.kind == DIAG_SOCKET)
			check_socket(&m.socket);
	}
	check(e == DIAG_E_END || e == DIAG_E_MALFORMED);
	check(e != DIAG_E_END || at == size);
	free(copy);
	return 0;
}
