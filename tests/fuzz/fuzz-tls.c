/* SPDX-License-Identifier: Apache-2.0 */
/* First bytes of TLS and QUIC, any: the parsers stay inside them, and what they tell is in bounds.
 */
#include <stdlib.h>
#include <string.h>

#include "enrich/quic.h"
#include "enrich/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct tls_hello h;

	memcpy(copy, data, size);
	quic_is_initial(copy, size, 1200);
	if (tls_parse(copy, size, &h) == 0) {
		check(h.alpn_len <= TLS_ALPN_MAX);
		if (h.server_name) {
			check(h.server_name_len >= 1 && h.server_name_len <= TLS_NAME_MAX);
			check(h.server_name >= copy &&
				h.server_name + h.server_name_len <= copy + size);
		}
	}
	free(copy);
	return 0;
}
