/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads netfilter's log of first packets, which carries the uid of the sending socket.
 *
 * Assumes a rule of nftables "log group GROUP" on them. A uid is all it ever knows.
 */
#include "bench/methods/packets.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>

#define COPY_LEN      64u       /* bytes of each packet: up to the ports */
#define QUEUE_PACKETS 16u       /* packets a message */
#define QUEUE_TIME    1u        /* 10 ms: until a shorter message is sent */
#define RECEIVE_SIZE  (4 << 20) /* bytes waiting in the socket */

static struct mnl_socket *sock;

static struct nlmsghdr *config(char *buf, uint16_t group)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *g;

	h->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->nfgen_family = AF_UNSPEC;
	g->version = NFNETLINK_V0;
	g->res_id = htons(group);
	return h;
}

static void attach(uint16_t group)
{
	struct nfulnl_msg_config_mode mode = {htonl(COPY_LEN), NFULNL_COPY_PACKET, 0};
	struct nfulnl_msg_config_cmd cmd = {NFULNL_CFG_CMD_BIND};
	int size = RECEIVE_SIZE;
	char buf[8192];
	struct nlmsghdr *h = config(buf, group);

	setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	mnl_attr_put(h, NFULA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(h, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(h, NFULA_CFG_QTHRESH, htonl(QUEUE_PACKETS));
	mnl_attr_put_u32(h, NFULA_CFG_TIMEOUT, htonl(QUEUE_TIME));
	if (mnl_socket_sendto(sock, h, h->nlmsg_len) < 0)
		observe_die("nflog");
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		int r = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 0, 0, NULL, NULL);

		if (r < 0)
			observe_die("nflog");
		if (r == MNL_CB_STOP)
			break;
	}
}

static int on_attribute(const struct nlattr *a, void *userdata)
{
	const struct nlattr **found = userdata;

	if (mnl_attr_get_type(a) <= NFULA_MAX)
		found[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static int on_message(const struct nlmsghdr *h, void *userdata)
{
	const struct nlattr *a[NFULA_MAX + 1] = {0};
	struct packet p;

	(void)userdata;
	mnl_attr_parse(h, sizeof(struct nfgenmsg), on_attribute, a);
	if (!a[NFULA_PAYLOAD] || !a[NFULA_UID] ||
		!packets_parse(mnl_attr_get_payload(a[NFULA_PAYLOAD]),
			mnl_attr_get_payload_len(a[NFULA_PAYLOAD]), &p))
		return MNL_CB_OK;
	observe_report(
		observe_now_ns(), p.proto, p.sport, 0, ntohl(mnl_attr_get_u32(a[NFULA_UID])));
	return MNL_CB_OK;
}

void nflog_run(const struct observe_options *o)
{
	static char buf[1 << 17];

	sock = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!sock || mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0)
		observe_die("nflog");
	attach(o->group);
	observe_ready();
	while (observe_wait(mnl_socket_get_fd(sock), -1)) {
		ssize_t n = recv(mnl_socket_get_fd(sock), buf, sizeof(buf), MSG_DONTWAIT);

		/* ENOBUFS: some were lost, which the count of missed ones shows. */
		if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
			observe_die("nflog");
		if (n > 0)
			mnl_cb_run(buf, (size_t)n, 0, 0, on_message, NULL);
	}
	mnl_socket_close(sock);
}
