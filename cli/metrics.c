/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `flowner metrics`: the counters as Prometheus text, once or served.
 *
 * Serving, it is a program of its own that touches none of the other three, only reads their
 * ledgers: 1. configuration, 2. open the folder of the file and the socket, 3. drop: own user, no
 * capability, 4. sandbox, 5. loop.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/metrics-sandbox.h"
#include "cli/metrics-text.h"
#include "cli/plan.h"
#include "cli/responder.h"
#include "cli/runtime.h"
#include "cli/textfile.h"
#include "config/log.h"
#include "config/notify.h"
#include "config/privileges.h"

#define SETS_MAX    64u
#define MS_NS       UINT64_C(1000000)
#define COMPLAIN_NS UINT64_C(60000000000)

struct server {
	const char *dir;
	uint64_t interval_ns;
	struct responder responder;
	struct textfile file;
	uint64_t file_ns; /* next writing */
	uint64_t quiet_ns;
	bool failing;
};

struct metrics_options {
	const char *dir, *file, *set[SETS_MAX];
	size_t n_set;
	bool serve, list;
};

static const char help[] =
	"flowner metrics [--runtime-dir DIR]\n"
	"flowner metrics --serve [-c FILE] [--set KEY=VALUE]... [--runtime-dir DIR]\n"
	"flowner metrics --list\n"
	"\n"
	"Prints the counters of the running services, or of the flowner with runtime\n"
	"directory DIR, in the text format of Prometheus.\n"
	"\n"
	"With --serve it stays: it writes them to the file metrics.textfile every\n"
	"metrics.interval, and answers GET /metrics at metrics.listen, a loopback address\n"
	"or a unix socket. flowner run starts it by itself when one of the two is set.\n"
	"\n"
	"--list prints all metrics there are: name, type, labels and meaning, in columns\n"
	"that are separated by tabs.\n"
	"\n"
	"  flowner metrics | grep dropped_total\n"
	"  flowner run --set metrics.listen=127.0.0.1:9927\n"
	"\n"
	"Exit status: 0; 3 no flowner runs; 64 command line, 78 configuration.\n";

/* A program that is not there has no counters, that is all. */
static void print(void *arg, FILE *f)
{
	const struct server *s = arg;
	struct instance i;

	if (instance_read(&i, s->dir) < 0)
		i = (struct instance){0};
	metrics_print(&i, f);
}

static int print_once(const char *dir)
{
	struct instance i;
	int r = instance_read(&i, dir);

	if (r < 0) {
		log_error(r == -EPROTO ? "%s: counters of another version of flowner"
				       : "no flowner is running in %s",
			dir);
		return r == -EPROTO ? 1 : COMMAND_EXIT_NONE;
	}
	metrics_print(&i, stdout);
	return 0;
}

static int write_file(struct server *s)
{
	size_t len = 0;
	char *text = NULL;
	FILE *f = open_memstream(&text, &len);
	int r = f ? 0 : -ENOMEM;

	if (f) {
		print(s, f);
		if (fclose(f) == EOF)
			r = -ENOMEM;
	}
	if (r == 0)
		r = textfile_write(&s->file, text, len);
	free(text);
	return r;
}

/* The file again, if it is time; what goes wrong is said once a minute, and tried again. */
static void keep_file(struct server *s, uint64_t now_ns)
{
	int r;

	if (s->file.dir_fd < 0 || now_ns < s->file_ns)
		return;
	s->file_ns = now_ns + s->interval_ns;
	r = write_file(s);
	if (r < 0 && now_ns >= s->quiet_ns) {
		log_error("metrics.textfile: %s: %s, trying again", s->file.name, strerror(-r));
		s->quiet_ns = now_ns + COMPLAIN_NS;
	} else if (r == 0 && s->failing) {
		log_info("metrics.textfile: %s can be written again", s->file.name);
	}
	s->failing = r < 0;
}

static int timeout_ms(const struct server *s, uint64_t now_ns)
{
	uint64_t due = responder_due_ns(&s->responder);

	if (s->file.dir_fd >= 0 && s->file_ns < due)
		due = s->file_ns;
	if (due == RESPONDER_NEVER)
		return -1;
	return due <= now_ns ? 0 : (int)((due - now_ns + MS_NS - 1) / MS_NS);
}

static bool wants_end(int signal_fd)
{
	bool end = false;
	int signal;

	while ((signal = daemon_read_signal(signal_fd)) > 0)
		end |= signal == SIGTERM || signal == SIGINT;
	return end;
}

static void loop(struct server *s, int signal_fd)
{
	struct pollfd fds[1 + RESPONDER_POLL_MAX];
	uint64_t now_ns = daemon_monotonic_ns();

	notify_send("READY=1");
	for (;;) {
		unsigned n = responder_poll(&s->responder, fds + 1);

		fds[0] = (struct pollfd){.fd = signal_fd, .events = POLLIN};
		keep_file(s, now_ns);
		if (poll(fds, 1 + n, timeout_ms(s, now_ns)) < 0 && errno != EINTR)
			break;
		now_ns = daemon_monotonic_ns();
		if (fds[0].revents && wants_end(signal_fd))
			break;
		responder_serve(&s->responder, fds + 1, n, now_ns);
	}
	notify_send("STOPPING=1");
	s->file_ns = now_ns; /* how it ended */
	keep_file(s, now_ns);
}

