/* SPDX-License-Identifier: Apache-2.0 */
/* Rings that a supervisor kept: taken over, handed over oldest first, let go when they are read. */
#include "config/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/handover.h"
#include "config/notify.h"
#include "tap.h"

#define SIZE RING_DATA_MIN

static int supervisor = -1; /* where our messages arrive */

static struct ring_producer *make(uint64_t epoch, unsigned frames)
{
	struct ring_producer *p;

	if (ring_producer_new(SIZE, epoch, RING_LOSS_RECORD_RING, &p))
		tap_bail("no ring");
	for (unsigned i = 0; i < frames; i++)
		ring_put(p, RING_FRAME_TIME, 0, i, 0, NULL, 0, NULL, 0);
	ring_commit(p);
	return p;
}

static void listen_for_messages(const char *folder)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", folder);
	supervisor = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (supervisor < 0 || bind(supervisor, (struct sockaddr *)&a, sizeof(a)))
		tap_bail("no socket");
	setenv("NOTIFY_SOCKET", a.sun_path, 1);
	if (notify_open() != 1)
		tap_bail("no connection");
	unlink(a.sun_path);
}

/* The next message's text, and how many descriptors came with it. */
static const char *message(unsigned *ret_fds)
{
	static char text[256];
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov = {text, sizeof(text) - 1};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(supervisor, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);

	text[n < 0 ? 0 : n] = '\0';
	*ret_fds = c ? (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int)) : 0;
	for (unsigned i = 0; i < *ret_fds; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
		close(fd);
	}
	return text;
}

/* The next life: @fds at 3 and up under @names. */
static void inherit(struct keeper *k, const int *fds, int n, const char *names)
{
	char text[32];

	for (int i = 0; i < n; i++) {
		int high = fcntl(fds[i], F_DUPFD, 200);

		dup2(high, 100 + i);
		close(high);
	}
	for (int i = 0; i < n; i++) {
		dup2(100 + i, 3 + i);
		close(100 + i);
	}
	snprintf(text, sizeof(text), "%d", (int)getpid());
	setenv("LISTEN_PID", text, 1);
	snprintf(text, sizeof(text), "%d", n);
	setenv("LISTEN_FDS", text, 1);
	setenv("LISTEN_FDNAMES", names, 1);
	keeper_open(k);
}

/* Somebody asks and, if @read, reads what it gets to the end; that ring's epoch, 0 = none. */
static uint64_t ask(struct keeper *k, bool read)
{
	static struct handover_message m;
	struct ring_consumer *c = NULL;
	struct ring_frame f;
	char body[RING_BODY_MAX];
	uint64_t epoch = 0;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		tap_bail("no pair");
	if (keeper_hand_over(k, pair[0]) == 1 && handover_recv(pair[1], &m) == 0 &&
		m.type == HANDOVER_RING && ring_consumer_new(m.fds, &c) == 0) {
		m.n_fds = 0;
		epoch = ring_consumer_epoch(c);
		while (read && ring_get(c, body, &f) == 0)
			ring_release(c);
	}
	ring_consumer_free(c);
	close(pair[0]);
	close(pair[1]);
	return epoch;
}

static void test_life(int fds[4][RING_FDS])
{
	/* Two rings, the younger one first and its descriptors in another order; one empty; others.
	 */
	const int given[] = {fds[1][2], fds[1][0], fds[0][0], fds[0][1], fds[0][2], fds[1][1],
		fds[2][0], fds[2][1], fds[2][2], supervisor, fds[3][0], fds[3][2]};
	struct keeper k;
	unsigned n;

	inherit(&k, given, 12,
		"ring-6-1:ring-6-1:ring-5-1:ring-5-1:ring-5-1:ring-6-1:ring-7-1:ring-7-1:ring-7-1:"
		"other:ring-8-1:ring-8-1");
	tap_ok(!getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES"),
		"the variables are not passed on");
	tap_is_int(k.n, 3, "whole rings are taken over");
	tap_ok(fcntl(12, F_GETFD) == FD_CLOEXEC, "what is not ours stays, close-on-exec");
	tap_is_int(fcntl(13, F_GETFD), -1, "a ring that lacks a descriptor is closed");
	tap_is_int(ask(&k, false), 5, "the oldest one comes first");
	tap_is_int(ask(&k, false), 5, "again, as long as it is not read");
	tap_is_int(ask(&k, true), 5, "and again");
	tap_is_str(message(&n), "", "nothing is let go yet");
	tap_is_int(ask(&k, true), 6, "then the next");
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=ring-5-1", "the first one is let go");
	tap_is_int(ask(&k, true), 0, "the empty one never");
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=ring-6-1", "the second one is let go");
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=ring-7-1", "and the empty one");
	tap_is_int(k.n, 0, "none is left");
	tap_is_int(k.given_up, 0, "and nothing was given up");
	tap_is_int(fcntl(3, F_GETFD), -1, "their descriptors are closed");
	keeper_deinit(&k);
}

