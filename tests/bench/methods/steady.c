/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One long-lived process that opens TCP connections and reports the truth about them at the end.
 *
 *	steady N RATE PORT	N connections to 127.0.0.1, RATE a second (0: as many as it can)
 *
 * First line "took NS", then "tcp local-port pid uid" for each.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define N_MAX 100000u

static uint16_t ports[N_MAX];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Returns its local port. */
static uint16_t connect_once(const struct sockaddr_in *to)
{
	struct sockaddr_in self;
	socklen_t len = sizeof(self);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 ||
		getsockname(fd, (struct sockaddr *)&self, &len) < 0 ||
		send(fd, "x", 1, MSG_NOSIGNAL) != 1) {
		perror("steady");
		exit(1);
	}
	close(fd);
	return ntohs(self.sin_port);
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	unsigned long n = argc == 4 ? strtoul(argv[1], NULL, 10) : 0;
	unsigned long rate = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	uint64_t start, took;

	if (!n || n > N_MAX) {
		fprintf(stderr, "usage: steady N RATE PORT\n");
		return 64;
	}
	to.sin_port = htons((uint16_t)atoi(argv[3]));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	start = now_ns();
	for (unsigned long i = 0; i < n; i++) {
		uint64_t due = rate ? start + i * (1000000000 / rate) : 0, now = now_ns();

		if (now < due)
			nanosleep(&(struct timespec){.tv_nsec = (long)(due - now)}, NULL);
		ports[i] = connect_once(&to);
	}
	took = now_ns() - start;
	printf("took %llu\n", (unsigned long long)took);
	for (unsigned long i = 0; i < n; i++)
		printf("tcp %u %d %u\n", ports[i], getpid(), getuid());
	return 0;
}
