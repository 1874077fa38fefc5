/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a program's counters in a mapped file that outlives it. */
#include "shm/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm/cleanup.h"

#define LEDGER_SIZE 4096u /* bytes of the file */

_Static_assert(sizeof(struct ledger_file) <= LEDGER_SIZE, "the ledger is one page");
_Static_assert((int)LEDGER_CAPTURE_N <= LEDGER_MAX, "capture's counters fit");
_Static_assert((int)LEDGER_ENRICH_N <= LEDGER_MAX, "enrich's counters fit");
_Static_assert((int)LEDGER_SINK_N <= LEDGER_MAX, "sink's counters fit");

struct counter {
	const char *name, *help;
};

#define LEDGER_COUNTER(name, help) {#name, help},
static const struct counter capture_counters[] = {LEDGER_CAPTURE(LEDGER_COUNTER)};
static const struct counter enrich_counters[] = {LEDGER_ENRICH(LEDGER_COUNTER)};
static const struct counter sink_counters[] = {LEDGER_SINK(LEDGER_COUNTER)};

static const struct {
	const struct counter *counter;
	unsigned count;
} programs[LEDGER_PROGRAMS] = {
	[LEDGER_OF_CAPTURE] = {capture_counters, LEDGER_CAPTURE_N},
	[LEDGER_OF_ENRICH] = {enrich_counters, LEDGER_ENRICH_N},
	[LEDGER_OF_SINK] = {sink_counters, LEDGER_SINK_N},
};

unsigned ledger_count(enum ledger_program program)
{
	return programs[program].count;
}

const char *ledger_name(enum ledger_program program, unsigned counter)
{
	return programs[program].counter[counter].name;
}

const char *ledger_help(enum ledger_program program, unsigned counter)
{
	return programs[program].counter[counter].help;
}

static bool is_ledger(const struct ledger_file *f, enum ledger_program program)
{
	return f->magic == LEDGER_MAGIC && f->version == LEDGER_VERSION &&
	       f->program == (uint32_t)program;
}

/* Takes over what an earlier run left, or starts at zero; counts this run. */
static void ledger_start(struct ledger *l, enum ledger_program program)
{
	struct ledger_file *f = l->file;
	struct timespec now;

	if (!is_ledger(f, program)) {
		memset(f, 0, sizeof(*f));
		f->version = LEDGER_VERSION;
		f->program = (uint32_t)program;
		/* Last: a kill before this leaves no ledger, not half of one. */
		__atomic_store_n(&f->magic, LEDGER_MAGIC, __ATOMIC_RELEASE);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	f->ready = 0;
	f->pid = (uint64_t)getpid();
	f->start_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	ledger_add(l, 0, 1);
}

int ledger_open(struct ledger *l, const char *path, enum ledger_program program)
{
	_cleanup_close_ int fd = -1;
	struct stat st;
	void *m;
	int r;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	if (fchmod(fd, 0644) < 0) /* whatever the umask is: `flowner status` reads it */
		return -errno;
	if (st.st_size != LEDGER_SIZE && ftruncate(fd, LEDGER_SIZE) < 0)
		return -errno;
	/* Blocks, not a hole: a full tmpfs is an error here rather than a SIGBUS later. */
	r = posix_fallocate(fd, 0, LEDGER_SIZE);
	if (r)
		return -r;
	m = mmap(NULL, LEDGER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	l->file = m;
	ledger_start(l, program);
	return 0;
}

int ledger_open_anonymous(struct ledger *l, enum ledger_program program)
{
	void *m =
		mmap(NULL, LEDGER_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		return -errno;
	l->file = m;
	ledger_start(l, program);
	return 0;
}

void ledger_close(struct ledger *l)
{
	if (l->file)
		munmap(l->file, LEDGER_SIZE);
	l->file = NULL;
}

void ledger_ready(struct ledger *l)
{
	__atomic_store_n(&l->file->ready, 1, __ATOMIC_RELAXED);
}

int ledger_read(const char *path, enum ledger_program program, struct ledger_file *ret)
{
	_cleanup_close_ int fd = -1;
	struct ledger_file f;
	struct stat st;
	size_t got = 0;

	/* The directory belongs to the program, not to the reader: no FIFO, no symlink. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EPROTO : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	while (got < sizeof(f)) {
		ssize_t n = pread(fd, (char *)&f + got, sizeof(f) - got, (off_t)got);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EPROTO;
		if (n > 0)
			got += (size_t)n;
	}
	if (!is_ledger(&f, program))
		return -EPROTO;
	*ret = f;
	return 0;
}
