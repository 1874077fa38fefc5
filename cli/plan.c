/* SPDX-License-Identifier: Apache-2.0 */
/* What a run consists of: configuration, users, runtime directory, command lines, environment. */
#include "cli/plan.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/exporter.h"
#include "config/log.h"
#include "config/privileges.h"
#include "flowner-version.h"
#include "shm/cleanup.h"
#include "sink/checks.h"

#define RUN_FIRST_INFO_NS UINT64_C(500000000) /* so that a person sees long connections at once */
#define UNSET_NS          UINT64_MAX          /* no source has named it */

#define USERS (LEDGER_PROGRAMS + 1) /* the last one is that of the metrics */

static const char *const numeric_user[USERS] = {"60801", "60802", "60803", "60804"};

static int out_of_memory(void)
{
	log_error("out of memory");
	return COMMAND_EXIT_OS;
}

int plan_load(struct config *c, const struct config_sources *s)
{
	struct config_sources sources = *s;
	struct config_error err = {0};
	int r;

	sources.checks = &sink_checks;
	r = config_load(c, &sources, &err);

	if (r == CONFIG_E_INVALID)
		log_error("%s", err.text);
	else if (r < 0)
		log_error("configuration: %s", strerror(-r));
	return r ? CONFIG_EXIT : 0;
}

static bool replace(char **where, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return false;
	free(*where);
	*where = copy;
	return true;
}

static int set_outputs(struct config *c, const char *const *text, size_t n)
{
	struct config_error err = {0};
	int r = config_set_outputs(c, "-o", text, n, &err);

	if (r == CONFIG_E_INVALID)
		log_error("%s", err.text);
	return r == CONFIG_E_INVALID ? CONFIG_EXIT : r ? out_of_memory() : 0;
}

static char **user_of(struct config *c, unsigned program)
{
	char **user[USERS] = {&c->capture.user, &c->enrich.user, &c->output.user, &c->metrics.user};

	return user[program];
}

/*
 * A run's own defaults, below everything the user says: text to the terminal, and users that exist
 * on a machine where nothing is installed.
 */
static int set_defaults(struct config *c)
{
	static const char *const output[] = {"text:-"};
	char self[16];
	int r = set_outputs(c, output, 1);
	uid_t uid;
	gid_t gid;

	if (r)
		return r;
	for (unsigned i = 0; i < USERS; i++) {
		char **user = user_of(c, i);
		const char *value = numeric_user[i];

		if (geteuid() != 0) { /* nobody changes user: all three stay who we are */
			snprintf(self, sizeof(self), "%u", geteuid());
			value = self;
		} else if (privileges_user(*user, &uid, &gid) == 0) {
			continue;
		}
		if (!replace(user, value))
			return out_of_memory();
	}
	return 0;
}

/* Options that are no --set outrank every other source. */
static int apply_options(struct plan *p)
{
	struct config *c = &p->config;
	const struct arguments *o = p->options;
	bool text = false;

	int r = o->outputs.n ? set_outputs(c, o->outputs.item, o->outputs.n) : 0;

	if (r)
		return r;
	for (size_t i = 0; i < c->output.files.n; i++) {
		text |= !strcmp(c->output.files.item[i].format, "text");
		p->to_stdout |= !strcmp(c->output.files.item[i].path, "-");
	}
	if (c->enrich.first_info_ns == UNSET_NS)
		c->enrich.first_info_ns =
			text && !p->offline ? RUN_FIRST_INFO_NS : p->first_info_ns;
	return 0;
}

static int load(struct plan *p)
{
	const struct arguments *o = p->options;
	struct config_sources s = {.file = o->config_file,
		.no_file = !o->config_file,
		.environ = environ,
		.set = o->sets.item,
		.n_set = o->sets.n};
	int r = config_init(&p->config);

	if (r < 0)
		return out_of_memory();
	p->first_info_ns = p->config.enrich.first_info_ns;
	p->config.enrich.first_info_ns = UNSET_NS;
	r = set_defaults(&p->config);
	if (!r)
		r = plan_load(&p->config, &s);
	if (!r)
		r = apply_options(p);
	return r;
}

