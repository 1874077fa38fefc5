/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of sock_diag requests and replies. */
#include "enrich/diag-msg.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>

#include "enrich/address.h"
#include "enrich/netlink.h"

#define STATE_LISTEN 10 /* TCP_LISTEN of netinet/tcp.h, which linux/tcp.h excludes */

_Static_assert(DIAG_REQUEST_SIZE == sizeof(struct nlmsghdr) + sizeof(struct inet_diag_req_v2),
	"DIAG_REQUEST_SIZE is what a request takes");

static struct inet_diag_req_v2 *put_request(void *buf, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	return mnl_nlmsg_put_extra_header(h, sizeof(struct inet_diag_req_v2));
}

static void put_addr(__be32 to[4], const uint8_t addr[16], bool v4)
{
	if (v4)
		memcpy(to, addr + 12, 4);
	else
		memcpy(to, addr, 16);
}

size_t diag_request(void *buf, const struct socket_key *k, uint32_t seq)
{
	struct inet_diag_req_v2 *r = put_request(buf, 0, seq);
	bool v4 = address_is_v4(k->local_addr);
	bool swapped = k->proto == IPPROTO_UDP;

	r->sdiag_family = v4 ? AF_INET : AF_INET6;
	r->sdiag_protocol = k->proto;
	r->idiag_states = UINT32_MAX;
	r->id.idiag_sport = htons(swapped ? k->remote_port : k->local_port);
	r->id.idiag_dport = htons(swapped ? k->local_port : k->remote_port);
	put_addr(r->id.idiag_src, swapped ? k->remote_addr : k->local_addr, v4);
	put_addr(r->id.idiag_dst, swapped ? k->local_addr : k->remote_addr, v4);
	r->id.idiag_cookie[0] = r->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return DIAG_REQUEST_SIZE;
}

void diag_request_info(void *request)
{
	struct inet_diag_req_v2 *r = mnl_nlmsg_get_payload(request);

	r->idiag_ext = 1 << (INET_DIAG_INFO - 1);
}

size_t diag_dump_request(void *buf, uint8_t family, uint8_t proto, uint32_t states, uint32_t seq)
{
	struct inet_diag_req_v2 *r = put_request(buf, NLM_F_DUMP, seq);

	r->sdiag_family = family;
	r->sdiag_protocol = proto;
	r->idiag_states = states;
	return DIAG_REQUEST_SIZE;
}

static void get_addr(uint8_t to[16], const __be32 addr[4], uint8_t family)
{
	if (family == AF_INET) {
		memset(to, 0, 16);
		to[10] = to[11] = 0xff;
		memcpy(to + 12, addr, 4);
	} else {
		memcpy(to, addr, 16);
	}
}

/* Older kernels have a shorter one: what lies beyond stays 0. */
static void get_info(const void *bytes, size_t len, struct diag_socket *s)
{
	struct tcp_info info = {0};

	/* Up to the counters that matter; before Linux 4.2 they are not there. */
	if (len < offsetof(struct tcp_info, tcpi_notsent_bytes))
		return;
	memcpy(&info, bytes, len < sizeof(info) ? len : sizeof(info));
	s->have_info = true;
	s->info = (struct diag_info){
		.bytes_acked = info.tcpi_bytes_acked,
		.bytes_received = info.tcpi_bytes_received,
		.bytes_sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
		.segs_out = info.tcpi_segs_out,
		.segs_in = info.tcpi_segs_in,
		.rtt_us = info.tcpi_rtt,
		.retransmits = info.tcpi_total_retrans,
	};
}

