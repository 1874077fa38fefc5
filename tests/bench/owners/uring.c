/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients and servers that make no socket call: everything goes through io_uring.
 *
 *	owners-uring client|direct ADDR PORT	socket, connect, send; `direct` without a descriptor
 *	owners-uring server ADDR PORT		accepts and answers
 *
 * Reports as report.h says; 77 when the kernel refuses io_uring or the operation.
 */
#include <errno.h>
#include <liburing.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/owners/report.h"

static struct io_uring ring;

static int submit(void)
{
	struct io_uring_cqe *cqe;
	int r = io_uring_submit(&ring);

	if (r < 0)
		return r;
	do
		r = io_uring_wait_cqe(&ring, &cqe);
	while (r == -EINTR);
	if (r < 0)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return r;
}

static int need(int r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "owners-uring: %s: %s\n", what, strerror(-r));
		_exit(r == -EINVAL || r == -ENOSYS || r == -EPERM ? 77 : 1);
	}
	return r;
}

/* A direct descriptor has no getsockname(): its own port is chosen here, from the pid. */
static void bind_port(int fd, const union address *to, union address *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	ret->any.sa_family = to->any.sa_family;
	if (bind(fd, &ret->any, report_length(to)) < 0 || getsockname(fd, &ret->any, &len) < 0)
		report_die("bind");
}

static void client(bool direct, const union address *to)
{
	struct report r = {.kind = "conn", .proto = "tcp", .remote = *to};
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	unsigned flags = direct ? IOSQE_FIXED_FILE : 0;
	char text[32];
	int fd, n;

	if (direct) {
		need(io_uring_register_files_sparse(&ring, 1), "register files");
		io_uring_prep_socket_direct(sqe, to->any.sa_family, SOCK_STREAM, 0, 0, 0);
		need(submit(), "socket");
		fd = 0;
	} else {
		io_uring_prep_socket(sqe, to->any.sa_family, SOCK_STREAM, 0, 0);
		fd = need(submit(), "socket");
		bind_port(fd, to, &r.local);
	}
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_connect(sqe, fd, &to->any, report_length(to));
	sqe->flags |= (uint8_t)flags;
	r.t0 = report_now_ns();
	need(submit(), "connect");
	r.t1 = report_now_ns();
	if (direct)
		r.local.any.sa_family = AF_UNSPEC;
	report_write(&r, false);
	n = snprintf(text, sizeof(text), "pid %d\n", getpid());
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_send(sqe, fd, text, (size_t)n, MSG_NOSIGNAL);
	sqe->flags |= (uint8_t)flags;
	need(submit(), "send");
	_exit(0);
}

static int receive(int fd, char *buf, unsigned size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_recv(sqe, fd, buf, size, 0);
	return submit();
}

static void serve(int fd)
{
	struct report r = {.kind = "acc", .proto = "tcp", .t0 = report_now_ns()};
	char buf[512];
	struct io_uring_sqe *sqe;

	report_ends(fd, &r);
	r.t1 = r.t0;
	report_write(&r, false);
	if (receive(fd, buf, sizeof(buf)) > 0) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_send(sqe, fd, "y\n", 2, MSG_NOSIGNAL);
		(void)submit();
		while (receive(fd, buf, sizeof(buf)) > 0)
			;
	}
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_close(sqe, fd);
	(void)submit();
}

static void server(const union address *at)
{
	int listener = socket(at->any.sa_family, SOCK_STREAM, 0), on = 1, n;
	char line[32];

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, &at->any, report_length(at)) < 0 || listen(listener, 4096) < 0)
		report_die("listen");
	n = snprintf(line, sizeof(line), "ready %d\n", getpid());
	if (write(1, line, (size_t)n) != n)
		report_die("ready");
	for (;;) {
		struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

		io_uring_prep_accept(sqe, listener, NULL, NULL, 0);
		serve(need(submit(), "accept"));
	}
}

int main(int argc, char **argv)
{
	union address a;

	if (argc != 4)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	report_address(argv[2], argv[3], &a);
	need(io_uring_queue_init(8, &ring, 0), "io_uring");
	if (!strcmp(argv[1], "server"))
		server(&a);
	else if (!strcmp(argv[1], "client") || !strcmp(argv[1], "direct"))
		client(!strcmp(argv[1], "direct"), &a);
	return 64;
}