static void test_stuck(const int fds[RING_FDS])
{
	struct keeper k;
	unsigned n = 0;

	inherit(&k, fds, RING_FDS, "ring-9-1:ring-9-1:ring-9-1");
	while (n < 1000 && ask(&k, false))
		n++;
	tap_is_int(n, KEEPER_TRIES, "a ring that nobody can read is given up");
	tap_ok(k.given_up > 0, "which is told");
	message(&n);
	keeper_deinit(&k);
}

static void test_wrong(const int fds[RING_FDS])
{
	const int twice[] = {fds[0], fds[0], fds[1], fds[2]}, swapped[] = {fds[1], fds[2], fds[2]};
	struct keeper k;

	setenv("LISTEN_PID", "1", 1);
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_FDNAMES", "ring-1-1:ring-1-1:ring-1-1", 1);
	keeper_open(&k);
	tap_is_int(k.n, 0, "what is another process's is not taken");
	keeper_open(&k);
	tap_is_int(k.n, 0, "nothing offered, nothing taken");
	inherit(&k, twice, 4, "ring-1-1:ring-1-1:ring-1-1:ring-1-1");
	tap_is_int(k.n, 1, "a descriptor too many is closed");
	keeper_deinit(&k);
	inherit(&k, swapped, 3, "ring-1-1:ring-1-1:ring-1-1");
	tap_is_int(k.n, 0, "no ring, no harm");
	inherit(&k, fds, 3, "ring-1-1");
	tap_is_int(k.n, 0, "names that do not match");
	for (int i = 3; i < 6; i++)
		close(i);
	keeper_deinit(&k);
}

/* Packet sockets: a descriptor each, held until their life says otherwise, or the next one. */
static void test_sockets(void)
{
	const int given[] = {supervisor, supervisor};
	struct keeper k;
	unsigned n;

	tap_is_int(keeper_save_socket(supervisor, 7), 1, "a socket is given away");
	tap_ok(!strncmp(message(&n), "FDSTORE=1\nFDPOLL=0\nFDNAME=packets-7-", 36) && n == 1,
		"for as long as nobody says otherwise");
	keeper_forget_socket(5, 7);
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=packets-7-5", "which its own life does");
	inherit(&k, given, 2, "packets-7-5:packets-7-6");
	tap_ok(k.n_sockets == 2 && k.socket[0].fd == 3 && k.n == 0, "a killed one's are there");
	keeper_close_sockets(&k);
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=packets-7-5", "the first is let go");
	tap_is_str(message(&n), "FDSTOREREMOVE=1\nFDNAME=packets-7-6", "and the second");
	tap_ok(!k.n_sockets && fcntl(3, F_GETFD) == -1 && fcntl(4, F_GETFD) == -1,
		"their descriptors are closed");
	inherit(&k, given, 2, "packets-7-5:packets-7-6");
	keeper_deinit(&k);
	tap_is_str(message(&n), "", "whoever ends without a look at them leaves them to the next");
	tap_is_int(fcntl(3, F_GETFD), -1, "closed all the same");
}

int main(void)
{
	char folder[] = "/tmp/flowner-test-XXXXXX";
	struct ring_producer *p[4];
	int fds[4][RING_FDS];
	unsigned n;

	/* The places below 30 are those of the descriptors that are inherited. */
	for (int fd = 3; fd < 30; fd++)
		dup2(STDERR_FILENO, fd);
	if (!mkdtemp(folder))
		tap_bail("no folder");
	for (unsigned i = 0; i < 4; i++) {
		p[i] = make(5 + i, i == 2 ? 0 : 10);
		ring_producer_fds(p[i], fds[i]);
	}
	tap_is_int(keeper_save(fds[0], 5), 0, "no supervisor");
	listen_for_messages(folder);
	rmdir(folder);
	for (int fd = 3; fd < 30; fd++)
		close(fd);
	tap_is_int(keeper_save(fds[0], 5), 1, "one that keeps");
	tap_ok(!strncmp(message(&n), "FDSTORE=1\nFDPOLL=0\nFDNAME=ring-5-", 33) && n == RING_FDS,
		"is given the three descriptors");
	for (int i = 0; i < 10000 && notify_send("WATCHDOG=1") == 1; i++)
		continue;
	tap_is_int(
		keeper_save(fds[0], 5), -EAGAIN, "one that reads nothing is not waited for long");
	while (message(&n)[0])
		continue;
	test_sockets();
	test_life(fds);
	test_stuck(fds[3]);
	test_wrong(fds[3]);
	for (unsigned i = 0; i < 4; i++)
		ring_producer_free(p[i]);
	close(supervisor);
	notify_close();
	return tap_done();
}
