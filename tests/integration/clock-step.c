/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets the clock for the programs it is preloaded into, and for nobody else. The file $CLOCK_STEP
 * says what CLOCK_REALTIME is ahead by, and since when it is (see struct step): what is stamped by
 * the kernel, too, as by a clock that had been set at that moment.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define STEPS 64u
#define S     INT64_C(1000000000)

struct step {
	int64_t since_ns; /* true CLOCK_REALTIME; 0 = no more of them */
	int64_t ahead_ns;
};

static const struct step *steps;
static int (*real_gettime)(clockid_t clock, struct timespec *t);

__attribute__((constructor)) static void open_steps(void)
{
	const char *path = getenv("CLOCK_STEP");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *m = fd < 0 ? MAP_FAILED
			 : mmap(NULL, STEPS * sizeof(*steps), PROT_READ, MAP_SHARED, fd, 0);

	real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (fd >= 0)
		close(fd);
	if (m != MAP_FAILED)
		steps = m;
}

static int64_t set(int64_t true_ns)
{
	int64_t ahead = 0;

	for (unsigned i = 0; steps && i < STEPS; i++) {
		int64_t since = __atomic_load_n(&steps[i].since_ns, __ATOMIC_ACQUIRE);

		if (!since || since > true_ns)
			break;
		ahead = steps[i].ahead_ns;
	}
	return true_ns + ahead;
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = real_gettime(clock, t); /* no system call: the programs may not make this one */

	if (r == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t ns = set(t->tv_sec * S + t->tv_nsec);

		*t = (struct timespec){.tv_sec = ns / S, .tv_nsec = ns % S};
	}
	return r;
}

static pcap_handler handler;

/* Nanoseconds are where microseconds were, as asked for. */
static void stamp(u_char *user, const struct pcap_pkthdr *h, const u_char *bytes)
{
	int64_t ns = set(h->ts.tv_sec * S + h->ts.tv_usec);
	struct pcap_pkthdr copy = *h;

	copy.ts = (struct timeval){.tv_sec = ns / S, .tv_usec = ns % S};
	handler(user, &copy, bytes);
}

__attribute__((visibility("default"))) int pcap_dispatch(
	pcap_t *p, int max, pcap_handler fn, u_char *user)
{
	int (*real_dispatch)(pcap_t *, int, pcap_handler, u_char *);

	real_dispatch =
		(int (*)(pcap_t *, int, pcap_handler, u_char *))dlsym(RTLD_NEXT, "pcap_dispatch");
	handler = fn;
	return real_dispatch(p, max, stamp, user);
}