static int open_all(struct server *s, const struct config *c)
{
	int r;

	if (!*c->metrics.textfile && !*c->metrics.listen) {
		log_error("neither metrics.textfile nor metrics.listen is set: nothing to serve");
		return CONFIG_EXIT;
	}
	s->interval_ns = c->metrics.interval_ns;
	r = *c->metrics.textfile ? textfile_open(&s->file, c->metrics.textfile) : 0;
	if (r < 0) {
		log_error("metrics.textfile: the folder of %s: %s", c->metrics.textfile,
			strerror(-r));
		return COMMAND_EXIT_OS;
	}
	r = *c->metrics.listen ? responder_listen(&s->responder, c->metrics.listen) : 0;
	if (r < 0) {
		log_error("metrics.listen: %s: %s", c->metrics.listen, strerror(-r));
		return COMMAND_EXIT_OS;
	}
	return 0;
}

static int drop(const struct config *c)
{
	uid_t uid = geteuid();
	gid_t gid = getegid() ? getegid() : (gid_t)uid;
	int r = privileges_is_root() ? privileges_user(c->metrics.user, &uid, &gid) : 0;

	if (r < 0) {
		log_error("metrics.user: no such user: %s (create it, or set another one)",
			c->metrics.user);
		return CONFIG_EXIT;
	}
	r = privileges_drop(uid, gid, 0);
	if (r < 0) {
		log_error("privileges cannot be dropped: %s", strerror(-r));
		return COMMAND_EXIT_OS;
	}
	return 0;
}

static void log_start(const struct server *s, const struct config *c)
{
	if (*c->metrics.textfile)
		log_info("writing the counters below %s to %s", s->dir, c->metrics.textfile);
	if (*c->metrics.listen)
		log_info("answering GET /metrics at %s with the counters below %s",
			c->metrics.listen, s->dir);
}

static int serve(struct server *s, const struct config *c)
{
	int signal_fd = -1, r = daemon_signals(&signal_fd);

	if (r < 0) {
		log_error("signals: %s", strerror(-r));
		return COMMAND_EXIT_OS;
	}
	if (notify_open() < 0)
		log_warning("$NOTIFY_SOCKET cannot be reached, ignoring");
	r = open_all(s, c);
	if (!r)
		r = drop(c);
	/* A folder that may not be written to is a mistake to hear of at once. */
	if (!r && s->file.dir_fd >= 0) {
		int e = write_file(s);

		if (e < 0) {
			log_error("metrics.textfile: user %u cannot write %s: %s", geteuid(),
				c->metrics.textfile, strerror(-e));
			r = COMMAND_EXIT_OS;
		}
	}
	if (!r) {
		struct sandbox sandbox;

		metrics_sandbox(c, s->dir, s->file.dir_fd, &sandbox);
		r = daemon_confine(&sandbox);
	}
	if (!r) {
		log_start(s, c);
		loop(s, signal_fd);
	}
	close(signal_fd);
	notify_close();
	return r;
}

static int load_and_serve(const struct metrics_options *o)
{
	struct server s = {.dir = o->dir, .file = TEXTFILE_NONE};
	const struct config_sources sources = {
		.file = o->file, .environ = environ, .set = o->set, .n_set = o->n_set};
	struct config c;
	int r = config_init(&c) < 0 ? COMMAND_EXIT_OS : plan_load(&c, &sources);

	log_init("flowner-metrics", LOG_LEVEL_INFO);
	responder_init(&s.responder, print, &s);
	if (!r)
		r = serve(&s, &c);
	responder_deinit(&s.responder);
	textfile_close(&s.file);
	config_deinit(&c);
	return r;
}

static int parse(struct metrics_options *o, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"runtime-dir", required_argument, NULL, 'R'},
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 'S'},
		{"serve", no_argument, NULL, 's'},
		{"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char why[256];
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":hc:", long_options, NULL)) != -1) {
		switch (c) {
		case 'R':
			o->dir = optarg;
			break;
		case 'c':
			o->file = optarg;
			break;
		case 'S':
			if (o->n_set == SETS_MAX)
				return command_usage("metrics", "too many --set");
			o->set[o->n_set++] = optarg;
			break;
		case 's':
			o->serve = true;
			break;
		case 'l':
			o->list = true;
			break;
		case 'h':
			fputs(help, stdout);
			return -1;
		case ':':
			snprintf(why, sizeof(why), "option %s needs a value", argv[optind - 1]);
			return command_usage("metrics", why);
		default:
			snprintf(why, sizeof(why), "unknown option %s", argv[optind - 1]);
			return command_usage("metrics", why);
		}
	}
	if (optind < argc) {
		snprintf(why, sizeof(why), "unexpected argument %s", argv[optind]);
		return command_usage("metrics", why);
	}
	if (!o->serve && (o->file || o->n_set))
		return command_usage("metrics", "a configuration is for --serve");
	return 0;
}

int command_metrics(int argc, char **argv)
{
	struct metrics_options o = {.dir = DAEMON_RUNTIME_DIR};
	int r = parse(&o, argc, argv);

	if (r)
		return r < 0 ? 0 : r;
	if (o.list) {
		metrics_list(stdout);
		return 0;
	}
	return o.serve ? load_and_serve(&o) : print_once(o.dir);
}
