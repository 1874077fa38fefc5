/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs together: what is opened and refused, where writing goes on, what a lost output counts.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink-build.h"
#include "sink/spool.h"

static char folder[] = "/tmp/flowner-spool-XXXXXX";
static struct format_context ctx;
static struct spool s;
static struct record r;

static const char *spec(const char *format, const char *name)
{
	static char text[2][256];
	static unsigned turn;

	turn ^= 1;
	snprintf(text[turn], sizeof(text[turn]), "%s:%s/%s", format, folder, name);
	return text[turn];
}

static int add(const char *what)
{
	struct output_error err = {0};
	char text[256], *colon;
	struct config_output o = {.format = text};
	int why, e;

	snprintf(text, sizeof(text), "%s", what);
	colon = strchr(text, ':');
	*colon = '\0';
	o.path = colon + 1;
	e = spool_add(&s, &o, &ctx, false, 65536, &why, &err);

	if (e > 0)
		printf("# %s\n", err.text);
	return e;
}

static void put(uint64_t seq, uint64_t pos)
{
	build_record(&r);
	r.seq = seq;
	if (!spool_has_room(&s))
		tap_bail("no room");
	spool_put(&s, &r, &KNOWN_NOBODY, pos);
}

/* Seals and writes; the counts of what is complete then. */
static unsigned write_out(uint64_t counts[SPOOL_COUNTERS])
{
	memset(counts, 0, sizeof(uint64_t) * SPOOL_COUNTERS);
	spool_seal(&s);
	return spool_progress(&s, 1, counts);
}

static char *content(const char *name)
{
	static char buf[65536];
	char path[256];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, buf, sizeof(buf) - 1);
	buf[n < 0 ? 0 : n] = 0;
	if (fd >= 0)
		close(fd);
	return buf;
}

static void store(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; (text = strchr(text, '\n')); text++)
		n++;
	return n;
}

/* The sequence numbers in a file, "1 2 3 ". */
static const char *numbers(const char *name)
{
	static char list[1024];
	const char *p = content(name), *at;

	list[0] = 0;
	while ((at = strstr(p, "\"sequence\":"))) {
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%d ", atoi(at + 11));
		p = at + 1;
	}
	return list;
}

static void test_refused(void)
{
	char path[256];
	struct stat st;

	spool_init(&s);
	tap_is_int(add("elasticsearch:/x"), OUTPUT_E_INVALID, "an unknown format");
	tap_is_int(add(spec("ecs", "missing/x")), OUTPUT_E_OPEN, "a folder that is not there");
	snprintf(path, sizeof(path), "%s/link", folder);
	if (symlink("/etc/passwd", path) < 0)
		tap_bail("symlink");
	tap_is_int(add(spec("ecs", "link")), OUTPUT_E_OPEN, "a symbolic link");
	tap_is_int(add(spec("ecs", "")), OUTPUT_E_OPEN, "a folder");
	umask(0);
	tap_is_int(add(spec("ecs", "mode")), 0, "a new file");
	snprintf(path, sizeof(path), "%s/mode", folder);
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "has mode 0640");
	tap_is_int(add(spec("text", "mode")), OUTPUT_E_OPEN, "a file another output writes to");
	for (unsigned i = s.n; i < CHECKPOINT_OUTPUTS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "many%u", i);
		add(spec("text", name));
	}
	tap_is_int(s.n, CHECKPOINT_OUTPUTS, "%u outputs", CHECKPOINT_OUTPUTS);
	tap_is_int(add(spec("text", "more")), -E2BIG, "and not one more");
	spool_deinit(&s);
}

