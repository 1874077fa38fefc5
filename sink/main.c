/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner-sink: writes the records of flowner-enrich to files and streams.
 *
 * 1. command line, configuration, ledger (daemon_start)
 * 2. open every output, lock it, set up io_uring
 * 3. drop: own user, no capability; no file is opened by name after this, only enrich's socket
 * 4. sandbox: system calls by a table, files in the outputs' folders
 * 5. loop: attach to enrich's ring, format, write, release
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "config/daemon.h"
#include "config/log.h"
#include "config/privileges.h"
#include "flowner-version.h"
#include "sink/checks.h"
#include "sink/examine.h"
#include "sink/loop.h"
#include "sink/sandbox.h"

static const struct daemon_option OPTIONS[] = {
	{"exit-at-end", 0, NULL, "end when flowner-enrich has ended in good order"},
	{"offline", 0, NULL, "records come from a file: outputs tell nothing of this boot"},
	{0},
};

static int set_option(void *arg, const char *name, const char *value)
{
	struct loop_options *o = arg;

	(void)value;
	if (strcmp(name, "exit-at-end") == 0)
		o->exit_at_end = true;
	else if (strcmp(name, "offline") == 0)
		o->offline = true;
	else
		return -EINVAL;
	return 0;
}

static int add_output(struct spool *s, const struct daemon *d, const struct config_output *config,
	const struct format_context *ctx)
{
	bool uring = d->config.output.io_uring == CONFIG_IO_URING_AUTO;
	struct output_error err = {0};
	int why = 0;
	int r = spool_add(s, config, ctx, uring, d->config.output.buffer, &why, &err);

	if (r > 0) {
		log_error("%s", err.text);
		return r == OUTPUT_E_INVALID ? CONFIG_EXIT : 1;
	}
	if (r == -E2BIG) {
		log_error("output.files: at most %u outputs", CHECKPOINT_OUTPUTS);
		return CONFIG_EXIT;
	}
	if (r < 0) {
		log_error("output %s: %s", config->path, strerror(-r));
		return 1;
	}
	if (why)
		log_warning("io_uring is not available (%s): using plain writes, ignoring",
			strerror(-why));
	return 0;
}

static int open_outputs(struct spool *s, const struct daemon *d, const struct format_context *ctx)
{
	for (size_t i = 0; i < d->config.output.files.n; i++) {
		int r = add_output(s, d, &d->config.output.files.item[i], ctx);

		if (r)
			return r;
	}
	return 0;
}

/* Whether the file may have to be ours: opened again by name, or compressed. */
static bool must_be_ours(const struct output *o, uid_t uid)
{
	struct stat folder;

	return o->limits.rotate_size || o->limits.rotate_interval_ns ||
	       (fstat(o->dir_fd, &folder) == 0 && folder.st_uid == uid);
}

/* A file that root has made shall be ours where it can be put aside: later nobody can give it. */
static void own_outputs(const struct spool *s, uid_t uid, gid_t gid)
{
	struct stat st;

	for (unsigned i = 0; i < s->n; i++) {
		const struct output *o = &s->output[i];

		if (o->target == WRITER_FILE && fstat(o->fd, &st) == 0 && st.st_uid == 0 && uid &&
			st.st_nlink == 1 && must_be_ours(o, uid) && fchown(o->fd, uid, gid) < 0)
			log_warning("output %s cannot be given to user %u: %s, ignoring", o->path,
				uid, strerror(errno));
	}
}

/* 0 or the exit status, logged. */
static int drop(const struct daemon *d, const struct spool *s, struct loop_options *o)
{
	uid_t uid;
	gid_t gid;
	int r = daemon_own_user(d, &uid, &gid);

	if (r == 0)
		r = daemon_peer_user(d, LEDGER_OF_ENRICH, &o->peer);
	if (r)
		return r;
	own_outputs(s, uid, gid);
	o->uid = uid;
	r = privileges_drop(uid, gid, 0);
	if (r)
		log_error("privileges cannot be dropped: %s", strerror(-r));
	return r ? 1 : 0;
}

static int run(struct daemon *d, struct loop_options *o)
{
	static struct format_context context;
	static struct sandbox_path paths[SINK_SANDBOX_PATHS];
	static struct sandbox sandbox;
	static struct spool spool;
	static char path[256];
	int r, status;

	/* A file that may not grow is an error to try again, not a reason to die. */
	signal(SIGXFSZ, SIG_IGN);
	output_take_umask();
	spool_init(&spool);
	format_context_init(&context, FLOWNER_VERSION, o->offline);
	o->context = &context;
	status = open_outputs(&spool, d, &context);
	if (status)
		goto out;
	status = drop(d, &spool, o);
	if (status)
		goto out;
	status = 1;
	r = daemon_path(d, "enrich", "ring.sock", path, sizeof(path));
	if (r < 0)
		log_error("start: %s", strerror(-r));
	else
		r = daemon_signals(&o->signal_fd);
	if (r < 0)
		goto out;
	o->socket_path = path;
	o->daemon = d;
	o->spool = &spool;
	sink_sandbox(&d->config, &spool, d->file, paths, &sandbox);
	o->sandbox = &sandbox;
	status = daemon_confine(&sandbox);
	if (status == 0)
		status = loop_run(o);
	close(o->signal_fd);
out:
	spool_deinit(&spool);
	return status;
}

int main(int argc, char **argv)
{
	struct daemon d = {
		.name = "flowner-sink", .program = LEDGER_OF_SINK, .checks = &sink_checks};
	struct loop_options options = {0};
	int status = daemon_start(&d, argc, argv, OPTIONS, set_option, &options);

	if (status < 0)
		status = d.examine ? examine_sink(&d.config) : run(&d, &options);
	daemon_deinit(&d);
	return status;
}
