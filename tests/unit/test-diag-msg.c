/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag's bytes: requests as the kernel wants them, replies cut at every byte, verification. */
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "enrich/diag-msg.h"
#include "tap.h"

static struct socket_key key(uint8_t proto)
{
	struct socket_key k = {
		.proto = proto,
		.local_addr = {[10] = 0xff, 0xff, 10, 0, 0, 1},
		.remote_addr = {[10] = 0xff, 0xff, 10, 0, 0, 2},
		.local_port = 40000,
		.remote_port = 80,
	};

	return k;
}

static struct inet_diag_req_v2 request(const struct socket_key *k)
{
	_Alignas(4) uint8_t buf[DIAG_REQUEST_SIZE];
	struct inet_diag_req_v2 r;

	tap_is_int(diag_request(buf, k, 7), sizeof(buf), "a request of the stated size");
	memcpy(&r, buf + sizeof(struct nlmsghdr), sizeof(r));
	return r;
}

static void test_requests(void)
{
	struct socket_key k = key(IPPROTO_TCP);
	struct inet_diag_req_v2 r = request(&k);

	tap_ok(r.sdiag_family == AF_INET && ntohs(r.id.idiag_sport) == 40000 &&
			ntohs(r.id.idiag_dport) == 80 && ntohl(r.id.idiag_src[0]) == 0x0a000001,
		"TCP: local end as source, v4-mapped as IPv4");
	k = key(IPPROTO_UDP);
	r = request(&k);
	tap_ok(ntohs(r.id.idiag_sport) == 80 && ntohs(r.id.idiag_dport) == 40000 &&
			ntohl(r.id.idiag_src[0]) == 0x0a000002,
		"UDP: the other way round");
	k.local_addr[0] = 0xfd;
	r = request(&k);
	tap_ok(r.sdiag_family == AF_INET6, "IPv6");
}

struct reply {
	_Alignas(4) uint8_t bytes[512];
	size_t len;
};

static struct reply reply(uint8_t state, uint32_t inode, uint32_t uid, uint16_t rport)
{
	struct reply r = {.len = sizeof(struct nlmsghdr) + sizeof(struct inet_diag_msg)};
	struct inet_diag_msg m = {
		.idiag_family = AF_INET,
		.idiag_state = state,
		.id = {.idiag_sport = htons(40000),
			.idiag_dport = htons(rport),
			.idiag_src = {htonl(0x0a000001)},
			.idiag_dst = {rport ? htonl(0x0a000002) : 0},
			.idiag_cookie = {5, 6}},
		.idiag_inode = inode,
		.idiag_uid = uid,
	};
	const uint64_t cgroup = 4242;
	struct nlattr a = {.nla_len = sizeof(a) + sizeof(cgroup), .nla_type = INET_DIAG_CGROUP_ID};
	struct nlmsghdr h = {.nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_seq = 7};

	memcpy(r.bytes + sizeof(h), &m, sizeof(m));
	memcpy(r.bytes + r.len, &a, sizeof(a));
	memcpy(r.bytes + r.len + sizeof(a), &cgroup, sizeof(cgroup));
	r.len += a.nla_len;
	h.nlmsg_len = (uint32_t)r.len;
	memcpy(r.bytes, &h, sizeof(h));
	return r;
}

static struct diag_message parse(const struct reply *r)
{
	struct diag_message m = {0};
	size_t at = 0;

	if (diag_next(r->bytes, r->len, &at, &m) || at != r->len)
		m.kind = DIAG_OTHER;
	return m;
}

static void test_replies(void)
{
	struct reply r = reply(TCP_ESTABLISHED, 999, 1000, 80);
	struct diag_message m = parse(&r);
	unsigned accepted = 0;
	size_t at = 0;

	tap_ok(m.kind == DIAG_SOCKET && m.seq == 7, "a socket, and which request it answers");
	tap_ok(m.socket.inode == 999 && m.socket.uid == 1000 && m.socket.cgroup_id == 4242 &&
			m.socket.cookie == (UINT64_C(6) << 32 | 5),
		"inode, uid, cgroup, cookie");
	for (size_t len = 1; len < r.len; len++) {
		uint8_t *copy = malloc(len);

		memcpy(copy, r.bytes, len);
		at = 0;
		accepted += !diag_next(copy, len, &at, &m);
		free(copy);
	}
	tap_is_int(accepted, 0, "cut anywhere it is refused");
	at = r.len;
	tap_is_int(diag_next(r.bytes, r.len, &at, &m), DIAG_E_END, "the end");
	r = reply(TCP_TIME_WAIT, 0, 0, 80);
	tap_ok(parse(&r).socket.uid == UINT32_MAX, "without an inode uid 0 is not root");
	r = reply(TCP_FIN_WAIT1, 0, 1000, 80);
	tap_ok(parse(&r).socket.uid == 1000, "another uid is what it says");
}

