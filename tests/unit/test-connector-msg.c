/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the process connector: what they tell, and none is read beyond its end. */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "enrich/connector-msg.h"
#include "tap.h"

#define HEAD (NLMSG_HDRLEN + sizeof(struct cn_msg))

static _Alignas(8) unsigned char buf[4096];

/* Appends one message at @at; returns where the next one goes. */
static size_t put(size_t at, const struct proc_event *e, size_t len, uint32_t ack)
{
	struct nlmsghdr h = {.nlmsg_len = (uint32_t)(HEAD + len), .nlmsg_type = NLMSG_DONE};
	struct cn_msg m = {.id = {CN_IDX_PROC, CN_VAL_PROC}, .ack = ack, .len = (uint16_t)len};

	memcpy(buf + at, &h, sizeof(h));
	memcpy(buf + at + NLMSG_HDRLEN, &m, sizeof(m));
	memcpy(buf + at + HEAD, e, len);
	return at + NLMSG_ALIGN(h.nlmsg_len);
}

static struct connector_event one(const struct proc_event *e)
{
	size_t len = put(0, e, sizeof(*e), 78), at = 0;
	struct connector_event ret;

	if (connector_next(buf, len, &at, &ret) != 0 || at != len)
		ret.kind = (enum connector_kind) - 1;
	return ret;
}

static void test_kinds(void)
{
	struct proc_event fork = {.what = PROC_EVENT_FORK, .timestamp_ns = 5};
	struct proc_event exec = {.what = PROC_EVENT_EXEC};
	struct proc_event gone = {.what = PROC_EVENT_EXIT};
	struct proc_event comm = {.what = PROC_EVENT_COMM};
	struct proc_event uid = {.what = PROC_EVENT_UID};
	struct proc_event none = {.what = PROC_EVENT_NONE};
	struct connector_event e;

	fork.event_data.fork.parent_pid = 11; /* a thread of 10 forks */
	fork.event_data.fork.parent_tgid = 10;
	fork.event_data.fork.child_pid = fork.event_data.fork.child_tgid = 20;
	e = one(&fork);
	tap_ok(e.kind == CONNECTOR_FORK && e.pid == 20 && e.ppid == 10 && e.t_ns == 5,
		"a fork names child, parent process and time");
	fork.event_data.fork.child_tgid = 10;
	tap_is_int(one(&fork).kind, CONNECTOR_OTHER, "a new thread is no process");

	exec.event_data.exec.process_pid = exec.event_data.exec.process_tgid = 20;
	e = one(&exec);
	tap_ok(e.kind == CONNECTOR_EXEC && e.pid == 20, "an exec");
	gone.event_data.exit.process_pid = gone.event_data.exit.process_tgid = 20;
	e = one(&gone);
	tap_ok(e.kind == CONNECTOR_EXIT && e.pid == 20, "an exit");
	gone.event_data.exit.process_pid = 21;
	tap_is_int(one(&gone).kind, CONNECTOR_OTHER, "a thread's end is not its process's");

	comm.event_data.comm.process_pid = comm.event_data.comm.process_tgid = 20;
	memset(comm.event_data.comm.comm, 'x', sizeof(comm.event_data.comm.comm));
	e = one(&comm);
	tap_ok(e.kind == CONNECTOR_COMM && process_comm_len(e.comm) == sizeof(e.comm),
		"a name, also one without an end");
	uid.event_data.id.process_pid = uid.event_data.id.process_tgid = 20;
	uid.event_data.id.r.ruid = 1;
	uid.event_data.id.e.euid = 1000;
	e = one(&uid);
	tap_ok(e.kind == CONNECTOR_UID && e.id == 1000 && e.real == 1,
		"the effective and real user");
	uid.what = PROC_EVENT_GID;
	tap_is_int(one(&uid).kind, CONNECTOR_GID, "a group");
	uid.what = PROC_EVENT_SID;
	tap_is_int(one(&uid).kind, CONNECTOR_SESSION, "a session");
	uid.what = PROC_EVENT_PTRACE;
	tap_is_int(one(&uid).kind, CONNECTOR_OTHER, "what does not matter here");

	none.event_data.ack.err = EPERM;
	e = one(&none);
	tap_ok(e.kind == CONNECTOR_ACK && e.seq == 77 && e.error == -EPERM,
		"an answer: whose, and its error");
}