/* Two outputs, killed after a batch that was written but not released. */
static void test_checkpoint(void)
{
	const struct output *bad;
	struct checkpoint_slot slot = {0};
	uint64_t counts[SPOOL_COUNTERS];

	store("a", "earlier line\n{\"torn");
	spool_init(&s);
	tap_ok(add(spec("ecs", "a")) == 0 && add(spec("text", "b")) == 0, "two outputs");
	tap_is_int(spool_recover(&s, NULL, &bad), 0, "without a checkpoint");
	tap_is_str(content("a"), "earlier line\n", "the torn line is cut, the whole one stays");
	spool_rewind(&s, 1000);
	put(1, 1100);
	put(2, 1200);
	tap_is_int(write_out(counts), 1, "one batch is complete");
	tap_ok(counts[SPOOL_RECORDS_READ] == 2 && counts[SPOOL_RECORDS_WRITTEN] == 2 &&
			counts[SPOOL_PACKETS_WRITTEN] == 22 && counts[SPOOL_RECORDS_LOST] == 0,
		"and amounts to two records of 22 packets");
	tap_is_int(s.done.pos, 1200, "up to the last record's end");
	tap_is_int(counts[SPOOL_BYTES_WRITTEN],
		strlen(content("a")) - strlen("earlier line\n") + strlen(content("b")),
		"its bytes are counted over both");
	spool_slot(&s, &slot);
	put(3, 1300);
	write_out(counts);
	tap_is_str(numbers("a"), "1 2 3 ", "a third record is written");
	spool_deinit(&s);

	spool_init(&s);
	add(spec("ecs", "a"));
	add(spec("text", "b"));
	tap_is_int(spool_recover(&s, &slot, &bad), 0, "a successor with the checkpoint before it");
	tap_is_str(numbers("a"), "1 2 ", "cuts it off");
	tap_is_int(lines(content("b")), 2, "in both files");
	spool_rewind(&s, 1200);
	put(3, 1300);
	put(4, 1400);
	write_out(counts);
	tap_is_str(numbers("a"), "1 2 3 4 ", "and writes it once");
	tap_is_int(lines(content("b")), 4, "in both");
	spool_deinit(&s);
}

/* A new file beside one the checkpoint knows; a file with the records already in it. */
static void test_skip(void)
{
	struct checkpoint_slot slot = {0};
	const struct output *bad;
	uint64_t counts[SPOOL_COUNTERS];

	spool_init(&s);
	add(spec("ecs", "a"));
	tap_is_int(spool_recover(&s, NULL, &bad), 0, "the place is found in the file itself");
	spool_rewind(&s, 0);
	put(3, 100);
	put(4, 200);
	put(5, 300);
	build_record(&r);
	r.epoch = 4;
	r.seq = 2;
	spool_put(&s, &r, &KNOWN_NOBODY, 400);
	write_out(counts);
	tap_is_str(numbers("a"), "1 2 3 4 5 2 ",
		"what it has is skipped, but not another epoch's numbers");
	tap_is_int(counts[SPOOL_RECORDS_WRITTEN], 4, "skipped ones count as written: they are");
	spool_deinit(&s);

	store("c", "somebody's file without a newline");
	slot.output[0].id = 1;
	slot.output[0].offset = 5;
	spool_init(&s);
	add(spec("text", "c"));
	tap_is_int(spool_recover(&s, &slot, &bad), -EBADMSG, "another kind of file");
	tap_is_str(content("c"), "somebody's file without a newline", "is not touched");
	spool_deinit(&s);
	store("c", "12:00:00.000 tcp  1");
	spool_init(&s);
	add(spec("text", "c"));
	tap_is_int(spool_recover(&s, &slot, &bad), 0, "another file's place");
	tap_is_str(content("c"), "", "is not taken for this one, whose first line is torn");
	spool_deinit(&s);
}

/* One reader goes away: the others go on, its records count as lost. */
static void test_broken(void)
{
	uint64_t counts[SPOOL_COUNTERS];
	const struct output *bad;
	char path[256], why[256], *udp[] = {"proto:udp"};
	const struct config_output few = {.format = "text", .path = "-", .include = {udp, 1}};
	int fds[2], saved = dup(STDOUT_FILENO);

	if (pipe(fds) < 0)
		tap_bail("pipe");
	fflush(stdout);
	dup2(fds[1], STDOUT_FILENO);
	close(fds[1]);
	spool_init(&s);
	add("text:-");
	dup2(saved, STDOUT_FILENO);
	close(saved);
	add(spec("ecs", "d"));
	tap_is_int(s.n, 2, "standard output and a file");
	tap_is_int(s.output[0].target, WRITER_STREAM, "a pipe gets a description of its own");
	spool_recover(&s, NULL, &bad);
	spool_rewind(&s, 0);
	put(1, 100);
	write_out(counts);
	tap_is_int(read(fds[0], path, sizeof(path)) > 0, 1, "the reader gets a line");
	close(fds[0]);
	put(2, 200);
	tap_is_int(write_out(counts), 1, "without the reader a batch is complete all the same");
	tap_ok(counts[SPOOL_RECORDS_LOST] == 1 && counts[SPOOL_RECORDS_WRITTEN] == 0 &&
			counts[SPOOL_PACKETS_LOST] == 11,
		"and counts as lost");
	tap_is_str(numbers("d"), "1 2 ", "the other output has everything");
	tap_ok(!spool_is_broken(&s), "something is left to write to");
	put(3, 300);
	write_out(counts);
	tap_ok(counts[SPOOL_RECORDS_LOST] == 1 && counts[SPOOL_PACKETS_LOST] == 11,
		"and so does what comes later");
	if (rules_init(&s.output[0].rules, &few, why, sizeof(why)))
		tap_bail(why);
	put(4, 400);
	write_out(counts);
	tap_ok(counts[SPOOL_RECORDS_LOST] == 0 && counts[SPOOL_RECORDS_WRITTEN] == 1,
		"but not what that output does not want");
	spool_deinit(&s);
}

