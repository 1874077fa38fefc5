/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-enrich finds on this machine: which ways to learn owners would work. */
#include "enrich/examine.h"

#include <errno.h>
#include <linux/capability.h>
#include <mntent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/findings.h"
#include "config/privileges.h"
#include "enrich/connector.h"
#include "enrich/diag.h"
#include "enrich/diag-watch.h"
#include "enrich/links.h"
#include "enrich/procfs.h"

#define INIT_PIDNS    UINT64_C(0xeffffffc) /* the kernel's PROC_PID_INIT_INO */
#define PROCESSES_MAX 20000u               /* of them are looked at */

static void count_socket(void *arg, const struct diag_socket *s)
{
	(void)s;
	++*(size_t *)arg;
}

static int try_diag(size_t *ret_n)
{
	struct diag *d;
	int r = diag_new(&d);

	if (r < 0)
		return r;
	r = diag_dump(d, IPPROTO_TCP, 1u << TCP_LISTEN, count_socket, ret_n);
	if (r == 0)
		r = diag_dump(d, IPPROTO_UDP, UINT32_MAX, count_socket, ret_n);
	diag_free(d);
	return r;
}

static void sock_diag(const struct config *c)
{
	size_t n = 0;
	int r;

	if (!c->enrich.sock_diag) {
		finding_say(FINDING_PASS, "enrich.sock_diag", "",
			"sock_diag: off in the configuration");
		return;
	}
	r = try_diag(&n);
	if (r < 0)
		finding_say(FINDING_WARN, "enrich.sock_diag",
			"modprobe tcp_diag udp_diag (CONFIG_INET_DIAG), and let AF_NETLINK through "
			"if a container or unit restricts address families",
			"sock_diag does not answer: %s", strerror(-r));
	else
		finding_say(FINDING_PASS, "enrich.sock_diag", "",
			"sock_diag answers: %zu TCP listeners and UDP sockets", n);
}

/* The kernel's messages about closed sockets. */
static void closed(const struct config *c)
{
	struct diag_watch *w = NULL;
	int r = diag_watch_new(&w);

	diag_watch_free(w);
	if (r == 0)
		finding_say(FINDING_PASS, "enrich.tcp_info", "",
			"sock_diag would tell of closed sockets (enrich.tcp_info: %s)",
			c->enrich.tcp_info ? "true" : "false");
	else
		finding_say(c->enrich.tcp_info ? FINDING_WARN : FINDING_PASS, "enrich.tcp_info",
			c->enrich.tcp_info ? "set enrich.tcp_info: false, or start as root" : "",
			"sock_diag does not tell of closed sockets: %s (enrich.tcp_info: %s)",
			strerror(-r), c->enrich.tcp_info ? "true" : "false");
}

static void connector(const struct config *c)
{
	struct connector *cn = NULL;
	int r;

	if (c->enrich.procfs == CONFIG_PROCFS_OFF) {
		finding_say(FINDING_PASS, "enrich.connector", "",
			"process connector: off with enrich.procfs");
		return;
	}
	r = connector_new(&cn);
	connector_free(cn);
	if (r == 0)
		finding_say(FINDING_PASS, "enrich.connector", "", "the process connector answers");
	else
		finding_say(FINDING_WARN, "enrich.connector",
			"needs CONFIG_PROC_EVENTS and the initial pid and user namespace, before "
			"Linux 6.6 also CAP_NET_ADMIN; without it a change of user may be missed",
			"the process connector does not answer: %s", strerror(-r));
}

/* Its hidepid option into @ret, "" = none. */
static void proc_hides(char *ret, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	char line[4096];
	struct mntent m;

	ret[0] = '\0';
	while (f && getmntent_r(f, &m, line, sizeof(line))) {
		const char *option = hasmntopt(&m, "hidepid");

		if (strcmp(m.mnt_dir, "/proc") != 0)
			continue; /* the last one mounted there counts */
		ret[0] = '\0';
		if (option && (option = strchr(option, '=')))
			snprintf(ret, size, "%.*s", (int)strcspn(option + 1, ","), option + 1);
	}
	if (f)
		endmntent(f);
	if (!strcmp(ret, "0") || !strcmp(ret, "off"))
		ret[0] = '\0';
}

