/* SPDX-License-Identifier: Apache-2.0 */
/* The one request that is answered, whole and in every piece; what else is refused, and how. */
#include "cli/http-request.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

static const struct {
	const char *request;
	enum http_status status;
} cases[] = {
	{"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", HTTP_OK},
	{"GET /metrics HTTP/1.0\r\n\r\n", HTTP_OK},
	{"GET /metrics HTTP/1.1\n\n", HTTP_OK},
	{"GET /metrics?x=1 HTTP/1.1\r\n\r\n", HTTP_OK},
	{"GET / HTTP/1.1\r\n\r\n", HTTP_NOT_FOUND},
	{"GET /metricsx HTTP/1.1\r\n\r\n", HTTP_NOT_FOUND},
	{"GET /../metrics HTTP/1.1\r\n\r\n", HTTP_NOT_FOUND},
	{"GET http://127.0.0.1/metrics HTTP/1.1\r\n\r\n", HTTP_NOT_FOUND},
	{"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", HTTP_METHOD},
	{"HEAD /metrics HTTP/1.1\r\n\r\n", HTTP_METHOD},
	{"GETX /metrics HTTP/1.1\r\n\r\n", HTTP_METHOD},
	{"get /metrics HTTP/1.1\r\n\r\n", HTTP_BAD},
	{"GET  /metrics HTTP/1.1\r\n\r\n", HTTP_BAD},
	{"GET /metrics\r\n\r\n", HTTP_BAD},
	{"GET /metrics HTTP/1.1 x\r\n\r\n", HTTP_BAD},
	{"GET /metrics FTP/1.1\r\n\r\n", HTTP_BAD},
	{"GET /metrics HTTP/2.0\r\n\r\n", HTTP_VERSION},
	{" /metrics HTTP/1.1\r\n\r\n", HTTP_BAD},
	{"\r\n\r\n", HTTP_BAD},
	{"\x16\x03\x01\n\n", HTTP_BAD},
};

static void test_cases(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = strlen(cases[i].request);
		const char *body = strstr(cases[i].request, "hello");
		size_t head = body ? (size_t)(body - cases[i].request) : len;
		bool more = true;

		/* As bytes without anything behind them, so that a sanitizer sees a read too far.
		 */
		for (size_t n = 0; n < head; n++) {
			char *copy = malloc(n ? n : 1);

			memcpy(copy, cases[i].request, n);
			more &= http_request(copy, n) == HTTP_MORE;
			free(copy);
		}
		tap_ok(more, "%zu: every beginning of it wants more", i);
		tap_is_int(
			http_request(cases[i].request, len), cases[i].status, "%zu: its status", i);
	}
}

static void test_bounds(void)
{
	static char big[HTTP_REQUEST_MAX];

	memset(big, 'a', sizeof(big));
	memcpy(big, "GET /metrics HTTP/1.1\r\nx: ", 26);
	tap_is_int(http_request(big, sizeof(big) - 1), HTTP_MORE, "a long head");
	tap_is_int(http_request(big, sizeof(big)), HTTP_TOO_LARGE, "too long a head");
}

static void test_answer(void)
{
	char head[512];
	size_t n = http_answer(HTTP_OK, "text/plain", 1234, head, sizeof(head));

	tap_ok(n == strlen(head) && !strncmp(head, "HTTP/1.1 200 OK\r\n", 17) &&
			strstr(head, "\r\nContent-Length: 1234\r\n") &&
			strstr(head, "\r\nConnection: close\r\n") &&
			!strcmp(head + n - 4, "\r\n\r\n") && !strstr(head, "Allow"),
		"the head of an answer");
	http_answer(HTTP_METHOD, "text/plain", 0, head, sizeof(head));
	tap_ok(strstr(head, "\r\nAllow: GET\r\n") != NULL, "405 says what is allowed");
	tap_is_int(http_answer(HTTP_OK, "text/plain", 0, head, 8), 7, "cut to what there is");
}

int main(void)
{
	test_cases();
	test_bounds();
	test_answer();
	return tap_done();
}
