/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner tail`: shows records of an output file, filters them, and follows it. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/line.h"
#include "cli/plan.h"
#include "config/log.h"
#include "flowner-version.h"
#include "shm/cleanup.h"
#include "sink/escape.h"
#include "sink/expression.h"
#include "sink/format.h"

#define LINE_MAX_BYTES (2u * FORMAT_MAX)
#define LAST_MAX       100000u
#define POLL_NS        100000000L

struct tail {
	const char *path;
	char *config_path; /* owned */
	struct expression *expression;
	bool follow, raw, starts;
	size_t last; /* how many of those that match; SIZE_MAX = all */
	char **kept; /* a ring of `last` outputs, NULL once they are shown */
	size_t n_kept;

	int fd;
	pid_t zstd;              /* that unpacks into fd; 0 = nobody */
	uint64_t offset, number; /* of bytes, of lines read */
	char *buf;
	size_t have;
	bool too_long, understood;
	struct line_reader reader;
	struct format_context context;
	struct record record;
	char out[FORMAT_MAX];
};

/* What steers a terminal never reaches one: control characters, bidi and tags, broken UTF-8. */
static void show_raw(char *s, size_t len)
{
	unsigned n;

	for (size_t i = 0; i < len && isatty(STDOUT_FILENO); i += n ? n : 1) {
		uint32_t c = 0;

		n = escape_utf8(s + i, len - i, &c);
		if (!n || (escape_is_unsafe(c) && c != '\t'))
			memset(s + i, '?', n ? n : 1);
	}
}

static void keep(struct tail *t, const char *s, size_t len)
{
	char **place;

	if (!t->kept) {
		fwrite(s, 1, len, stdout);
		return;
	}
	if (!t->last)
		return;
	place = &t->kept[t->n_kept++ % t->last];
	free(*place);
	*place = strndup(s, len);
}

static void show_kept(struct tail *t)
{
	size_t from = t->n_kept > t->last ? t->n_kept - t->last : 0;

	for (size_t i = from; t->kept && i < t->n_kept; i++) {
		char **place = &t->kept[i % t->last];

		if (*place)
			fputs(*place, stdout);
		free(*place);
	}
	free(t->kept);
	t->kept = NULL;
	fflush(stdout);
}

/* 0, or the exit status. */
static int take_line(struct tail *t, char *line, size_t len)
{
	int r = line_read(&t->reader, line, len, &t->record);
	size_t n;

	t->number++;
	if (r == LINE_E_NOTHING)
		return 0;
	if (r) {
		log_error("%s:%llu: not a record of a format that tail reads%s", t->path,
			(unsigned long long)t->number, t->understood ? ", ignoring" : "");
		return t->understood ? 0 : COMMAND_EXIT_OS;
	}
	t->understood = true;
	if (t->record.event != RECORD_LOSS && !expression_matches(t->expression, &t->record))
		return 0;
	if (t->raw) {
		show_raw(line, len);
		line[len] = '\n';
		keep(t, line, len + 1);
		return 0;
	}
	/* Left to others to tell, unless asked for; sysmon's event is all it tells of a connection.
	 */
	if (t->record.event == RECORD_START && (t->starts || !t->record.flow_id))
		t->record.event = RECORD_INFO;
	n = format_record(&format_text, &t->record, &t->context, t->out);
	if (n)
		keep(t, t->out, n);
	return 0;
}

/* Takes all whole lines there are now; the rest waits for its end. */
static int read_file(struct tail *t)
{
	for (;;) {
		ssize_t n = read(t->fd, t->buf + t->have, LINE_MAX_BYTES - t->have);
		char *from = t->buf, *end;
		int r = 0;

		if (n < 0) {
			log_error("%s: %s", t->path, strerror(errno));
			return COMMAND_EXIT_OS;
		}
		if (n == 0)
			return 0;
		t->offset += (uint64_t)n;
		t->have += (size_t)n;
		while (!r && (end = memchr(from, '\n', t->have - (size_t)(from - t->buf)))) {
			if (t->too_long)
				t->number++;
			else
				r = take_line(t, from, (size_t)(end - from));
			t->too_long = false;
			from = end + 1;
		}
		if (r)
			return r;
		t->have -= (size_t)(from - t->buf);
		memmove(t->buf, from, t->have);
		if (t->have == LINE_MAX_BYTES) {
			if (!t->too_long)
				log_error("%s:%llu: a line too long for a record, ignoring",
					t->path, (unsigned long long)t->number + 1);
			t->too_long = true;
			t->have = 0;
		}
	}
}

/*
 * Puts zstd between the file and us. A program, not the library: what it unpacks may come from
 * elsewhere, and its
 * decoder is then in a process of its own, that has nothing but the two ends.
 */
static int unpack(struct tail *t)
{
	char *const argv[] = {"zstd", "-dcq", NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0 || posix_spawn_file_actions_init(&actions) != 0) {
		log_error("%s: %s", t->path, strerror(errno));
		return COMMAND_EXIT_OS;
	}
	posix_spawn_file_actions_adddup2(&actions, t->fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	r = posix_spawnp(&t->zstd, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	close(t->fd);
	t->fd = ends[0];
	t->follow = false; /* it does not grow */
	if (r == 0)
		return 0;
	t->zstd = 0;
	log_error("%s: zstd: %s", t->path, strerror(r));
	return COMMAND_EXIT_OS;
}

static int open_file(struct tail *t)
{
	size_t len = strlen(t->path);

	t->fd = strcmp(t->path, "-") ? open(t->path, O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);
	if (t->fd < 0) {
		log_error("%s: %s", t->path, strerror(errno));
		return errno == EACCES ? COMMAND_EXIT_NOPERM : COMMAND_EXIT_OS;
	}
	t->offset = t->number = t->have = t->too_long = 0;
	return len > 4 && !strcmp(t->path + len - 4, ".zst") ? unpack(t) : 0;
}

/* What zstd made of the file is only known now. */
static int unpacked(struct tail *t)
{
	int status = 0;

	if (!t->zstd)
		return 0;
	while (waitpid(t->zstd, &status, 0) < 0 && errno == EINTR)
		;
	t->zstd = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	log_error("%s: zstd failed%s", t->path,
		WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ", it is not installed" : "");
	return COMMAND_EXIT_OS;
}

/* Another file has this name now, or it was cut: begin again. */
static int look_again(struct tail *t)
{
	struct stat now, was;
	int fd;

	if (fstat(t->fd, &was) < 0 || stat(t->path, &now) < 0)
		return 0;
	if (now.st_ino == was.st_ino && now.st_dev == was.st_dev) {
		if ((uint64_t)now.st_size < t->offset) {
			lseek(t->fd, 0, SEEK_SET);
			t->offset = t->number = t->have = t->too_long = 0;
		}
		return 0;
	}
	fd = t->fd;
	if (read_file(t) != 0) /* what came to the old one at last */
		return COMMAND_EXIT_OS;
	close(fd);
	return open_file(t);
}

static int run(struct tail *t)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	int r = open_file(t);

	if (r == 0)
		r = read_file(t);
	if (r == 0)
		r = unpacked(t);
	show_kept(t);
	while (r == 0 && t->follow && strcmp(t->path, "-") != 0) {
		fflush(stdout);
		if (ferror(stdout))
			return COMMAND_EXIT_OS;
		nanosleep(&pause, NULL);
		r = look_again(t);
		if (r == 0)
			r = read_file(t);
	}
	return r;
}

/* The first file that the configuration writes to. */
static int default_file(struct tail *t)
{
	struct config_sources s = {.environ = environ};
	struct config c;
	int r;

	if (config_init(&c) < 0)
		return COMMAND_EXIT_OS;
	r = plan_load(&c, &s);
	for (size_t i = 0; r == 0 && !t->path && i < c.output.files.n; i++)
		if (strcmp(c.output.files.item[i].path, "-") != 0)
			t->path = t->config_path = strdup(c.output.files.item[i].path);
	config_deinit(&c);
	return r || t->path ? r : command_usage("tail", "the configuration names no file");
}

/* A term has a colon, and no slash before it; what begins with not or loopback may do without. */
static bool is_file(const char *word)
{
	size_t first = strcspn(word, " "), n = strcspn(word, ":/");

	if ((first == 8 && !memcmp(word, "loopback", 8)) || (first == 3 && !memcmp(word, "not", 3)))
		return false;
	return word[n] != ':';
}

static int set_expression(struct tail *t, int argc, char **argv)
{
	static char text[EXPRESSION_MAX + 2];
	struct expression_error err = {0};
	size_t n = 0;
	int r;

	for (int i = 0; i < argc && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? " " : "", argv[i]);
	t->starts = strstr(text, "event:start");
	r = expression_parse(text, &t->expression, &err);
	if (r == EXPRESSION_E_SYNTAX)
		return command_usage("tail", err.text);
	return r ? COMMAND_EXIT_OS : 0;
}

/* 0; -1: help was given; the exit status. */
static int parse(struct tail *t, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"follow", no_argument, NULL, 'f'},
		{"no-follow", no_argument, NULL, 'N'},
		{"raw", no_argument, NULL, 'R'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *n = NULL;
	char *end;
	int c, i;

	opterr = 0;
	/* What follows the first that is no option is no option, either. */
	while ((c = getopt_long(argc, argv, "+:fhn:", long_options, NULL)) != -1) {
		switch (c) {
		case 'f':
			t->follow = true;
			break;
		case 'N':
			t->follow = false;
			break;
		case 'R':
			t->raw = true;
			break;
		case 'n':
			n = optarg;
			break;
		case 'h':
			command_tail_help(stdout);
			return -1;
		default:
			return command_usage_option("tail", c, argv[optind - 1]);
		}
	}
	i = optind;
	t->last = t->follow ? 10 : SIZE_MAX;
	if (n && strcmp(n, "all") != 0) {
		t->last = strtoul(n, &end, 10);
		if (!*n || *end || *n == '-' || t->last > LAST_MAX)
			return command_usage("tail", "-n takes a number up to 100000, or all");
	} else if (n) {
		t->last = SIZE_MAX;
	}
	if (i < argc && is_file(argv[i]))
		t->path = argv[i++];
	return set_expression(t, argc - i, argv + i);
}

int command_tail(int argc, char **argv)
{
	static struct tail t = {.fd = -1, .follow = true};
	int r = parse(&t, argc, argv);

	if (r)
		return r < 0 ? 0 : r;
	if (!t.path)
		r = default_file(&t);
	t.buf = malloc(LINE_MAX_BYTES + 1);
	if (t.last != SIZE_MAX)
		t.kept = calloc(t.last + 1, sizeof(*t.kept));
	if (!t.buf || (t.last != SIZE_MAX && !t.kept))
		r = COMMAND_EXIT_OS;
	format_context_init(&t.context, FLOWNER_VERSION, false);
	t.context.colour = command_colour(stdout);
	if (r == 0)
		r = run(&t);
	if (t.fd >= 0)
		close(t.fd);
	line_reader_deinit(&t.reader);
	expression_free(t.expression);
	free(t.config_path);
	free(t.buf);
	return r;
}
