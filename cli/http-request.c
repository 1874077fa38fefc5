/* SPDX-License-Identifier: Apache-2.0 */
/* The one request that is answered: GET /metrics. */
#include "cli/http-request.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Whether there is an empty line: the end of the head. */
static bool has_end(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != '\n')
			continue;
		if (i + 1 < len && bytes[i + 1] == '\n')
			return true;
		if (i + 2 < len && bytes[i + 1] == '\r' && bytes[i + 2] == '\n')
			return true;
	}
	return false;
}

static bool is_token(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] < 'A' || s[i] > 'Z')
			return false;
	return len > 0;
}

static bool is_target(const char *s, size_t len)
{
	static const char metrics[] = "/metrics";
	const size_t n = sizeof(metrics) - 1;

	return len >= n && !memcmp(s, metrics, n) && (len == n || s[n] == '?');
}

/* METHOD SP TARGET SP HTTP/1.x, without its line's end. */
static enum http_status request_line(const char *line, size_t len)
{
	const char *target, *version;
	size_t rest;

	target = memchr(line, ' ', len);
	if (!target || !is_token(line, (size_t)(target - line)))
		return HTTP_BAD;
	target++;
	rest = len - (size_t)(target - line);
	version = memchr(target, ' ', rest);
	if (!version || version == target)
		return HTTP_BAD;
	version++;
	rest = len - (size_t)(version - line);
	if (rest != 8 || memcmp(version, "HTTP/", 5) || version[6] != '.')
		return HTTP_BAD;
	if (version[5] != '1')
		return HTTP_VERSION;
	if (target - line != 4 || memcmp(line, "GET", 3))
		return HTTP_METHOD;
	return is_target(target, (size_t)(version - 1 - target)) ? HTTP_OK : HTTP_NOT_FOUND;
}

enum http_status http_request(const char *bytes, size_t len)
{
	const char *end;
	size_t line;

	if (!has_end(bytes, len))
		return len >= HTTP_REQUEST_MAX ? HTTP_TOO_LARGE : HTTP_MORE;
	end = memchr(bytes, '\n', len);
	line = (size_t)(end - bytes);
	if (line && bytes[line - 1] == '\r')
		line--;
	return request_line(bytes, line);
}

const char *http_reason(enum http_status status)
{
	switch (status) {
	case HTTP_OK:
		return "OK";
	case HTTP_NOT_FOUND:
		return "Not Found";
	case HTTP_METHOD:
		return "Method Not Allowed";
	case HTTP_TOO_LARGE:
		return "Request Header Fields Too Large";
	case HTTP_VERSION:
		return "HTTP Version Not Supported";
	case HTTP_MORE:
	case HTTP_BAD:
		break;
	}
	return "Bad Request";
}

size_t http_answer(enum http_status status, const char *type, size_t len, char *ret, size_t size)
{
	int n = snprintf(ret, size,
		"HTTP/1.1 %d %s\r\n%sContent-Type: %s\r\nContent-Length: %zu\r\n"
		"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		(int)status, http_reason(status), status == HTTP_METHOD ? "Allow: GET\r\n" : "",
		type, len);

	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size - 1;
}
