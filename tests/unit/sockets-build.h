/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of claims, and claims to put into them. */
#pragma once

#include "enrich/sockets.h"
#include "put-addr.h"
#include "tap.h"

#define S    UINT64_C(1000000000)
#define HOST 1u /* network namespaces */
#define BOX  2u

static struct sockets *s;
static struct process_cache *cache;

static const struct socket_scope local = {.netns = HOST, .initial = true, .local = true};

static inline void begin_with(size_t connections)
{
	static const uint64_t seed[2] = {1, 2};
	const struct sockets_limits l = {
		.connections = connections, .ports = 8, .listeners = 8, .connecting = 8};

	if (sockets_new(&l, seed, &s) || process_cache_new(1000, &cache))
		tap_bail("no memory");
}

static inline void begin(void)
{
	begin_with(8);
}

static inline void end(void)
{
	sockets_free(s);
	process_cache_free(cache);
}

static inline struct socket_key key(
	uint8_t proto, const char *from, uint16_t lport, const char *to, uint16_t rport)
{
	struct socket_key k = {.proto = proto, .local_port = lport, .remote_port = rport};

	put_addr(k.local_addr, from);
	put_addr(k.remote_addr, to);
	return k;
}

static inline struct process *process(uint32_t pid)
{
	return process_cache_get(cache, pid, 1);
}

static inline struct socket_claim claim(
	struct socket_key k, uint32_t pid, enum record_method m, uint64_t netns, uint64_t t_ns)
{
	return (struct socket_claim){
		.key = k, .process = process(pid), .method = m, .netns = netns, .t_ns = t_ns};
}

static inline void connects(struct socket_key k, uint32_t pid, uint64_t netns, uint64_t t_ns)
{
	struct socket_claim c = claim(k, pid, RECORD_METHOD_TAP_CONNECT, netns, t_ns);

	sockets_add_connection(s, &c);
}

static inline void closes(struct socket_key k, uint32_t pid, uint64_t t_ns)
{
	struct socket_claim c = claim(k, pid, RECORD_METHOD_TAP_CLOSE, HOST, t_ns);

	sockets_add_connection(s, &c);
}

static inline uint32_t pid_of(const struct socket_claim *c)
{
	return c ? c->process->pid : 0;
}