static int find_users(struct plan *p)
{
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++) {
		const char *user = *user_of(&p->config, i);
		int r;

		if (geteuid() != 0) {
			p->uid[i] = geteuid();
			p->gid[i] = getegid();
			continue;
		}
		r = privileges_user(user, &p->uid[i], &p->gid[i]);
		if (r < 0) {
			log_error("%s.user: \"%s\" is not a user of this machine",
				i == LEDGER_OF_SINK ? "output" : runtime_program[i], user);
			return CONFIG_EXIT;
		}
	}
	return 0;
}

/*
 * The merged configuration, checked once and the same for all three, goes to a file of the run: as
 * a whole, for it may be there already and be read at this moment.
 */
static int write_config(struct plan *p, const struct config *c)
{
	char path[sizeof(p->config_path) + 8];
	_cleanup_fclose_ FILE *f = NULL;
	int r;

	snprintf(p->config_path, sizeof(p->config_path), "%s/flowner.yaml", p->runtime.path);
	snprintf(path, sizeof(path), "%s.new", p->config_path);
	unlink(path);
	f = fopen(path, "wxe");
	r = f ? config_print(c, f) : -errno;
	if (!r && (fflush(f) || fchmod(fileno(f), 0644) || rename(path, p->config_path)))
		r = -errno;
	if (r)
		log_error("%s: %s", p->config_path, strerror(r < 0 ? -r : EIO));
	return r ? COMMAND_EXIT_OS : 0;
}

int plan_reload(struct plan *p)
{
	struct plan next = {.options = p->options, .offline = p->offline};
	int r = load(&next);

	if (!r)
		r = write_config(p, &next.config);
	if (r) {
		log_warning("the configuration is not taken over, the one before it stays");
	} else {
		struct config old = p->config;

		/* What capture waits for stays as it is until it ends. */
		next.config.capture.batch_timeout_ns = old.capture.batch_timeout_ns;
		p->config = next.config;
		next.config = old;
		p->to_stdout = next.to_stdout;
	}
	config_deinit(&next.config);
	return r;
}

/* The environment without FLOWNER_SECTION__KEY, which is in the merged configuration already. */
static int make_env(struct plan *p)
{
	size_t n = 0, to = 0;

	while (environ[n])
		n++;
	p->envp = calloc(n + 3, sizeof(*p->envp));
	if (!p->envp)
		return out_of_memory();
	snprintf(p->notify, sizeof(p->notify), "NOTIFY_SOCKET=%s/notify", p->runtime.path);
	p->envp[to++] = p->notify;
	/* A person at a terminal sees records, and of the programs only what went wrong. */
	if (!p->options->verbose)
		p->envp[to++] = "FLOWNER_LOG_MAX=warning";
	for (size_t i = 0; i < n; i++) {
		const char *name = environ[i];

		if (!strncmp(name, "NOTIFY_SOCKET=", 14) || !strncmp(name, "WATCHDOG_", 9) ||
			!strncmp(name, "LISTEN_", 7) || !strncmp(name, "FLOWNER_LOG_MAX=", 16) ||
			(!strncmp(name, "FLOWNER_", 8) &&
				memmem(name, strcspn(name, "="), "__", 2)))
			continue;
		p->envp[to++] = environ[i];
	}
	return 0;
}

static void add_arg(struct child *c, const char *arg)
{
	if (c->argc < SUPERVISE_ARGS_MAX - 1)
		c->argv[c->argc++] = arg;
}

