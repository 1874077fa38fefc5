/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes lines the two usual ways, for tests/bench/stall.py to compare flowner-sink with:
 *
 *	plain-writer sync LINES COUNT RATE FILE   write(2) of 256 KiB, fdatasync(2) each second
 *	plain-writer line LINES COUNT RATE FILE   fwrite(3) and fflush(3) for each line
 *
 * The lines are those of the file LINES, over and over; they come at RATE a second, in batches of a
 * millisecond. It waits for a byte on standard input before the first, and for its end behind the
 *last one.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BATCH   (256u * 1024u)
#define FLUSH_S 0.2
#define SYNC_S  1.0

static char *lines;
static size_t lines_len;
static char batch[2 * BATCH];
static size_t batched;

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void read_lines(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0)
		die(path);
	lines_len = (size_t)st.st_size;
	lines = malloc(lines_len);
	if (!lines || read(fd, lines, lines_len) != st.st_size || lines[lines_len - 1] != '\n')
		die(path);
	close(fd);
}

static void write_out(int fd)
{
	if (batched && write(fd, batch, batched) != (ssize_t)batched)
		die("write");
	batched = 0;
}

static void put(FILE *f, int fd, const char *line, size_t len)
{
	if (f) {
		if (fwrite(line, 1, len, f) != len || fflush(f))
			die("fwrite");
		return;
	}
	if (batched + len > BATCH)
		write_out(fd);
	memcpy(batch + batched, line, len);
	batched += len;
}

static void run(FILE *f, int fd, uint64_t count, double rate)
{
	const double start = now();
	double flushed = start, synced = start, t;
	const char *at = lines;

	for (uint64_t n = 0; n < count;) {
		while (t = now(), (double)n < (t - start) * rate && n < count) {
			size_t len = (size_t)((const char *)memchr(at, '\n', lines_len) - at) + 1;

			put(f, fd, at, len);
			at += len;
			if (at == lines + lines_len)
				at = lines;
			n++;
		}
		if (!f && t - flushed >= FLUSH_S) {
			write_out(fd);
			flushed = t;
		}
		if (!f && t - synced >= SYNC_S) {
			if (fdatasync(fd) < 0)
				die("fdatasync");
			synced = now();
		}
		poll(NULL, 0, 1);
	}
	if (!f)
		write_out(fd);
}

int main(int argc, char **argv)
{
	char c;
	int fd;
	FILE *f = NULL;

	if (argc != 6)
		return 64;
	read_lines(argv[2]);
	fd = open(argv[5], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		die(argv[5]);
	if (strcmp(argv[1], "line") == 0 && !(f = fdopen(fd, "w")))
		die(argv[5]);
	if (read(STDIN_FILENO, &c, 1) != 1)
		return 1;
	run(f, fd, strtoull(argv[3], NULL, 10), strtod(argv[4], NULL));
	puts("done");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	return 0;
}
