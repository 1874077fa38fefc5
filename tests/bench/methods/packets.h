/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First packets of connections to a port, through libpcap: TCP SYNs and UDP datagrams, IPv4 (as the
 * benchmark's loads are).
 *
 * Threads: one. Blocks: no. Errors: observe_die().
 */
#pragma once

#include <netinet/in.h>

#include "bench/methods/observe.h"

struct packet {
	uint64_t t_ns;
	uint8_t proto;
	struct in_addr saddr, daddr;
	uint16_t sport, dport; /* host order */
};

void packets_open(const struct observe_options *o);
int packets_fd(void);
/* The next packet that is there already. False: none. */
bool packets_next(struct packet *ret);
/* Reads addresses and ports from an IPv4 packet of @len bytes. False: not TCP or UDP over IPv4, or
 * too short. */
bool packets_parse(const uint8_t *ip, size_t len, struct packet *ret);
