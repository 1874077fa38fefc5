/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-capture finds on this machine: filter, interfaces, tracepoints, namespaces. */
#include "capture/examine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <string.h>

#include "capture/filter.h"
#include "capture/netns.h"
#include "capture/source.h"
#include "capture/tap.h"
#include "capture/tracefs.h"
#include "config/findings.h"
#include "config/privileges.h"
#include "shm/cleanup.h"

#define LINK_SLL2 276           /* DLT_LINUX_SLL2: what "any" is captured as */
#define BUFFER    (512 * 1024u) /* enough for a look */

static void capabilities(const struct config *c)
{
	if (privileges_have(CAP_NET_RAW))
		finding_say(FINDING_PASS, "capture.privileges", "", "packet sockets may be opened");
	else
		finding_say(FINDING_FAIL, "capture.privileges",
			"start as root, or grant CAP_NET_RAW (AmbientCapabilities= of the unit)",
			"packet sockets need CAP_NET_RAW, which is missing");
	if (c->enrich.tap != CONFIG_TAP_OFF && !privileges_have(CAP_PERFMON) &&
		!privileges_have(CAP_SYS_ADMIN))
		finding_say(FINDING_WARN, "capture.perfmon",
			"start as root, or grant CAP_PERFMON and let its user read tracefs",
			"tracepoints need CAP_PERFMON or CAP_SYS_ADMIN, which are missing");
}

static bool filter(const struct config *c)
{
	struct filter_program program = {0};
	struct source_error err;

	if (source_program(LINK_SLL2, true, c->capture.mode, c->capture.filter, &program, &err) <
		0) {
		finding_say(FINDING_FAIL, "capture.filter",
			"correct capture.filter, see pcap-filter(7); try it with tcpdump -d", "%s",
			err.text);
		return false;
	}
	finding_say(FINDING_PASS, "capture.filter", "", "the filter compiles: %zu instructions",
		program.n);
	filter_deinit(&program);
	return true;
}

static const char *source_remedy(enum source_status status)
{
	switch (status) {
	case SOURCE_BAD_FILTER:
		return "correct capture.filter, or name interfaces it fits to";
	case SOURCE_BAD_FILE:
	case SOURCE_NO_INPUT:
		return "correct capture.interfaces; capture refuses to start without one of them";
	case SOURCE_NO_PERMISSION:
		return "start as root, or grant CAP_NET_RAW";
	case SOURCE_FAILED:
		break;
	}
	return "try tcpdump -i with that interface";
}

/* All interfaces in the namespace we are in. */
static void interfaces(const struct config *c, const char *netns, uint16_t number)
{
	const struct config_list *names = &c->capture.interfaces;

	for (size_t i = 0; i < names->n; i++) {
		struct source_options o = {.name = names->item[i],
			.netns = number ? netns : "",
			.netns_number = number,
			.mode = c->capture.mode,
			.filter = c->capture.filter,
			.buffer = BUFFER,
			.batch_timeout_ns = c->capture.batch_timeout_ns};
		struct source_error err;
		struct source *s = NULL;

		if (source_open_live(&o, &s, &err) < 0)
			finding_say(FINDING_FAIL, "capture.interface", source_remedy(err.status),
				"%s", err.text);
		else
			finding_say(FINDING_PASS, "capture.interface", "",
				"%s can be captured on (%s)", source_name(s), source_link(s));
		source_free(s);
	}
}

static void namespaces(const struct config *c, struct netns *n)
{
	for (size_t i = 0; i < c->capture.netns.n; i++) {
		const char *name = c->capture.netns.item[i];
		uint16_t number;
		int r = netns_enter(n, name, &number);

		if (r < 0)
			finding_say(FINDING_FAIL, "capture.netns",
				"correct capture.netns; `ip netns list` shows those with a name",
				"network namespace %s cannot be entered: %s", name, strerror(-r));
		else
			interfaces(c, name, number);
		if (netns_leave(n) < 0)
			return;
	}
}

/* Those whose sockets enrich could ask for. */
static void others(const struct config *c, struct netns *n)
{
	if (!c->enrich.netns) {
		finding_say(FINDING_PASS, "capture.namespaces", "",
			"other network namespaces: off in the configuration");
		return;
	}
	netns_find(n);
	(void)netns_leave(n);
	if (n->missed)
		finding_say(FINDING_WARN, "capture.namespaces",
			"start as root (CAP_SYS_ADMIN, CAP_SYS_PTRACE); more than 256 are not "
			"asked",
			"sockets of %zu other network namespaces can be asked for, of %zu not",
			n->n, n->missed);
	else
		finding_say(FINDING_PASS, "capture.namespaces", "",
			"sockets of %zu other network namespaces can be asked for", n->n);
}

static const char *tap_remedy(int error)
{
	switch (-error) {
	case EACCES:
	case EPERM:
		return "start as root, or grant CAP_PERFMON and a readable tracefs";
	case ENOSYS:
		return "the kernel lacks CONFIG_PERF_EVENTS, or a container forbids "
		       "perf_event_open(2)";
	case ENOENT:
		return "the kernel lacks these tracepoints (CONFIG_FTRACE, CONFIG_TRACEPOINTS)";
	case EMFILE:
		return "raise LimitNOFILE= of flowner-capture: some twenty descriptors a CPU";
	}
	return "owners come from the other ways; enrich.procfs: keep finds most of them";
}

static void tracepoints(const struct config *c)
{
	const unsigned all = (1u << TAP_EVENTS) - 1;
	_cleanup_close_ int dir = -1;
	struct tap tap;
	unsigned wanted;
	int r;

	if (c->enrich.tap == CONFIG_TAP_OFF) {
		finding_say(FINDING_PASS, "capture.tap", "", "tap: off in the configuration");
		return;
	}
	r = tracefs_open(&dir);
	if (r < 0)
		finding_say(FINDING_WARN, "capture.tracefs",
			"mount -t tracefs tracefs /sys/kernel/tracing, or start as root",
			"tracefs cannot be read: %s", strerror(-r));
	else
		finding_say(FINDING_PASS, "capture.tracefs", "", "tracefs can be read");
	tap_open(c->enrich.tap, &tap);
	wanted = c->enrich.tap == CONFIG_TAP_FULL && tap.layout.regs_user ? all
									  : all & ~(1u << TAP_EXEC);
	if (!tap.layout.live)
		finding_say(
			FINDING_WARN, "capture.tap", tap_remedy(tap.error), "no tap: %s", tap.text);
	else if ((tap.layout.live & wanted) != wanted)
		finding_say(FINDING_WARN, "capture.tap", tap_remedy(tap.error), "tap in part: %s",
			tap.text);
	else
		finding_say(FINDING_PASS, "capture.tap", "", "tap: %s", tap.text);
	tap_deinit(&tap);
}

/* What others do with packet sockets is no fault, but explains load. */
static void packet_sockets(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/net/packet", "re");
	unsigned lines = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (lines > 1)
		finding_say(FINDING_PASS, "capture.sockets", "",
			"packet sockets of others open here: %u (ss -0p shows whose)", lines - 1);
	else if (lines == 1)
		finding_say(FINDING_PASS, "capture.sockets", "", "nobody else captures packets");
}

int examine_capture(const struct config *c)
{
	struct netns n = {.own_fd = -1};
	int r = netns_init(&n);

	if (r < 0)
		return 1;
	capabilities(c);
	packet_sockets();
	if (filter(c))
		namespaces(c, &n);
	others(c, &n);
	tracepoints(c);
	netns_deinit(&n);
	return 0;
}
