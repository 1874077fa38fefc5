/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inode of one socket, asked of the kernel by sock_diag(7).
 */
#include "bench/methods/sock-diag.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>

static struct mnl_socket *sock;

void sock_diag_open(void)
{
	sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!sock)
		observe_die("sock_diag");
}

/* UDP wants source and destination swapped. */
static void request(const struct packet *p, struct inet_diag_req_v2 *ret)
{
	struct inet_diag_sockid *id = &ret->id;
	bool udp = p->proto == IPPROTO_UDP;

	ret->sdiag_family = AF_INET;
	ret->sdiag_protocol = p->proto;
	ret->idiag_states = ~0u;
	id->idiag_sport = htons(udp ? p->dport : p->sport);
	id->idiag_dport = htons(udp ? p->sport : p->dport);
	id->idiag_src[0] = udp ? p->daddr.s_addr : p->saddr.s_addr;
	id->idiag_dst[0] = udp ? p->saddr.s_addr : p->daddr.s_addr;
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
}

unsigned long sock_diag_inode(const struct packet *p)
{
	char buf[8192];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	const struct inet_diag_msg *m;
	ssize_t n;

	h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	h->nlmsg_flags = NLM_F_REQUEST;
	request(p, mnl_nlmsg_put_extra_header(h, sizeof(struct inet_diag_req_v2)));
	if (mnl_socket_sendto(sock, h, h->nlmsg_len) < 0)
		observe_die("asking sock_diag");
	n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	if (n < 0)
		observe_die("sock_diag's answer");
	h = (struct nlmsghdr *)buf;
	if (!mnl_nlmsg_ok(h, (int)n) || h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return 0;
	m = mnl_nlmsg_get_payload(h);
	/* A connection that is gone is answered with the listener of its port. */
	if (ntohs(m->id.idiag_sport) != p->sport)
		return 0;
	if (ntohs(m->id.idiag_dport) != p->dport && (m->id.idiag_dport || p->proto != IPPROTO_UDP))
		return 0;
	return m->idiag_inode;
}