/* A file that takes no more is given up: it ends with its last whole batch. */
static void test_given_up(void)
{
	struct rlimit before, limit;
	uint64_t counts[SPOOL_COUNTERS];
	const struct output *bad;

	spool_init(&s);
	add(spec("ecs", "g"));
	add(spec("ecs", "h"));
	spool_recover(&s, NULL, &bad);
	spool_rewind(&s, 0);
	put(1, 100);
	write_out(counts);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = before;
	limit.rlim_cur = strlen(content("g")) + 50;
	setrlimit(RLIMIT_FSIZE, &limit);
	put(2, 200);
	tap_is_int(write_out(counts), 0, "a batch that does not fit is not complete");
	tap_is_int(strlen(content("g")), limit.rlim_cur, "a part of it is");
	setrlimit(RLIMIT_FSIZE, &before);
	tap_ok(spool_halt(&s), "nothing is under way");
	tap_is_int(spool_progress(&s, UINT64_MAX / 2, counts), 0, "nor tried again");
	spool_cut(&s);
	tap_is_int(strlen(content("g")), limit.rlim_cur - 50, "the part goes");
	tap_is_int(strlen(content("h")), limit.rlim_cur - 50, "from each file");
	spool_deinit(&s);
}

/* Rotation by time goes on after the clock was set back. */
static void test_clock_back(void)
{
	const uint64_t hour = UINT64_C(3600000000000), now = 500000 * hour;
	uint64_t counts[SPOOL_COUNTERS];
	const struct output *bad;

	spool_init(&s);
	add(spec("ecs", "clock"));
	s.output[0].limits.rotate_interval_ns = hour;
	spool_recover(&s, NULL, &bad);
	spool_rewind(&s, 0);
	put(1, 100);
	write_out(counts);
	s.output[0].due_ns = now + 20 * hour;
	s.output[0].retry_ns = now + 19 * hour;
	tap_ok(!spool_rotation_due(&s, now), "not before its time");
	tap_ok(spool_rotation_ns(&s, now) <= hour, "which comes within the interval");
	tap_ok(spool_rotation_due(&s, now + hour), "whatever the clock was before");
	spool_deinit(&s);
}

/* More batches than there are marks join the youngest. */
static void test_many_batches(void)
{
	uint64_t counts[SPOOL_COUNTERS] = {0};
	const struct output *bad;

	spool_init(&s);
	add(spec("ecs", "e"));
	spool_recover(&s, NULL, &bad);
	spool_rewind(&s, 0);
	for (unsigned i = 1; i <= SPOOL_MARKS + 10; i++) {
		put(i, i * 100);
		spool_seal(&s);
	}
	tap_is_int(spool_progress(&s, 1, counts), SPOOL_MARKS, "all are complete");
	tap_is_int(counts[SPOOL_RECORDS_WRITTEN], SPOOL_MARKS + 10, "with every record");
	tap_is_int(s.done.pos, (SPOOL_MARKS + 10) * 100, "up to the last");
	tap_ok(spool_is_clean(&s), "nothing is left");
	spool_deinit(&s);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	build_context(&ctx);
	if (!mkdtemp(folder))
		tap_bail("mkdtemp");
	test_refused();
	test_checkpoint();
	test_skip();
	test_broken();
	test_given_up();
	test_clock_back();
	test_many_batches();
	if (chdir(folder) == 0 && system("rm -f -- *") == 0 && chdir("/") == 0)
		rmdir(folder);
	return tap_done();
}