static int make_child(struct plan *p, unsigned i, const char *name)
{
	struct child *c = &p->child[i];
	int r = supervise_find(name, FLOWNER_SBINDIR, c->path, sizeof(c->path));

	if (r < 0) {
		log_error("%s: not found beside flowner, in " FLOWNER_SBINDIR " or in $PATH", name);
		return COMMAND_EXIT_OS;
	}
	c->name = name;
	c->ends = p->offline;
	add_arg(c, name);
	add_arg(c, "-c");
	add_arg(c, p->config_path);
	add_arg(c, "--runtime-dir");
	add_arg(c, p->runtime.path);
	return 0;
}

static int make_children(struct plan *p)
{
	static const char *const name[LEDGER_PROGRAMS] = {
		"flowner-capture", "flowner-enrich", "flowner-sink"};
	struct child *capture = &p->child[LEDGER_OF_CAPTURE];
	struct child *enrich = &p->child[LEDGER_OF_ENRICH];

	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++) {
		int r = make_child(p, i, name[i]);

		if (r)
			return r;
	}
	if (p->offline) {
		add_arg(capture, "-r");
		add_arg(capture, p->options->file);
		capture->stdin_open = !strcmp(p->options->file, "-");
		add_arg(enrich, "--offline");
		add_arg(&p->child[LEDGER_OF_SINK], "--offline");
	}
	for (size_t i = 0; i < p->options->interfaces.n; i++) {
		add_arg(capture, "-i");
		add_arg(capture, p->options->interfaces.item[i]);
	}
	for (size_t i = 0; i < p->options->netns.n; i++) {
		add_arg(capture, "--netns");
		add_arg(capture, p->options->netns.item[i]);
	}
	if (p->options->filter) {
		add_arg(capture, "-f");
		add_arg(capture, p->options->filter);
	}
	if (p->tree[0]) {
		add_arg(enrich, "--tree");
		add_arg(enrich, p->tree);
	}
	p->child[LEDGER_OF_SINK].stdout_open = true;
	exporter_plan(&p->exporter, &p->config, p->config_path, p->runtime.path);
	return 0;
}

static int check_privileges(const struct plan *p)
{
	if (p->offline || privileges_have(CAP_NET_RAW))
		return 0;
	if (geteuid() == 0)
		log_error("capturing needs the capability CAP_NET_RAW, which this container or "
			  "service "
			  "withholds; grant it, or read a capture file with -r FILE");
	else
		log_error("capturing needs root: try \"sudo flowner run ...\", or read a capture "
			  "file "
			  "with -r FILE");
	return COMMAND_EXIT_NOPERM;
}

int plan_make(struct plan *p, const struct arguments *o, pid_t command_pid)
{
	char path[RUNTIME_PATH_MAX + 16];
	int r;

	*p = (struct plan){.options = o, .offline = o->file, .notify_fd = -1};
	p->runtime.lock_fd = -1;
	if (command_pid)
		snprintf(p->tree, sizeof(p->tree), "%d", command_pid);
	r = load(p);
	if (!r)
		r = check_privileges(p);
	if (!r)
		r = find_users(p);
	if (r)
		return r;
	r = runtime_make(&p->runtime, p->uid, p->gid);
	if (r < 0) {
		log_error("cannot make a runtime directory: %s", strerror(-r));
		return COMMAND_EXIT_OS;
	}
	snprintf(path, sizeof(path), "%s/notify", p->runtime.path);
	r = supervise_listen(path, &p->notify_fd);
	if (r < 0) {
		log_error("%s: %s", path, strerror(-r));
		return COMMAND_EXIT_OS;
	}
	r = write_config(p, &p->config);
	if (!r)
		r = make_env(p);
	if (!r)
		r = make_children(p);
	return r;
}

void plan_deinit(struct plan *p)
{
	if (p->notify_fd >= 0)
		close(p->notify_fd);
	for (unsigned i = 0; i < LEDGER_PROGRAMS; i++)
		keep_deinit(&p->child[i].keep);
	runtime_remove(&p->runtime);
	free(p->envp);
	config_deinit(&p->config);
}
