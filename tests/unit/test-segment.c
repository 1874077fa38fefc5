/* SPDX-License-Identifier: Apache-2.0 */
/* What a consumer refuses to attach to: every property of the three descriptors in turn. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"
#include "shm/doorbell.h"
#include "shm/ring.h"
#include "shm/segment.h"
#include "tap.h"

#define A_LEN (RING_PAGE + RING_DATA_MIN)

static int real[RING_FDS];

/* A memfd made step by step, to leave one step out. */
static int memfd(size_t size, mode_t mode, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || fchmod(fd, mode) || ftruncate(fd, (off_t)size) ||
		(seals && fcntl(fd, F_ADD_SEALS, seals)))
		tap_bail("memfd");
	return fd;
}

static int readonly(int fd)
{
	int r = -1;

	if (segment_reopen_readonly(fd, &r))
		tap_bail("reopen");
	close(fd);
	return r;
}

/* Attaches with one descriptor replaced by @fd, which is closed; the others stay the ring's. */
static int with(unsigned which, int fd)
{
	struct ring_consumer *c;
	int fds[RING_FDS], r;

	memcpy(fds, real, sizeof(fds));
	fds[which] = fd;
	r = ring_consumer_new(fds, &c);
	if (fcntl(fd, F_GETFD) < 0)
		tap_ok(false, "a refused descriptor was closed");
	close(fd);
	return r;
}

static void test_data(void)
{
	const int seals = SEGMENT_SEALS_DATA;
	size_t size;
	int fd;

	tap_is_int(segment_check(real[RING_FD_DATA], seals, O_RDONLY, &size), 0, "A as made");
	tap_is_int(size, A_LEN, "its size");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0600, seals))), -EPROTO,
		"A without the magic number");
	tap_is_int(with(RING_FD_DATA, memfd(A_LEN, 0600, seals)), -EPROTO, "A opened for writing");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0600, seals & ~F_SEAL_SHRINK))),
		-EPROTO, "A that can shrink");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0600, seals & ~F_SEAL_GROW))), -EPROTO,
		"A that can grow");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0600, seals & ~F_SEAL_FUTURE_WRITE))),
		-EPROTO, "A that others can write");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0600, seals & ~F_SEAL_SEAL))), -EPROTO,
		"A that can be sealed more");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN, 0644, seals))), -EPROTO,
		"A with mode 0644");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(A_LEN + 1, 0600, seals))), -EPROTO,
		"A of an odd size");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(RING_PAGE, 0600, seals))), -EPROTO,
		"A without data");
	tap_is_int(with(RING_FD_DATA, readonly(memfd(0, 0600, seals))), -EPROTO, "A of no size");
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	tap_ok(with(RING_FD_DATA, fd) < 0, "a file that is no memfd");
	tap_ok(with(RING_FD_DATA, open("/proc/self/fd", O_RDONLY | O_CLOEXEC)) < 0, "a folder");
}

static void test_control(void)
{
	const int seals = SEGMENT_SEALS_CONTROL;
	size_t size;

	tap_is_int(segment_check(real[RING_FD_CONTROL], seals, O_RDWR, &size), 0, "B as made");
	tap_is_int(size, RING_PAGE, "its size");
	tap_is_int(with(RING_FD_CONTROL, memfd(RING_PAGE, 0600, seals & ~F_SEAL_SHRINK)), -EPROTO,
		"B that can shrink");
	tap_is_int(with(RING_FD_CONTROL, memfd(RING_PAGE, 0600, seals | F_SEAL_FUTURE_WRITE)),
		-EPROTO, "B that cannot be written");
	tap_is_int(with(RING_FD_CONTROL, memfd(2 * RING_PAGE, 0600, seals)), -EPROTO,
		"B of two pages");
	tap_is_int(with(RING_FD_CONTROL, readonly(memfd(RING_PAGE, 0600, seals))), -EPROTO,
		"B opened for reading only");
	tap_is_int(
		with(RING_FD_CONTROL, memfd(RING_PAGE, 0666, seals)), -EPROTO, "B with mode 0666");
}

static void test_doorbell(void)
{
	int fds[2];

	tap_is_int(with(RING_FD_WAKE, eventfd(0, EFD_CLOEXEC)), -EPROTO, "an eventfd as doorbell");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		tap_bail("socketpair");
	tap_is_int(with(RING_FD_WAKE, fds[0]), -EPROTO, "a stream socket as doorbell");
	close(fds[1]);
	tap_is_int(with(RING_FD_WAKE, socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), -EPROTO,
		"a UDP socket as doorbell");
	if (doorbell_new(&fds[0], &fds[1]))
		tap_bail("doorbell");
	tap_ok(doorbell_ring(fds[0]), "a doorbell rings");
	for (int i = 0; i < 10000 && doorbell_ring(fds[0]); i++)
		;
	tap_ok(!doorbell_ring(fds[0]), "a full one says so and does not block");
	doorbell_drain(fds[1]);
	tap_ok(doorbell_ring(fds[0]), "drained, it rings again");
	close(fds[0]);
	doorbell_drain(fds[1]);
	tap_ok(true, "an orphan doorbell can be drained");
	close(fds[1]);
}

static void test_born(void)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	tap_is_int(segment_new("test", 4096, &fd), 0, "a segment");
	tap_ok(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600, "is born with mode 0600");
	tap_ok(fcntl(fd, F_GETFD) & FD_CLOEXEC, "and CLOEXEC");
	tap_is_int(st.st_size, 4096, "and its size");
	tap_is_int(segment_seal(fd, SEGMENT_SEALS_CONTROL), 0, "can be sealed");
	tap_is_int(segment_seal(fd, F_SEAL_WRITE), -EPERM, "but once");
}

int main(void)
{
	struct ring_producer *p;
	struct ring_consumer *c;
	int fds[RING_FDS];

	if (ring_producer_new(RING_DATA_MIN, 1, RING_LOSS_KERNEL, &p))
		tap_bail("no ring");
	ring_producer_fds(p, real);
	for (int i = 0; i < RING_FDS; i++) {
		fds[i] = dup(real[i]);
		tap_ok(fcntl(real[i], F_GETFD) & FD_CLOEXEC, "descriptor %d is CLOEXEC", i);
	}
	tap_is_int(ring_consumer_new(fds, &c), 0, "the ring as made is accepted");
	ring_consumer_free(c);
	tap_ok(fcntl(fds[0], F_GETFD) < 0, "and its descriptors are the consumer's to close");
	test_born();
	test_data();
	test_control();
	test_doorbell();
	ring_producer_free(p);
	return tap_done();
}
