/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of the process connector's messages. */
#include "enrich/connector-msg.h"

#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <string.h>

#include "enrich/netlink.h"

#define HEAD (NLMSG_HDRLEN + sizeof(struct cn_msg))

_Static_assert(CONNECTOR_REQUEST_SIZE == HEAD + sizeof(enum proc_cn_mcast_op), "size of a request");

size_t connector_request(void *buf, bool listen, uint32_t seq)
{
	const enum proc_cn_mcast_op op = listen ? PROC_CN_MCAST_LISTEN : PROC_CN_MCAST_IGNORE;
	const struct nlmsghdr h = {
		.nlmsg_len = CONNECTOR_REQUEST_SIZE,
		.nlmsg_type = NLMSG_DONE,
	};
	const struct cn_msg m = {
		.id = {.idx = CN_IDX_PROC, .val = CN_VAL_PROC},
		.ack = seq, /* the kernel's own number overwrites the other one in its answer */
		.len = sizeof(op),
	};

	memcpy(buf, &h, sizeof(h));
	memcpy((char *)buf + NLMSG_HDRLEN, &m, sizeof(m));
	memcpy((char *)buf + HEAD, &op, sizeof(op));
	return CONNECTOR_REQUEST_SIZE;
}

size_t connector_narrow(void *buf)
{
	/* struct proc_input of Linux 6.6 */
	const uint32_t input[] = {
		PROC_CN_MCAST_LISTEN, PROC_EVENT_UID | PROC_EVENT_GID | PROC_EVENT_SID};
	struct nlmsghdr h;
	struct cn_msg m;

	connector_request(buf, true, 0);
	memcpy(&h, buf, sizeof(h));
	memcpy(&m, (char *)buf + NLMSG_HDRLEN, sizeof(m));
	h.nlmsg_len = CONNECTOR_NARROW_SIZE;
	m.len = sizeof(input);
	memcpy(buf, &h, sizeof(h));
	memcpy((char *)buf + NLMSG_HDRLEN, &m, sizeof(m));
	memcpy((char *)buf + HEAD, input, sizeof(input));
	return CONNECTOR_NARROW_SIZE;
}

/* An id, name or exit event counts when it is the main thread's. */
static void of_process(
	enum connector_kind kind, uint32_t pid, uint32_t tgid, struct connector_event *ret)
{
	if (pid != tgid)
		return;
	ret->kind = kind;
	ret->pid = tgid;
}

static void parse(const struct proc_event *e, struct connector_event *ret)
{
	ret->t_ns = e->timestamp_ns;
	/* Not a switch: the constants are of an enumeration that newer kernels extend. */
	if (e->what == PROC_EVENT_NONE) {
		ret->kind = CONNECTOR_ACK;
		ret->error = e->event_data.ack.err <= INT32_MAX ? -(int)e->event_data.ack.err : -1;
	} else if (e->what == PROC_EVENT_FORK) {
		of_process(CONNECTOR_FORK, (uint32_t)e->event_data.fork.child_pid,
			(uint32_t)e->event_data.fork.child_tgid, ret);
		ret->ppid = (uint32_t)e->event_data.fork.parent_tgid;
	} else if (e->what == PROC_EVENT_EXEC) {
		of_process(CONNECTOR_EXEC, (uint32_t)e->event_data.exec.process_pid,
			(uint32_t)e->event_data.exec.process_tgid, ret);
	} else if (e->what == PROC_EVENT_EXIT) {
		of_process(CONNECTOR_EXIT, (uint32_t)e->event_data.exit.process_pid,
			(uint32_t)e->event_data.exit.process_tgid, ret);
	} else if (e->what == PROC_EVENT_COMM) {
		of_process(CONNECTOR_COMM, (uint32_t)e->event_data.comm.process_pid,
			(uint32_t)e->event_data.comm.process_tgid, ret);
		process_set_comm(
			ret->comm, e->event_data.comm.comm, sizeof(e->event_data.comm.comm));
	} else if (e->what == PROC_EVENT_UID) {
		of_process(CONNECTOR_UID, (uint32_t)e->event_data.id.process_pid,
			(uint32_t)e->event_data.id.process_tgid, ret);
		ret->id = e->event_data.id.e.euid;
		ret->real = e->event_data.id.r.ruid;
	} else if (e->what == PROC_EVENT_GID) {
		of_process(CONNECTOR_GID, (uint32_t)e->event_data.id.process_pid,
			(uint32_t)e->event_data.id.process_tgid, ret);
		ret->id = e->event_data.id.e.egid;
		ret->real = e->event_data.id.r.rgid;
	} else if (e->what == PROC_EVENT_SID) {
		of_process(CONNECTOR_SESSION, (uint32_t)e->event_data.sid.process_pid,
			(uint32_t)e->event_data.sid.process_tgid, ret);
	}
}

int connector_next(const void *bytes, size_t len, size_t *offset, struct connector_event *ret)
{
	const char *at = (const char *)bytes + *offset;
	size_t left = len - *offset, size;
	struct proc_event e = {0};
	struct nlmsghdr h;
	struct cn_msg m;

	if (*offset >= len)
		return CONNECTOR_E_END;
	if (left < sizeof(h))
		return CONNECTOR_E_MALFORMED;
	memcpy(&h, at, sizeof(h));
	if (!netlink_ok(&h, left))
		return CONNECTOR_E_MALFORMED;
	size = NLMSG_ALIGN(h.nlmsg_len);
	*offset = size < left ? *offset + size : len;
	*ret = (struct connector_event){0};
	if (h.nlmsg_len < HEAD)
		return 0;
	memcpy(&m, at + NLMSG_HDRLEN, sizeof(m));
	if (m.id.idx != CN_IDX_PROC || m.id.val != CN_VAL_PROC)
		return 0;
	size = h.nlmsg_len - HEAD;
	if (m.len < offsetof(struct proc_event, event_data) || m.len > size)
		return 0;
	/* An older kernel's event may be shorter: what it lacks is 0, and no process. */
	memcpy(&e, at + HEAD, m.len < sizeof(e) ? m.len : sizeof(e));
	ret->seq = m.ack - 1;
	parse(&e, ret);
	if (!ret->pid && ret->kind != CONNECTOR_ACK)
		ret->kind = CONNECTOR_OTHER;
	return 0;
}
