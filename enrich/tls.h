/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the beginning of a TLS connection, its ClientHello, as far as its bytes go: server name and
 * protocols offered. Pure; any input is answered, reads stay inside it.
 *
 * What cannot be seen is not told: a name or a list that is cut is not given in part. One record is
 * looked at; a hello split over several gives what stands in the first.
 * Sources: RFC 8446 (4.1.2, 4.2, 5.1), 6066 (3), 7301.
 *
 * Threads: any. Blocks: no. Logs: no. Errors: TLS_E_*.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define TLS_NAME_MAX 255u /* bytes of a server name; a longer one is none */
#define TLS_ALPN_MAX 255u /* bytes of the list as text; what does not fit is left out whole */

struct tls_hello {
	const uint8_t *server_name; /* in the input, raw; NULL = not there or not seen */
	size_t server_name_len;     /* 1..TLS_NAME_MAX */
	/* Joined by commas; a comma or backslash in a name has a backslash in front. */
	char alpn[TLS_ALPN_MAX];
	size_t alpn_len;
};

enum { TLS_E_OTHER = 1 }; /* not the beginning of a ClientHello */

/* @len bytes of a TCP segment's payload whose end may be cut. *ret is untouched on errors. */
int tls_parse(const uint8_t *bytes, size_t len, struct tls_hello *ret);
