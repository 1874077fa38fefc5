/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one request that is answered: GET /metrics.
 *
 * Source: RFC 9112 (HTTP/1.1), of which only the request line and the end of the head are looked
 * at: no request here has a body that would be read.
 *
 * Threads: any. Blocks: no. Logs: no.
 */
#pragma once

#include <stddef.h>

#define HTTP_REQUEST_MAX 4096u /* bytes of a head; a longer one is refused */

enum http_status {
	HTTP_MORE = 0, /* the head is not complete yet */
	HTTP_OK = 200,
	HTTP_BAD = 400,       /* no request line */
	HTTP_NOT_FOUND = 404, /* GET of something else */
	HTTP_METHOD = 405,    /* anything but GET */
	HTTP_TOO_LARGE = 431,
	HTTP_VERSION = 505,
};

/* What @len bytes (at most HTTP_REQUEST_MAX, all that have come so far) ask for. */
enum http_status http_request(const char *bytes, size_t len);

/* The head of the answer with @len bytes of body into @ret; how long it is. */
size_t http_answer(enum http_status status, const char *type, size_t len, char *ret, size_t size);
/* A line about it, for the body of a refusal. */
const char *http_reason(enum http_status status);