static void test_verify(void)
{
	struct socket_key tcp = key(IPPROTO_TCP), udp = key(IPPROTO_UDP);
	struct reply r = reply(TCP_ESTABLISHED, 1, 0, 80);
	struct diag_message m = parse(&r);

	tap_is_int(diag_compare(&tcp, &m.socket), DIAG_MATCH_EXACT, "the connection asked for");
	m.socket.key.remote_port = 81;
	tap_is_int(diag_compare(&tcp, &m.socket), DIAG_MATCH_NONE, "another connection");
	r = reply(TCP_LISTEN, 1, 0, 0);
	m = parse(&r);
	tap_is_int(diag_compare(&tcp, &m.socket), DIAG_MATCH_LISTENER, "the listener instead");
	m.socket.key.local_port = 1;
	tap_is_int(diag_compare(&tcp, &m.socket), DIAG_MATCH_NONE, "the listener of another port");
	r = reply(TCP_CLOSE, 1, 0, 0);
	m = parse(&r);
	tap_is_int(diag_compare(&udp, &m.socket), DIAG_MATCH_BOUND, "UDP bound, not connected");
	r = reply(TCP_ESTABLISHED, 1, 0, 80);
	m = parse(&r);
	tap_is_int(diag_compare(&udp, &m.socket), DIAG_MATCH_EXACT, "UDP connected");
	m.socket.key.local_addr[15] = 9;
	tap_is_int(diag_compare(&udp, &m.socket), DIAG_MATCH_NONE, "UDP of another address");
}

static void put(struct reply *r, uint16_t type, const void *bytes, size_t len)
{
	struct nlattr a = {.nla_len = (uint16_t)(sizeof(a) + len), .nla_type = type};
	struct nlmsghdr h;

	memcpy(r->bytes + r->len, &a, sizeof(a));
	memcpy(r->bytes + r->len + sizeof(a), bytes, len);
	r->len += NLMSG_ALIGN(a.nla_len);
	memcpy(&h, r->bytes, sizeof(h));
	h.nlmsg_len = (uint32_t)r->len;
	memcpy(r->bytes, &h, sizeof(h));
}

/* A message of the DESTROY multicast: protocol and tcp_info, of whatever length this kernel has. */
static void test_closed(void)
{
	/* Offsets of struct tcp_info, which only grows. */
	enum { RTT = 68, TOTAL_RETRANS = 100, ACKED = 120, RECEIVED = 128, SEGS_OUT = 136 };
	enum { NOTSENT = 144, SENT = 200, RETRANS = 208, SIZE = 216 };
	uint8_t info[SIZE] = {0};
	const uint8_t tcp = IPPROTO_TCP;
	struct reply r = reply(TCP_CLOSE, 0, 0, 80);
	struct diag_message m;

	info[RTT] = 44;
	info[TOTAL_RETRANS] = 3;
	info[ACKED] = 102;
	info[RECEIVED] = 50;
	info[SEGS_OUT] = 9;
	info[SENT] = 110;
	info[RETRANS] = 10;
	put(&r, INET_DIAG_PROTOCOL, &tcp, 1);
	put(&r, INET_DIAG_INFO, info, SIZE);
	m = parse(&r);
	tap_ok(m.kind == DIAG_SOCKET && m.socket.key.proto == IPPROTO_TCP,
		"closed: which protocol");
	tap_ok(m.socket.have_info && m.socket.info.bytes_acked == 102 &&
			m.socket.info.bytes_received == 50 && m.socket.info.segs_out == 9 &&
			m.socket.info.rtt_us == 44 && m.socket.info.retransmits == 3,
		"its figures");
	tap_is_int(m.socket.info.bytes_sent, 100, "payload sent without what was sent again");
	r = reply(TCP_CLOSE, 0, 0, 80);
	put(&r, INET_DIAG_INFO, info, NOTSENT);
	m = parse(&r);
	tap_ok(m.socket.have_info && m.socket.info.segs_out == 9 && !m.socket.info.bytes_sent,
		"an older kernel tells less");
	r = reply(TCP_CLOSE, 0, 0, 80);
	put(&r, INET_DIAG_INFO, info, ACKED);
	tap_ok(!parse(&r).socket.have_info, "a very old one nothing");
}

/* Servers on an IPv6 socket whose peers come over IPv4: one address in two notations. */
static void test_mapped(void)
{
	struct socket_key tcp = key(IPPROTO_TCP), udp = key(IPPROTO_UDP);
	struct diag_socket s = {.key = tcp, .state = TCP_ESTABLISHED};

	tap_is_int(
		diag_compare(&tcp, &s), DIAG_MATCH_EXACT, "an IPv6 socket with mapped addresses");
	s = (struct diag_socket){.key = {.local_port = 40000}, .state = TCP_LISTEN};
	tap_is_int(diag_compare(&tcp, &s), DIAG_MATCH_LISTENER, "a listener on [::]");
	s.state = TCP_CLOSE;
	tap_is_int(diag_compare(&udp, &s), DIAG_MATCH_BOUND, "UDP bound to [::]");
	s.key.local_addr[10] = s.key.local_addr[11] = 0xff;
	tap_is_int(diag_compare(&udp, &s), DIAG_MATCH_BOUND, "or to 0.0.0.0");
	s.key = udp;
	s.key.remote_port = 1;
	tap_is_int(diag_compare(&udp, &s), DIAG_MATCH_NONE, "UDP connected to somebody else");
}

int main(void)
{
	test_requests();
	test_replies();
	test_verify();
	test_closed();
	test_mapped();
	return tap_done();
}