struct sweep {
	struct procfs *procfs;
	struct procfs_process process;
	size_t seen, hidden;
};

static bool look(void *arg, uint32_t pid)
{
	struct sweep *s = arg;

	if (procfs_read(s->procfs, pid, PROCFS_ARGS | PROCFS_EXE, &s->process))
		return true; /* gone */
	s->seen++;
	/* The kernel's own processes have neither. */
	s->hidden += s->process.args_len && !s->process.exe_len;
	return s->seen < PROCESSES_MAX;
}

static void sweep(const struct config *c)
{
	static struct sweep s;
	char hides[32];
	int r = procfs_new("/proc", &s.procfs);

	if (c->enrich.procfs == CONFIG_PROCFS_OFF) {
		procfs_free(s.procfs);
		finding_say(FINDING_PASS, "enrich.seed", "",
			"start-up sweep: off in the configuration");
		return;
	}
	if (r == 0)
		r = procfs_each(s.procfs, look, &s);
	procfs_free(s.procfs);
	proc_hides(hides, sizeof(hides));
	if (r < 0)
		finding_say(FINDING_WARN, "enrich.seed", "mount -t proc proc /proc",
			"/proc cannot be read: %s", strerror(-r));
	else if (s.hidden * 2 > s.seen ||
		 ((s.hidden || hides[0]) && !privileges_have(CAP_SYS_PTRACE)))
		finding_say(FINDING_WARN, "enrich.seed",
			"start as root (CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH); connections older "
			"than flowner stay without owner otherwise",
			"the start-up sweep sees %zu processes, %zu of them without their "
			"descriptors%s%s",
			s.seen, s.hidden, hides[0] ? "; /proc has hidepid=" : "", hides);
	else
		finding_say(FINDING_PASS, "enrich.seed", "",
			"the start-up sweep sees %zu processes", s.seen);
	if (r == 0 && hides[0] && c->enrich.procfs != CONFIG_PROCFS_KEEP)
		finding_say(FINDING_WARN, "enrich.hidepid",
			"remount /proc with gid= of enrich.user's group, or set enrich.procfs: "
			"keep",
			"/proc has hidepid=%s: after the start nothing is read of processes that "
			"the tap did not tell whole",
			hides);
}

static void search(const struct config *c)
{
	if (c->enrich.procfs != CONFIG_PROCFS_KEEP)
		finding_say(FINDING_PASS, "enrich.procfs", "",
			"searching /proc later: off in the configuration");
	else if (privileges_have(CAP_SYS_PTRACE) && privileges_have(CAP_DAC_READ_SEARCH))
		finding_say(FINDING_PASS, "enrich.procfs", "",
			"CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH can be kept to search /proc");
	else
		finding_say(FINDING_WARN, "enrich.procfs",
			"start as root, or grant CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH",
			"enrich.procfs: keep without its capabilities: only processes of our own "
			"user are found");
}

static void addresses(void)
{
	struct links *l = NULL;
	int r = links_new(&l);

	if (r < 0)
		finding_say(FINDING_FAIL, "enrich.addresses",
			"let AF_NETLINK through if a container or unit restricts address families",
			"the addresses of this host cannot be listed: %s", strerror(-r));
	else
		finding_say(FINDING_PASS, "enrich.addresses", "", "this host has %zu addresses",
			links_count(l));
	links_free(l);
}

static void pid_namespace(void)
{
	struct stat st;

	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != INIT_PIDNS)
		finding_say(FINDING_WARN, "enrich.pidns",
			"run it on the host, or the container with --pid=host",
			"this is a pid namespace of a container: processes outside have no pid "
			"here, their connections no owner");
}

int examine_enrich(const struct config *c)
{
	addresses();
	sock_diag(c);
	closed(c);
	connector(c);
	sweep(c);
	search(c);
	pid_namespace();
	return 0;
}
