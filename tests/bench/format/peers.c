/* SPDX-License-Identifier: Apache-2.0 */
/* What both ways to compare with need. */
#include "peers.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <nettle/base64.h>
#include <nettle/sha1.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void peer_time(char buf[PEER_TIME], uint64_t t_ns)
{
	time_t s = (time_t)(t_ns / 1000000000);
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(buf, PEER_TIME, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, PEER_TIME - n, ".%09uZ", (unsigned)(t_ns % 1000000000));
}

void peer_address(char buf[64], const uint8_t addr[16], unsigned family)
{
	if (family == 4)
		inet_ntop(AF_INET, addr + 12, buf, 64);
	else
		inet_ntop(AF_INET6, addr, buf, 64);
}

/* Of protocols with ports. */
void peer_community_id(char buf[64], const struct record *r)
{
	const size_t size = r->family == 4 ? 4 : 16;
	const uint8_t *a = r->orig_addr + 16 - size, *b = r->resp_addr + 16 - size;
	uint16_t seed = 0, pa = htons(r->orig_port), pb = htons(r->resp_port);
	uint8_t proto[2] = {r->proto, 0}, digest[SHA1_DIGEST_SIZE];
	int order = memcmp(a, b, size);
	struct sha1_ctx sha;

	if (order > 0 || (order == 0 && r->orig_port > r->resp_port)) {
		const uint8_t *addr = a;
		uint16_t port = pa;

		a = b;
		b = addr;
		pa = pb;
		pb = port;
	}
	sha1_init(&sha);
	sha1_update(&sha, sizeof(seed), (const uint8_t *)&seed);
	sha1_update(&sha, size, a);
	sha1_update(&sha, size, b);
	sha1_update(&sha, sizeof(proto), proto);
	sha1_update(&sha, sizeof(pa), (const uint8_t *)&pa);
	sha1_update(&sha, sizeof(pb), (const uint8_t *)&pb);
	sha1_digest(&sha, sizeof(digest), digest);
	memcpy(buf, "1:", 2);
	base64_encode_raw(buf + 2, sizeof(digest), digest);
	buf[2 + BASE64_ENCODE_RAW_LENGTH(SHA1_DIGEST_SIZE)] = 0;
}

static bool is_plain(const char *arg, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!arg[i] || !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789_@%+=:,./-",
				       arg[i]))
			return false;
	return len > 0;
}

size_t peer_command(const char *args, size_t len, char *buf)
{
	char *p = buf;

	for (size_t i = 0; i < len;) {
		const char *arg = args + i;
		size_t n = strnlen(arg, len - i);

		if (i)
			*p++ = ' ';
		if (is_plain(arg, n)) {
			memcpy(p, arg, n);
			p += n;
		} else {
			*p++ = '\'';
			for (size_t k = 0; k < n; k++) {
				if (arg[k] == '\'') {
					memcpy(p, "'\\''", 4);
					p += 4;
				} else {
					*p++ = arg[k];
				}
			}
			*p++ = '\'';
		}
		i += n + 1;
	}
	return (size_t)(p - buf);
}

bool peer_is_address(const char *text, size_t len)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t addr[16];

	if (!len || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = 0;
	return inet_pton(AF_INET, copy, addr) == 1 || inet_pton(AF_INET6, copy, addr) == 1;
}

const char *peer_transport(const struct record *r)
{
	switch (r->proto) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	}
	return "";
}

const char *peer_dns_type(const struct record *r, char buf[16])
{
	switch (r->dns_type) {
	case 1:
		return "A";
	case 28:
		return "AAAA";
	case 65:
		return "HTTPS";
	}
	snprintf(buf, 16, "TYPE%u", r->dns_type);
	return buf;
}

const char *peer_dns_rcode(const struct record *r, char buf[16])
{
	switch (r->dns_rcode) {
	case 0:
		return "NOERROR";
	case 2:
		return "SERVFAIL";
	case 3:
		return "NXDOMAIN";
	}
	snprintf(buf, 16, "RCODE%u", r->dns_rcode);
	return buf;
}

const char *peer_action(const struct record *r)
{
	switch (r->event) {
	case RECORD_START:
		return "start";
	case RECORD_END:
		return "end";
	case RECORD_SUMMARY:
		return "summary";
	}
	return "info";
}

const char *peer_outcome(const struct record *r)
{
	switch (r->state) {
	case RECORD_STATE_S1:
	case RECORD_STATE_SF:
	case RECORD_STATE_S2:
	case RECORD_STATE_S3:
	case RECORD_STATE_RSTO:
	case RECORD_STATE_RSTR:
		return "success";
	case RECORD_STATE_REJ:
	case RECORD_STATE_RSTOS0:
	case RECORD_STATE_RSTRH:
	case RECORD_STATE_SH:
		return "failure";
	case RECORD_STATE_S0:
		return r->event == RECORD_END && r->proto == IPPROTO_TCP ? "failure" : "unknown";
	}
	return "unknown";
}
