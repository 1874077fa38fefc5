/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a program's counters in a mapped file that outlives it. */
#include "shm/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shm/cleanup.h"

#define LEDGER_SIZE   4096u /* bytes of the file */
#define READ_TRIES    1000u
#define READ_PAUSE_NS 100000

_Static_assert(sizeof(struct ledger_file) <= LEDGER_SIZE, "the ledger is one page");
_Static_assert((int)LEDGER_CAPTURE_N <= LEDGER_MAX, "capture's counters fit");
_Static_assert((int)LEDGER_ENRICH_N <= LEDGER_MAX, "enrich's counters fit");
_Static_assert((int)LEDGER_SINK_N <= LEDGER_MAX, "sink's counters fit");

#define LEDGER_COUNTER(name, family, labels, help) {#name, help, labels, LEDGER_FAMILY_##family},
static const struct ledger_counter capture_counters[] = {LEDGER_CAPTURE(LEDGER_COUNTER)};
static const struct ledger_counter enrich_counters[] = {LEDGER_ENRICH(LEDGER_COUNTER)};
static const struct ledger_counter sink_counters[] = {LEDGER_SINK(LEDGER_COUNTER)};

#define LEDGER_FAMILY(family, type, name, help) {name, help, LEDGER_TYPE_##type},
static const struct ledger_family families[] = {LEDGER_FAMILIES(LEDGER_FAMILY)};

_Static_assert((int)LEDGER_sink_output_0_records + LEDGER_OUTPUTS * LEDGER_OUTPUT_COUNTERS ==
		       (int)LEDGER_SINK_N,
	"outputs' counters stand in a row, and last");

static const struct {
	const struct ledger_counter *counter;
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

const struct ledger_counter *ledger_counter(enum ledger_program program, unsigned counter)
{
	return &programs[program].counter[counter];
}

const struct ledger_family *ledger_family(enum ledger_family_id id)
{
	return &families[id];
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
	f->turn += f->turn & 1; /* killed in the middle of a change */
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
	/* With another name it is a file of somebody else's, linked here by whoever has the folder.
	 */
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
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

void ledger_name_output(struct ledger *l, unsigned i, const char *format, const char *path)
{
	struct ledger_output *o = &l->file->output[i];
	size_t len = strlen(path);

	if (len >= sizeof(o->path))
		path += len - (sizeof(o->path) - 1);
	snprintf(o->format, sizeof(o->format), "%s", format);
	snprintf(o->path, sizeof(o->path), "%s", path);
}

static int read_at(int fd, void *to, size_t size, size_t offset)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = pread(fd, (char *)to + got, size - got, (off_t)(offset + got));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EPROTO;
		if (n > 0)
			got += (size_t)n;
	}
	return 0;
}

/* Between two changes, if there is such a moment. */
static int read_quiet(int fd, struct ledger_file *ret)
{
	const struct timespec pause = {.tv_nsec = READ_PAUSE_NS};

	for (unsigned try = 0;; try++) {
		uint64_t turn = 1;
		int r = read_at(fd, ret, sizeof(*ret), 0);

		if (r == 0)
			r = read_at(fd, &turn, sizeof(turn), offsetof(struct ledger_file, turn));
		if (r < 0 || (ret->turn == turn && !(turn & 1)) || try == READ_TRIES)
			return r;
		nanosleep(&pause, NULL);
	}
}

int ledger_read(const char *path, enum ledger_program program, struct ledger_file *ret)
{
	_cleanup_close_ int fd = -1;
	struct ledger_file f;
	struct stat st;
	int r;

	/* The directory belongs to the program, not to the reader: no FIFO, no symlink. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP ? -EPROTO : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EPROTO;
	r = read_quiet(fd, &f);
	if (r < 0)
		return r;
	if (!is_ledger(&f, program))
		return -EPROTO;
	for (unsigned i = 0; i < LEDGER_OUTPUTS; i++) {
		f.output[i].format[sizeof(f.output[i].format) - 1] = '\0';
		f.output[i].path[sizeof(f.output[i].path) - 1] = '\0';
	}
	*ret = f;
	return 0;
}
