/* SPDX-License-Identifier: Apache-2.0 */
/* Counters in a file: kept over restarts, refused when they are not what they should be. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/cleanup.h"
#include "shm/ledger.h"
#include "tap.h"

static char dir[] = "/tmp/test-ledger.XXXXXX";
static char path[64];

static void overwrite(const void *bytes, size_t len)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, bytes, len) != (ssize_t)len)
		tap_bail("the file cannot be written");
}

static void test_life(void)
{
	struct ledger_file seen;
	struct ledger l;
	struct stat st;

	umask(077);
	tap_is_int(ledger_read(path, LEDGER_OF_SINK, &seen), -ENOENT, "not there yet");
	tap_is_int(ledger_open(&l, path, LEDGER_OF_SINK), 0, "open");
	tap_is_int(ledger_get(&l, LEDGER_sink_epoch), 1, "first epoch");
	tap_ok(stat(path, &st) == 0 && (st.st_mode & 0777) == 0644, "mode 0644 whatever the umask");
	ledger_add(&l, LEDGER_sink_records_read, 40);
	ledger_add(&l, LEDGER_sink_records_read, 2);
	ledger_set(&l, LEDGER_sink_io_uring, 1);
	tap_ok(ledger_read(path, LEDGER_OF_SINK, &seen) == 0 &&
			seen.value[LEDGER_sink_records_read] == 42,
		"a reader sees the counts at once");
	tap_ok(seen.pid == (uint64_t)getpid() && seen.start_ns && !seen.ready, "who and when");
	ledger_ready(&l);
	tap_ok(ledger_read(path, LEDGER_OF_SINK, &seen) == 0 && seen.ready == 1, "ready");
	ledger_close(&l);
	tap_ok(!l.file, "closed");

	tap_is_int(ledger_open(&l, path, LEDGER_OF_SINK), 0, "the next run");
	tap_is_int(ledger_get(&l, LEDGER_sink_epoch), 2, "second epoch");
	tap_is_int(ledger_get(&l, LEDGER_sink_records_read), 42, "counts on");
	tap_is_int(l.file->ready, 0, "not ready yet");
	ledger_close(&l);
}

static void test_wrong(void)
{
	struct ledger_file seen, wrong = {0};
	struct ledger l;

	tap_is_int(ledger_read(path, LEDGER_OF_ENRICH, &seen), -EPROTO, "another program's");
	tap_is_int(ledger_open(&l, path, LEDGER_OF_ENRICH), 0, "taken over by another program");
	tap_is_int(ledger_get(&l, LEDGER_enrich_packets_read), 0, "which starts at zero");
	ledger_close(&l);

	wrong.magic = LEDGER_MAGIC;
	wrong.version = LEDGER_VERSION + 1;
	wrong.value[0] = 9;
	overwrite(&wrong, sizeof(wrong));
	tap_is_int(ledger_read(path, LEDGER_OF_CAPTURE, &seen), -EPROTO, "another version");
	tap_is_int(ledger_open(&l, path, LEDGER_OF_CAPTURE), 0, "is replaced");
	tap_is_int(ledger_get(&l, LEDGER_capture_epoch), 1, "by a new one");
	ledger_close(&l);

	overwrite("short", 5);
	tap_is_int(ledger_read(path, LEDGER_OF_CAPTURE, &seen), -EPROTO, "a short file");
	tap_is_int(ledger_open(&l, path, LEDGER_OF_CAPTURE), 0, "is replaced, too");
	ledger_close(&l);

	unlink(path);
	if (mkfifo(path, 0600) || ledger_read(path, LEDGER_OF_CAPTURE, &seen) != -EPROTO)
		tap_ok(false, "a FIFO is refused without waiting");
	else
		tap_ok(ledger_open(&l, path, LEDGER_OF_CAPTURE) < 0, "a FIFO is refused");
	unlink(path);
	tap_ok(symlink("/etc/passwd", path) == 0 &&
			ledger_read(path, LEDGER_OF_CAPTURE, &seen) == -EPROTO,
		"a symlink is not followed by the reader");
	tap_is_int(ledger_open(&l, path, LEDGER_OF_CAPTURE), -ELOOP, "nor by the writer");
	unlink(path);
}

static void test_names(void)
{
	static const char *const prefix[] = {"capture_", "enrich_", "sink_"};
	unsigned wrong = 0, n = 0;

	for (unsigned p = 0; p < LEDGER_PROGRAMS; p++)
		for (unsigned i = 0; i < ledger_count(p); i++, n++)
			wrong += strncmp(ledger_name(p, i), prefix[p], strlen(prefix[p])) != 0 ||
				 !ledger_help(p, i)[0];
	tap_is_int(wrong, 0, "all %u counters are named after their program and have a help", n);
	tap_is_str(
		ledger_name(LEDGER_OF_ENRICH, LEDGER_enrich_seq), "enrich_seq", "names by number");
}

int main(void)
{
	struct ledger l;

	if (!mkdtemp(dir))
		tap_bail("no temporary folder");
	snprintf(path, sizeof(path), "%s/ledger", dir);
	test_life();
	test_wrong();
	test_names();
	tap_ok(ledger_open_anonymous(&l, LEDGER_OF_SINK) == 0 && ledger_get(&l, 0) == 1,
		"an anonymous ledger counts, too");
	ledger_close(&l);
	rmdir(dir);
	return tap_done();
}
