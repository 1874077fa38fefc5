/* SPDX-License-Identifier: Apache-2.0 */
/* Where metrics may be asked for: loopback or a unix socket, nothing else. */
#include "config/metrics-listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define HOST_MAX 64u

static int parse_unix(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret;
	size_t len = strlen(text);

	if (len >= sizeof(un->sun_path) || text[len - 1] == '/')
		return -EINVAL;
	*ret = (struct sockaddr_storage){.ss_family = AF_UNIX};
	memcpy(un->sun_path, text, len + 1);
	*ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
	return 0;
}

/* Digits only, 1 to 65535; 0 = it is not. */
static uint16_t parse_port(const char *text)
{
	size_t len = strlen(text);
	long port;

	if (len == 0 || len > 5 || text[strspn(text, "0123456789")])
		return 0;
	port = strtol(text, NULL, 10);
	return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static int parse_4(const char *host, uint16_t port, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)ret;
	struct in_addr addr;

	if (inet_pton(AF_INET, host, &addr) != 1)
		return -EINVAL;
	if (ntohl(addr.s_addr) >> 24 != 127)
		return -EADDRNOTAVAIL;
	*ret = (struct sockaddr_storage){.ss_family = AF_INET};
	in->sin_port = htons(port);
	in->sin_addr = addr;
	*len = sizeof(*in);
	return 0;
}

static int parse_6(const char *host, uint16_t port, struct sockaddr_storage *ret, socklen_t *len)
{
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)ret;
	struct in6_addr addr;

	if (inet_pton(AF_INET6, host, &addr) != 1)
		return -EINVAL;
	if (!IN6_IS_ADDR_LOOPBACK(&addr))
		return -EADDRNOTAVAIL;
	*ret = (struct sockaddr_storage){.ss_family = AF_INET6};
	in->sin6_port = htons(port);
	in->sin6_addr = addr;
	*len = sizeof(*in);
	return 0;
}

int metrics_listen_parse(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	const char *colon = strrchr(text, ':');
	char host[HOST_MAX];
	uint16_t port;
	size_t len;

	if (text[0] == '/')
		return parse_unix(text, ret, ret_len);
	if (!colon)
		return -EINVAL;
	len = (size_t)(colon - text);
	port = parse_port(colon + 1);
	if (!port || len < 2 || len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] != '[')
		return parse_4(host, port, ret, ret_len);
	if (host[len - 1] != ']')
		return -EINVAL;
	host[len - 1] = '\0';
	return parse_6(host + 1, port, ret, ret_len);
}
