/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel counted: on a connection, on the interfaces. */
#include <netinet/in.h>

#include "enrich/owner-internal.h"

/* States in which the peer's FIN has come: TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_CLOSING. */
#define STATES_FIN_CAME (1u << 8 | 1u << 9 | 1u << 11)

/* The socket of @k in one namespace. */
static bool ask(const struct netns *n, const struct socket_key *k, uint64_t cookie,
	struct diag_info *ret, uint64_t *ret_cookie)
{
	struct diag_query d = {.key = *k, .want_info = true};

	if (!n || !n->diag || diag_lookup(n->diag, &d, 1) < 0 || d.match != DIAG_MATCH_EXACT ||
		!d.socket.have_info || (cookie && d.socket.cookie != cookie))
		return false;
	*ret = d.socket.info;
	if (d.socket.state < 32 && 1u << d.socket.state & STATES_FIN_CAME && ret->bytes_received)
		ret->bytes_received--;
	*ret_cookie = d.socket.cookie;
	return true;
}

bool owners_figures(struct owners *o, const struct owner_query *q, uint64_t cookie,
	struct diag_info *ret, uint64_t *ret_cookie)
{
	const struct netns *home = owners_home(o, q);
	struct socket_key k;
	const uint16_t *numbers;
	size_t n;

	if (!o->use_diag || !home || q->proto != IPPROTO_TCP)
		return false;
	owners_query_key(q, &k);
	if (links_is_local(home->links, q->local_addr))
		return ask(home, &k, cookie, ret, ret_cookie);
	/* Two namespaces may have the same address; of two such sockets none is believed. */
	n = netns_holders(o->spaces, q->local_addr, &numbers);
	return n == 1 && ask(netns_at(o->spaces, numbers[0]), &k, cookie, ret, ret_cookie);
}

bool owners_traffic(struct owners *o, uint64_t *ret_bytes, size_t *ret_interfaces)
{
	size_t interfaces = 0;

	for (size_t i = 0; i < netns_end(o->spaces); i++) {
		const struct netns *n = netns_at(o->spaces, i);
		uint64_t bytes;

		/* What is seen passed by an interface there; asking all would cost a host of
		 * containers more than everything else. */
		if (!n || (i && !n->entry.captured))
			continue;
		if (links_traffic(n->links, &bytes) < 0)
			return false;
		interfaces += links_interfaces(n->links);
		/* Those of a namespace that goes stay in the sum: it never goes back. */
		o->traffic[i].sum +=
			bytes >= o->traffic[i].seen ? bytes - o->traffic[i].seen : bytes;
		o->traffic[i].seen = bytes;
	}
	*ret_bytes = 0;
	for (size_t i = 0; i < NETNS_MAX; i++)
		*ret_bytes += o->traffic[i].sum;
	*ret_interfaces = interfaces;
	return true;
}
