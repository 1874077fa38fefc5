/* SPDX-License-Identifier: Apache-2.0 */
/* One line of truth. Formatted without stdio's buffers: a client that exits at once must stay one.
 */
#include "bench/owners/report.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void report_die(const char *what)
{
	perror(what);
	_exit(1);
}

uint64_t report_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

socklen_t report_address(const char *text, const char *port, union address *ret)
{
	uint16_t number = htons((uint16_t)atoi(port));

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		ret->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = number};
		if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) != 1)
			report_die(text);
	} else {
		ret->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = number};
		if (inet_pton(AF_INET, text, &ret->v4.sin_addr) != 1)
			report_die(text);
	}
	return report_length(ret);
}

socklen_t report_length(const union address *a)
{
	return a->any.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

void report_ends(int fd, struct report *r)
{
	socklen_t len = sizeof(r->local);

	if (getsockname(fd, &r->local.any, &len) < 0)
		report_die("getsockname");
	len = sizeof(r->remote);
	if (!r->remote.any.sa_family)
		getpeername(fd, &r->remote.any, &len);
}

static int end_text(char *buf, size_t size, const union address *a)
{
	char text[INET6_ADDRSTRLEN] = "-";
	unsigned port = 0;

	if (a->any.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, text, sizeof(text));
		port = ntohs(a->v6.sin6_port);
	} else if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, text, sizeof(text));
		port = ntohs(a->v4.sin_port);
	}
	return snprintf(buf, size, "%s %u ", text, port);
}

void report_write(const struct report *r, bool foreign)
{
	char line[512], self[16] = "";
	int n = snprintf(line, sizeof(line), "%s %s ", r->kind, r->proto), pid = getpid();

	n += end_text(line + n, sizeof(line) - (size_t)n, &r->local);
	n += end_text(line + n, sizeof(line) - (size_t)n, &r->remote);
	if (foreign && readlink("/proc/self", self, sizeof(self) - 1) > 0)
		pid = atoi(self);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "%d %d %u %llu %llu %s\n", pid, getpid(),
		getuid(), (unsigned long long)r->t0, (unsigned long long)r->t1,
		r->note[0] ? r->note : "-");
	if (write(1, line, (size_t)n) != n)
		report_die("report");
}

union control {
	struct cmsghdr head;
	char space[CMSG_SPACE(sizeof(int))];
};

void report_pass(int channel, int fd)
{
	union control control = {.head = {.cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
					 .cmsg_len = CMSG_LEN(sizeof(int))}};
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	if (sendmsg(channel, &m, 0) != 1)
		report_die("sendmsg");
	close(fd);
}

int report_receive(int channel)
{
	union control control;
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(channel, &m, 0) != 1 || !CMSG_FIRSTHDR(&m))
		return -1;
	memcpy(&fd, CMSG_DATA(&control.head), sizeof(int));
	return fd;
}
