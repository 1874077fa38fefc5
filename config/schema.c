/* SPDX-License-Identifier: Apache-2.0 */
/* The one table of configuration keys: name, type, range, default, help, place in struct config. */
#include "config/schema.h"

#include <errno.h>
#include <string.h>

#include "config/config.h"
#include "config/metrics-listen.h"

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define MS  UINT64_C(1000000)
#define S   (1000 * MS)
#define H   (3600 * S)
#define D   (24 * H)

static const char *const mode_names[] = {[CONFIG_MODE_HANDSHAKE] = "handshake",
	[CONFIG_MODE_HANDSHAKE_TLS] = "handshake+tls",
	[CONFIG_MODE_HEADERS] = "headers",
	NULL};
static const char *const tap_names[] = {[CONFIG_TAP_OFF] = "off",
	[CONFIG_TAP_CONNECT] = "connect",
	[CONFIG_TAP_FULL] = "full",
	NULL};
static const char *const procfs_names[] = {[CONFIG_PROCFS_OFF] = "off",
	[CONFIG_PROCFS_SEED] = "seed",
	[CONFIG_PROCFS_KEEP] = "keep",
	NULL};
static const char *const io_uring_names[] = {
	[CONFIG_IO_URING_OFF] = "off", [CONFIG_IO_URING_AUTO] = "auto", NULL};
static const char *const seccomp_names[] = {[CONFIG_SECCOMP_OFF] = "off",
	[CONFIG_SECCOMP_LOG] = "log",
	[CONFIG_SECCOMP_KILL] = "kill",
	NULL};
static const char *const landlock_names[] = {
	[CONFIG_LANDLOCK_OFF] = "off", [CONFIG_LANDLOCK_AUTO] = "auto", NULL};
static const char *const compress_names[] = {
	[CONFIG_COMPRESS_NONE] = "none", [CONFIG_COMPRESS_ZSTD] = "zstd", NULL};

/* Only the form: which formats there are is known to the sink. */
static const char *check_output(const char *value)
{
	const char *colon = strchr(value, ':');

	if (!colon || colon == value || colon[1] == '\0')
		return "is not of the form FORMAT:PATH, such as "
		       "ecs:/var/log/flowner/flowner.ndjson";
	return NULL;
}