static void test_request(void)
{
	unsigned char request[CONNECTOR_REQUEST_SIZE], narrow[CONNECTOR_NARROW_SIZE];
	uint32_t input[2];
	enum proc_cn_mcast_op op;
	struct nlmsghdr h;

	tap_is_int(connector_request(request, true, 1), sizeof(request), "a request");
	memcpy(&h, request, sizeof(h));
	memcpy(&op, request + HEAD, sizeof(op));
	tap_ok(h.nlmsg_len == sizeof(request) && op == PROC_CN_MCAST_LISTEN, "asks to listen");
	connector_request(request, false, 1);
	memcpy(&op, request + HEAD, sizeof(op));
	tap_is_int(op, PROC_CN_MCAST_IGNORE, "and to leave off");
	tap_is_int(connector_narrow(narrow), sizeof(narrow), "a request for some");
	memcpy(&h, narrow, sizeof(h));
	memcpy(input, narrow + HEAD, sizeof(input));
	tap_ok(h.nlmsg_len == sizeof(narrow) && input[0] == PROC_CN_MCAST_LISTEN &&
			input[1] == (PROC_EVENT_UID | PROC_EVENT_GID | PROC_EVENT_SID),
		"names them");
}

static void test_malformed(void)
{
	struct proc_event exec = {.what = PROC_EVENT_EXEC};
	struct connector_event e;
	struct nlmsghdr *h = (struct nlmsghdr *)buf;
	struct cn_msg *m = (struct cn_msg *)(buf + NLMSG_HDRLEN);
	size_t len, at = 0, wrong = 0;

	exec.event_data.exec.process_pid = exec.event_data.exec.process_tgid = 20;
	len = put(put(0, &exec, sizeof(exec), 0), &exec, sizeof(exec), 0);
	tap_ok(connector_next(buf, len, &at, &e) == 0 && e.kind == CONNECTOR_EXEC &&
			connector_next(buf, len, &at, &e) == 0 && e.kind == CONNECTOR_EXEC &&
			connector_next(buf, len, &at, &e) == CONNECTOR_E_END,
		"two in one datagram");
	for (size_t n = 1; n < len / 2; n++) {
		/* In memory of exactly that size, so that a sanitizer sees a read beyond it. */
		unsigned char *cut = malloc(n);

		memcpy(cut, buf, n);
		at = 0;
		wrong += connector_next(cut, n, &at, &e) != CONNECTOR_E_MALFORMED;
		free(cut);
	}
	tap_is_int(wrong, 0, "cut anywhere it is malformed");

	len = put(0, &exec, sizeof(exec), 0);
	h->nlmsg_len = 15;
	at = 0;
	tap_is_int(connector_next(buf, len, &at, &e), CONNECTOR_E_MALFORMED,
		"shorter than its own head");
	h->nlmsg_len = UINT32_MAX;
	at = 0;
	tap_is_int(connector_next(buf, len, &at, &e), CONNECTOR_E_MALFORMED, "longer than all");
	len = put(0, &exec, sizeof(exec), 0);
	m->len = UINT16_MAX;
	at = 0;
	tap_ok(connector_next(buf, len, &at, &e) == 0 && e.kind == CONNECTOR_OTHER && at == len,
		"data beyond the message");
	len = put(0, &exec, offsetof(struct proc_event, event_data), 0);
	at = 0;
	tap_ok(connector_next(buf, len, &at, &e) == 0 && e.kind == CONNECTOR_OTHER,
		"an event without its data names nobody");
	len = put(0, &exec, sizeof(exec), 0);
	m->id.idx = CN_IDX_PROC + 1;
	at = 0;
	tap_ok(connector_next(buf, len, &at, &e) == 0 && e.kind == CONNECTOR_OTHER,
		"another connector's");
}

static void test_random(void)
{
	struct connector_event e;
	unsigned events = 0;

	srandom(1);
	for (int i = 0; i < 20000; i++) {
		size_t len = 1 + (size_t)random() % 128, at = 0;
		unsigned char *bytes = malloc(len);

		for (size_t j = 0; j < len; j++)
			bytes[j] = (unsigned char)(random() % 4 ? 0 : random());
		while (connector_next(bytes, len, &at, &e) == 0)
			events++;
		free(bytes);
	}
	tap_ok(events < 20000u * 8, "random bytes end (%u events)", events);
}

int main(void)
{
	test_kinds();
	test_request();
	test_malformed();
	test_random();
	return tap_done();
}