static void get_attributes(const struct nlmsghdr *h, struct diag_socket *s)
{
	const struct nlattr *a;

	mnl_attr_for_each(a, h, sizeof(struct inet_diag_msg))
	{
		size_t len = mnl_attr_get_payload_len(a);

		if (mnl_attr_get_type(a) == INET_DIAG_CGROUP_ID && len == sizeof(uint64_t))
			memcpy(&s->cgroup_id, mnl_attr_get_payload(a), sizeof(uint64_t));
		else if (mnl_attr_get_type(a) == INET_DIAG_SKV6ONLY && len == 1)
			s->v6only = mnl_attr_get_u8(a);
		else if (mnl_attr_get_type(a) == INET_DIAG_PROTOCOL && len == 1)
			s->key.proto = mnl_attr_get_u8(a);
		else if (mnl_attr_get_type(a) == INET_DIAG_INFO)
			get_info(mnl_attr_get_payload(a), len, s);
	}
}

static bool get_socket(const struct nlmsghdr *h, struct diag_socket *ret)
{
	struct diag_socket s = {0};
	struct inet_diag_msg m;

	if (h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(m))
		return false;
	memcpy(&m, mnl_nlmsg_get_payload(h), sizeof(m));
	if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
		return false;
	get_addr(s.key.local_addr, m.id.idiag_src, m.idiag_family);
	get_addr(s.key.remote_addr, m.id.idiag_dst, m.idiag_family);
	s.key.local_port = ntohs(m.id.idiag_sport);
	s.key.remote_port = ntohs(m.id.idiag_dport);
	s.state = m.idiag_state;
	s.inode = m.idiag_inode;
	s.ifindex = m.id.idiag_if;
	/* A socket nobody holds may have lost its uid as well: 0 is then no answer. */
	s.uid = !m.idiag_inode && !m.idiag_uid ? UINT32_MAX : m.idiag_uid;
	s.cookie = (uint64_t)m.id.idiag_cookie[1] << 32 | m.id.idiag_cookie[0];
	get_attributes(h, &s);
	*ret = s;
	return true;
}

int diag_next(const void *bytes, size_t len, size_t *offset, struct diag_message *ret)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)((const char *)bytes + *offset);
	struct diag_message m = {0};
	const struct nlmsgerr *error;
	size_t left = len - *offset;

	if (!left)
		return DIAG_E_END;
	if (!netlink_ok(h, left))
		return DIAG_E_MALFORMED;
	m.seq = h->nlmsg_seq;
	m.kind = DIAG_OTHER;
	if (h->nlmsg_type == NLMSG_DONE) {
		m.kind = DIAG_DONE;
	} else if (h->nlmsg_type == NLMSG_ERROR) {
		if (h->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(error->error))
			return DIAG_E_MALFORMED;
		error = mnl_nlmsg_get_payload(h);
		m.kind = DIAG_ERROR;
		m.error = error->error;
	} else if (h->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
		if (!get_socket(h, &m.socket))
			return DIAG_E_MALFORMED;
		m.kind = DIAG_SOCKET;
	}
	left = MNL_ALIGN(h->nlmsg_len);
	*offset = left > len - *offset ? len : *offset + left;
	*ret = m;
	return 0;
}

static bool local_fits(const struct socket_key *asked, const struct diag_socket *s)
{
	return s->key.local_port == asked->local_port &&
	       (address_is_any(s->key.local_addr) ||
		       !memcmp(s->key.local_addr, asked->local_addr, 16));
}

enum diag_match diag_compare(const struct socket_key *asked, const struct diag_socket *s)
{
	bool remote = s->key.remote_port == asked->remote_port &&
		      !memcmp(s->key.remote_addr, asked->remote_addr, 16);

	if (!local_fits(asked, s))
		return DIAG_MATCH_NONE;
	if (asked->proto == IPPROTO_TCP && s->state == STATE_LISTEN)
		return DIAG_MATCH_LISTENER;
	if (remote)
		return DIAG_MATCH_EXACT;
	if (asked->proto == IPPROTO_UDP && !s->key.remote_port &&
		address_is_any(s->key.remote_addr))
		return DIAG_MATCH_BOUND;
	return DIAG_MATCH_NONE;
}