static const char *check_format(const char *value)
{
	if (value[strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789-")])
		return "is not the name of a format, such as ecs";
	return NULL;
}

/* chown(1)'s idea of a user name that cannot be mistaken for an option or a path. */
static const char *check_user(const char *value)
{
	if (value[0] == '-' || strpbrk(value, ":/ \\\""))
		return "is not the name or number of a user";
	if (strcmp(value, "root") == 0 || strspn(value, "0") == strlen(value))
		return "is root: flowner's programs run without privileges";
	return NULL;
}

static const char *check_interface(const char *value)
{
	if (value[0] == '-' || strpbrk(value, "/ "))
		return "is not the name of a network interface";
	return NULL;
}

/* A name under /run/netns, or a path. */
static const char *check_netns(const char *value)
{
	bool path = value[0] == '/';

	if (value[0] == '-' || (!path && strchr(value, '/')) || strcmp(value, ".") == 0 ||
		strcmp(value, "..") == 0)
		return "is neither the name of a network namespace nor an absolute path";
	return NULL;
}

static const char *check_textfile(const char *value)
{
	if (value[0] && (value[0] != '/' || value[strlen(value) - 1] == '/'))
		return "is not the absolute path of a file";
	return NULL;
}

static const char *check_listen(const char *value)
{
	struct sockaddr_storage address;
	socklen_t len;
	int r = value[0] ? metrics_listen_parse(value, &address, &len) : 0;

	if (r == -EADDRNOTAVAIL)
		return "is no loopback address: others than this host could ask there";
	if (r < 0)
		return "is not 127.0.0.1:PORT, [::1]:PORT or the absolute path of a unix socket";
	return NULL;
}

#define KEY(s, n, field)                                                                           \
	.section = #s, .name = #n, .path = #s "." #n, .offset = offsetof(struct config, s.field)

const struct schema_key schema_keys[] = {
	{KEY(capture, interfaces, interfaces), .type = SCHEMA_LIST, .min = 1, .max = 127,
		.initial = "any", .check = check_interface, .alone = "any",
		.help = "Network interfaces to capture on; any means all of them, now and later."},
	{KEY(capture, netns, netns), .type = SCHEMA_LIST, .min = 1, .max = 255, .initial = "self",
		.check = check_netns,
		.help = "Network namespaces to capture in, by name or path; self is flowner's "
			"own."},
	{KEY(capture, mode, mode), .type = SCHEMA_NAME, .names = mode_names, .initial = "handshake",
		.help = "Packets taken: beginnings and ends, also TLS's first (names), or all "
			"headers."},
	{KEY(capture, filter, filter), .type = SCHEMA_STRING, .max = 4096, .lines = true,
		.initial = "",
		.help = "A pcap-filter(7) expression that connections must match; empty means "
			"all."},
	{KEY(capture, buffer, buffer), .type = SCHEMA_SIZE, .min = 512 * KIB, .max = GIB,
		.initial = "32MiB",
		.help = "Kernel memory for packets that wait to be read, for each capture handle."},
	{KEY(capture, batch_timeout, batch_timeout_ns), .type = SCHEMA_DURATION, .min = MS,
		.max = S, .initial = "100ms",
		.help = "How long packets gather before capture is woken; without the tap less, or "
			"not at "
			"all."},
	{KEY(capture, ring, ring), .type = SCHEMA_SIZE, .min = 64 * KIB, .max = GIB,
		.power_of_two = true, .initial = "4MiB",
		.help = "Shared memory between the capture and the enrich program."},
	{KEY(capture, user, user), .type = SCHEMA_STRING, .min = 1, .max = 32, .check = check_user,
		.initial = "flowner-capture",
		.help = "User, by name or number, that flowner-capture becomes after start-up."},

	{KEY(enrich, tap, tap), .type = SCHEMA_NAME, .names = tap_names, .initial = "full",
		.help = "Kernel tracepoints used to learn owners; connect leaves out the costlier "
			"ones."},
	{KEY(enrich, procfs, procfs), .type = SCHEMA_NAME, .names = procfs_names, .initial = "seed",
		.help = "Use of /proc: one sweep at start (seed), or also later, with two "
			"capabilities (keep)."},
	{KEY(enrich, sock_diag, sock_diag), .type = SCHEMA_BOOL, .initial = "true",
		.help = "Ask the kernel for the socket of a connection whose owner is not known "
			"yet."},
	{KEY(enrich, netns, netns), .type = SCHEMA_BOOL, .initial = "true",
		.help = "Ask for sockets also in the other network namespaces there are at start."},
	{KEY(enrich, tcp_info, tcp_info), .type = SCHEMA_BOOL, .initial = "false",
		.help = "Hear of every closed socket with the kernel's own figures; it costs a "
			"busy "
			"host 5 %."},
	{KEY(enrich, start_after, start_after_ns), .type = SCHEMA_DURATION, .max = H,
		.initial = "200ms",
		.help = "Write the start record only once a connection has lasted so long; 0s "
			"means at "
			"once."},
	{KEY(enrich, first_info, first_info_ns), .type = SCHEMA_DURATION, .max = H, .initial = "0s",
		.help = "Write a first record of a connection still open after this time; 0s means "
			"none."},
	{KEY(enrich, active_timeout, active_timeout_ns), .type = SCHEMA_DURATION, .max = D,
		.initial = "5m",
		.help = "Write a record of a long connection every so often; 0s means only at its "
			"end."},
	{KEY(enrich, aggregate, aggregate_ns), .type = SCHEMA_DURATION, .max = H, .initial = "0s",
		.help = "One record for like connections that end within this time; 0s means one "
			"for each."},
	{KEY(enrich, ring, ring), .type = SCHEMA_SIZE, .min = 64 * KIB, .max = GIB,
		.power_of_two = true, .initial = "8MiB",
		.help = "Shared memory between the enrich and the sink program."},
	{KEY(enrich, user, user), .type = SCHEMA_STRING, .min = 1, .max = 32, .check = check_user,
		.initial = "flowner-enrich",
		.help = "User, by name or number, that flowner-enrich becomes after start-up."},

	{KEY(output, files, files), .type = SCHEMA_OUTPUTS, .min = 1, .max = 4128,
		.check = check_output, .initial = "ecs:/var/log/flowner/flowner.ndjson",
		.help = "Where records go, each as FORMAT:PATH; the path - means standard output."},
	{KEY(output, flush, flush_ns), .type = SCHEMA_DURATION, .min = MS, .max = 60 * S,
		.initial = "200ms",
		.help = "The longest time a record waits before it is written."},
	{KEY(output, sync, sync_ns), .type = SCHEMA_DURATION, .max = H, .initial = "0s",
		.help = "How often files are forced to the disk; 0s leaves that to the kernel."},
	{KEY(output, buffer, buffer), .type = SCHEMA_SIZE, .min = 64 * KIB, .max = MIB,
		.initial = "256KiB", .help = "Bytes gathered for one write."},
	{KEY(output, io_uring, io_uring), .type = SCHEMA_NAME, .names = io_uring_names,
		.initial = "auto",
		.help = "Write through io_uring where the kernel allows it (auto), or never "
			"(off)."},
	{KEY(output, user, user), .type = SCHEMA_STRING, .min = 1, .max = 32, .check = check_user,
		.initial = "flowner-sink",
		.help = "User, by name or number, that flowner-sink becomes after start-up."},

	{KEY(limits, flows, flows), .type = SCHEMA_COUNT, .min = 64, .max = 16 * MIB,
		.initial = "65536",
		.help = "Connections followed at a time; beyond that the oldest is ended early."},
	{KEY(limits, processes, processes), .type = SCHEMA_COUNT, .min = 64, .max = 16 * MIB,
		.initial = "32768",
		.help = "Processes remembered at a time; beyond that the oldest is forgotten."},
	{KEY(limits, tcp_timeout, tcp_timeout_ns), .type = SCHEMA_DURATION, .min = S, .max = 30 * D,
		.initial = "1h",
		.help = "A TCP connection without a packet for this long is ended."},
	{KEY(limits, tcp_attempt_timeout, tcp_attempt_timeout_ns), .type = SCHEMA_DURATION,
		.min = 100 * MS, .max = H, .initial = "10s",
		.help = "A TCP connection attempt without an answer for this long is ended."},
	{KEY(limits, udp_timeout, udp_timeout_ns), .type = SCHEMA_DURATION, .min = 100 * MS,
		.max = D, .initial = "30s",
		.help = "A UDP conversation without a packet for this long is ended."},
	{KEY(limits, args, args), .type = SCHEMA_SIZE, .max = 4 * KIB, .initial = "1KiB",
		.help = "Bytes kept of a command line; 0B keeps none."},

	{KEY(metrics, losses, losses_ns), .type = SCHEMA_DURATION, .min = 100 * MS, .max = H,
		.initial = "1s",
		.help = "How often the kernel's counters are read, and losses of one kind "
			"recorded."},
	{KEY(metrics, textfile, textfile), .type = SCHEMA_STRING, .max = 4095, .initial = "",
		.check = check_textfile,
		.help = "An absolute path: the counters as Prometheus text, replaced as a whole; "
			"empty "
			"means none."},
	{KEY(metrics, interval, interval_ns), .type = SCHEMA_DURATION, .min = 100 * MS, .max = H,
		.initial = "15s", .help = "How often metrics.textfile is written."},
	{KEY(metrics, listen, listen), .type = SCHEMA_STRING, .max = 107, .initial = "",
		.check = check_listen,
		.help = "Where GET /metrics is answered: 127.0.0.1:PORT, [::1]:PORT or a unix "
			"socket's path."},
	{KEY(metrics, user, user), .type = SCHEMA_STRING, .min = 1, .max = 32, .check = check_user,
		.initial = "flowner-metrics",
		.help = "User, by name or number, that the program behind both becomes after "
			"start-up."},

	{KEY(sandbox, seccomp, seccomp), .type = SCHEMA_NAME, .names = seccomp_names,
		.initial = "kill",
		.help = "At a system call that is not allowed: die (kill), or name it and end "
			"(log)."},
	{KEY(sandbox, landlock, landlock), .type = SCHEMA_NAME, .names = landlock_names,
		.initial = "auto",
		.help = "Keep away from files not needed, where the kernel has Landlock (auto)."},
};
_Static_assert(sizeof(schema_keys) / sizeof(schema_keys[0]) <= SCHEMA_KEYS_MAX, "bound of readers");
const size_t schema_n_keys = sizeof(schema_keys) / sizeof(schema_keys[0]);

#define OUTPUT_KEY(n, field)                                                                       \
	.section = "output.files", .name = #n, .path = "output.files." #n,                         \
	.offset = offsetof(struct config_output, field)

const struct schema_key schema_output_keys[] = {
	{OUTPUT_KEY(format, format), .type = SCHEMA_STRING, .min = 1, .max = 32,
		.check = check_format,
		.help = "The format's name; `flowner fields` tells what each one holds."},
	{OUTPUT_KEY(path, path), .type = SCHEMA_STRING, .min = 1, .max = 4095,
		.help = "A file in a folder that output.user may write to; - means standard "
			"output."},
	{OUTPUT_KEY(include, include), .type = SCHEMA_LIST, .min = 1, .max = 1024, .empty = true,
		.initial = "",
		.help = "Expressions: only records that match one of them are written; none means "
			"all."},
	{OUTPUT_KEY(exclude, exclude), .type = SCHEMA_LIST, .min = 1, .max = 1024, .empty = true,
		.initial = "",
		.help = "Expressions: records that match one of them are left out, included or "
			"not."},
	{OUTPUT_KEY(rotate_size, rotate_size), .type = SCHEMA_SIZE, .max = 1024 * GIB,
		.initial = "0B",
		.help = "A file that has reached this size is put aside; 0B means never for size."},
	{OUTPUT_KEY(rotate_interval, rotate_interval_ns), .type = SCHEMA_DURATION, .max = 366 * D,
		.initial = "0s",
		.help = "A file is put aside at whole multiples of this time in UTC; 0s means "
			"never."},
	{OUTPUT_KEY(compress, compress), .type = SCHEMA_NAME, .names = compress_names,
		.initial = "none", .help = "How files that were put aside are compressed."},
	{OUTPUT_KEY(keep_files, keep_files), .type = SCHEMA_COUNT, .max = MIB, .initial = "0",
		.help = "How many files put aside are kept, the youngest; 0 means any number."},
	{OUTPUT_KEY(keep_time, keep_time_ns), .type = SCHEMA_DURATION, .max = 3660 * D,
		.initial = "0s", .help = "How long files put aside are kept; 0s means for ever."},
	{OUTPUT_KEY(keep_bytes, keep_bytes), .type = SCHEMA_SIZE, .max = 1024 * 1024 * GIB,
		.initial = "0B",
		.help = "How many bytes of files put aside are kept; 0B means any number."},
};
_Static_assert(sizeof(schema_output_keys) / sizeof(schema_output_keys[0]) <= SCHEMA_OUTPUT_KEYS_MAX,
	"bound of readers");
const size_t schema_n_output_keys = sizeof(schema_output_keys) / sizeof(schema_output_keys[0]);

const struct schema_section schema_sections[] = {
	{"capture", "flowner-capture: where packets come from"},
	{"enrich", "flowner-enrich: how owners are found, when records are written"},
	{"output", "flowner-sink: where records go"},
	{"limits", "bounds of memory and time"},
	{"metrics", "counters, losses, and who may see them"},
	{"sandbox", "what the three programs can still do once they run"},
};
_Static_assert(sizeof(schema_sections) / sizeof(schema_sections[0]) <= SCHEMA_SECTIONS_MAX,
	"bound of readers");
const size_t schema_n_sections = sizeof(schema_sections) / sizeof(schema_sections[0]);

static const struct schema_unit size_units[] = {
	{"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {NULL, 0}};
static const struct schema_unit duration_units[] = {{"ns", 1}, {"us", 1000}, {"ms", MS}, {"s", S},
	{"m", 60 * S}, {"h", H}, {"d", D}, {NULL, 0}};

const struct schema_unit *schema_units(enum schema_type type)
{
	return type == SCHEMA_SIZE ? size_units : duration_units;
}

static bool equal(const char *known, const char *name, size_t len)
{
	return strlen(known) == len && memcmp(known, name, len) == 0;
}

int schema_find_section(const char *name, size_t len)
{
	for (size_t i = 0; i < schema_n_sections; i++) {
		if (equal(schema_sections[i].name, name, len))
			return (int)i;
	}
	return -1;
}

int schema_find(const char *section, const char *name, size_t len)
{
	for (size_t i = 0; i < schema_n_keys; i++) {
		if (strcmp(schema_keys[i].section, section) == 0 &&
			equal(schema_keys[i].name, name, len))
			return (int)i;
	}
	return -1;
}

int schema_find_path(const char *path, size_t len)
{
	for (size_t i = 0; i < schema_n_keys; i++) {
		if (equal(schema_keys[i].path, path, len))
			return (int)i;
	}
	return -1;
}

int schema_find_output(const char *name, size_t len)
{
	for (size_t i = 0; i < schema_n_output_keys; i++) {
		if (equal(schema_output_keys[i].name, name, len))
			return (int)i;
	}
	return -1;
}
