/* SPDX-License-Identifier: Apache-2.0 */
/* Where packets come from: a live interface or a capture file, through libpcap. */
#include "capture/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/filter.h"
#include "capture/netns.h"
#include "capture/source-internal.h"
#include "config/daemon.h"
#include "shm/cleanup.h"

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define SNAPLEN_MORE 48 /* bytes a class's may grow by: a link header, a VLAN tag put back in */
#define FILLED                                                                                     \
	256 /* bytes a filter may look at: link header, tags, IP and TCP with all options, 6 */
#define AHEAD (128u << 10) /* bytes of a file that are read at once */

_Static_assert(sizeof(struct filter_insn) == sizeof(struct bpf_insn), "libpcap's layout");
_Static_assert(PROGRAM_SNAPLEN_MAX + SNAPLEN_MORE <= PACKET_CAPLEN_MAX, "snap lengths");

DEFINE_CLEANUP(source, struct source, source_free)

void source_say(struct source_error *err, enum source_status status, const char *format, ...)
{
	va_list ap;

	err->status = status;
	va_start(ap, format);
	vsnprintf(err->text, sizeof(err->text), format, ap);
	va_end(ap);
}

int source_compile(
	void *arg, enum program_base base, const char *expression, struct filter_program *ret)
{
	struct source *s = arg;
	struct bpf_program bpf;
	int r;

	s->base = base;
	errno = 0; /* the message has many words for a lack of memory */
	if (pcap_compile(s->compiler[base], &bpf, expression, 1, PCAP_NETMASK_UNKNOWN) != 0)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	r = filter_copy((const struct filter_insn *)bpf.bf_insns, bpf.bf_len, ret);
	pcap_freecode(&bpf);
	return r;
}

bool source_accepts(const char *expression, struct source_error *err)
{
	static const int kinds[] = {DLT_EN10MB, DLT_LINUX_SLL2, DLT_RAW};
	bool good = false;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && !good; i++) {
		pcap_t *p = pcap_open_dead(kinds[i], FILLED);
		struct bpf_program bpf;

		good = p && pcap_compile(p, &bpf, expression, 1, PCAP_NETMASK_UNKNOWN) == 0;
		if (good)
			pcap_freecode(&bpf);
		else if (i == 0)
			source_say(err, SOURCE_BAD_FILTER, "%s",
				p ? pcap_geterr(p) : strerror(ENOMEM));
		if (p)
			pcap_close(p);
	}
	return good;
}

int source_link_of(const struct source *s, enum program_link *ret)
{
	switch (s->dlt) {
	case DLT_EN10MB:
		*ret = PROGRAM_ETHERNET;
		return 0;
	case DLT_LINUX_SLL:
		*ret = PROGRAM_SLL;
		return 0;
	case DLT_LINUX_SLL2:
		*ret = PROGRAM_SLL2;
		return 0;
	case DLT_RAW: /* LINKTYPE_RAW 101 of files, 12 elsewhere */
	case DLT_IPV4:
	case DLT_IPV6:
		*ret = PROGRAM_RAW;
		return 0;
	case DLT_NULL:
	case DLT_LOOP:
		*ret = PROGRAM_NULL;
		return 0;
	default:
		return -EINVAL;
	}
}

bool source_compilers_open(struct source *s)
{
	s->compiler[PROGRAM_BASE_SOURCE] = s->pcap;
	s->compiler[PROGRAM_BASE_ETHERNET] = pcap_open_dead(DLT_EN10MB, 65535);
	s->compiler[PROGRAM_BASE_RAW] = pcap_open_dead(DLT_RAW, 65535);
	return s->compiler[PROGRAM_BASE_ETHERNET] && s->compiler[PROGRAM_BASE_RAW];
}

const char *source_complaint(const struct source *s)
{
	return pcap_geterr(s->compiler[s->base]);
}

bool source_is_valid(const struct filter_program *p)
{
	return bpf_validate((const struct bpf_insn *)p->insn, (int)p->n);
}

/* NULL: out of memory. */
static struct source *source_new(const struct source_options *o)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	/* It may be cut: it is for messages only. */
	snprintf(s->name, sizeof(s->name), "%s%s%s", o->netns ? o->netns : "",
		o->netns && *o->netns ? ":" : "", o->name);
	snprintf(s->interface, sizeof(s->interface), "%s", o->name);
	s->head.netns = o->netns_number;
	s->space = o->netns ? o->netns : "";
	s->batch_ms = o->immediate ? 0 : (o->batch_timeout_ns + 999999) / 1000000;
	if (!s->batch_ms)
		s->batch_ms = 1; /* libpcap's 0 means: never deliver a block that is not full */
	return s;
}

static int activate(struct source *s, const struct source_options *o, struct source_error *err)
{
	int r;

	pcap_set_snaplen(s->pcap, (int)program_snaplen(o->mode) + SNAPLEN_MORE);
	pcap_set_promisc(s->pcap, 0);
	pcap_set_timeout(s->pcap, (int)s->batch_ms);
	pcap_set_immediate_mode(s->pcap, o->immediate);
	pcap_set_buffer_size(s->pcap, o->buffer > INT32_MAX ? INT32_MAX : (int)o->buffer);
	pcap_set_tstamp_precision(s->pcap, PCAP_TSTAMP_PRECISION_NANO);
	r = pcap_activate(s->pcap);
	switch (r) {
	case PCAP_ERROR_NO_SUCH_DEVICE:
		return source_fail(err, SOURCE_NO_INPUT,
			"no such interface: %s (`ip link` lists them, \"any\" is all of them)",
			s->name);
	case PCAP_ERROR_PERM_DENIED:
	case PCAP_ERROR_PROMISC_PERM_DENIED:
		return source_fail(err, SOURCE_NO_PERMISSION,
			"not allowed to capture on %s: start as root or with CAP_NET_RAW", s->name);
	case PCAP_ERROR_IFACE_NOT_UP:
		return source_fail(err, SOURCE_NO_INPUT,
			"interface %s is down: `ip link set %s up` first", s->name, o->name);
	default:
		/* Positive values are warnings, e.g. that "any" has no promiscuous mode. */
		if (r < 0)
			return source_fail(err, SOURCE_FAILED, "cannot capture on %s: %s", s->name,
				pcap_geterr(s->pcap));
	}
	return 0;
}

static int attach(struct source *s, struct filter_insn *insn, size_t n)
{
	struct sock_fprog prog = {(unsigned short)n, (struct sock_filter *)insn};

	if (setsockopt(pcap_fileno(s->pcap), SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) < 0)
		return -errno;
	return 0;
}

int source_open_live(const struct source_options *o, struct source **ret, struct source_error *err)
{
	struct filter_insn shut = {BPF_RET | BPF_K, 0, 0, 0};
	_cleanup_(cleanup_source) struct source *s = source_new(o);
	char text[PCAP_ERRBUF_SIZE];
	bool any = !strcmp(o->name, "any");
	int r, one = 1;
	uint32_t lo;

	if (!s)
		return source_fail(err, SOURCE_FAILED, "out of memory");
	s->pcap = pcap_create(o->name, text);
	if (!s->pcap)
		return source_fail(err, SOURCE_NO_INPUT, "cannot capture on %s: %s", s->name, text);
	r = activate(s, o, err);
	if (r < 0)
		return r;
	r = attach(s, &shut, 1);
	if (r < 0)
		return source_fail(err, SOURCE_FAILED, "%s: cannot attach a filter: %s", s->name,
			strerror(-r));
	if (any && pcap_set_datalink(s->pcap, DLT_LINUX_SLL2) < 0)
		return source_fail(err, SOURCE_FAILED, "%s: %s", s->name, pcap_geterr(s->pcap));
	if (pcap_setnonblock(s->pcap, 1, text) < 0)
		return source_fail(err, SOURCE_FAILED, "%s: %s", s->name, text);
	s->dlt = pcap_datalink(s->pcap);
	s->head.dlt = (uint16_t)s->dlt;
	/* Without lo's number the filter would let both copies of its packets through. */
	r = netns_ifindex(pcap_fileno(s->pcap), "lo", &lo);
	if (r == 0 && !any)
		r = netns_ifindex(pcap_fileno(s->pcap), o->name, &s->head.ifindex);
	if (r < 0)
		return source_fail(err, SOURCE_FAILED, "%s: its number cannot be asked for: %s",
			s->name, strerror(-r));
	s->loopback = (int)lo;
	s->kind = any ? 0 : source_kind(s, o->name);
	if (s->loopback && s->head.ifindex == (uint32_t)s->loopback)
		/* Cheaper than the filter's rule; where the kernel is too old, that one still
		 * holds. */
		(void)setsockopt(pcap_fileno(s->pcap), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one,
			sizeof(one));
	r = source_build(s, o, true, err);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

/* Standard input by a stream of its own: its buffer ends with us. */
static FILE *open_file(const char *name)
{
	_cleanup_close_ int fd = -1;
	FILE *f;

	fd = strcmp(name, "-") ? open(name, O_RDONLY | O_CLOEXEC)
			       : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
	f = fd < 0 ? NULL : fdopen(fd, "r");
	if (f)
		fd = -1;
	return f;
}

int source_open_file(const struct source_options *o, struct source **ret, struct source_error *err)
{
	_cleanup_(cleanup_source) struct source *s = source_new(o);
	_cleanup_fclose_ FILE *f = NULL;
	char text[PCAP_ERRBUF_SIZE];
	struct stat st;
	int r;

	if (!s)
		return source_fail(err, SOURCE_FAILED, "out of memory");
	s->file = true;
	f = open_file(o->name);
	if (!f || fstat(fileno(f), &st) < 0)
		return source_fail(err, errno == EACCES ? SOURCE_NO_PERMISSION : SOURCE_NO_INPUT,
			"cannot read %s: %s", o->name, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return source_fail(
			err, SOURCE_NO_INPUT, "cannot read %s: it is a directory", o->name);
	s->file_size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	s->ahead = malloc(AHEAD);
	if (!s->ahead || setvbuf(f, s->ahead, _IOFBF, AHEAD) != 0)
		return source_fail(err, SOURCE_FAILED, "out of memory");
	__fsetlocking(f, FSETLOCKING_BYCALLER); /* libpcap asks for the parts of each packet */
	s->pcap = pcap_fopen_offline_with_tstamp_precision(f, PCAP_TSTAMP_PRECISION_NANO, text);
	if (!s->pcap)
		return source_fail(err, SOURCE_BAD_FILE,
			"cannot read %s: not a pcap or pcapng file: %s", o->name, text);
	f = NULL; /* libpcap closes it now */
	s->dlt = pcap_datalink(s->pcap);
	s->head.dlt = (uint16_t)s->dlt;
	r = source_build(s, o, false, err);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

void source_free(struct source *s)
{
	if (!s)
		return;
	filter_deinit(&s->program);
	if (s->pcap)
		pcap_close(s->pcap);
	free(s->ahead);
	free(s);
}

int source_start(struct source *s, struct source_error *err)
{
	uint64_t matched, dropped;
	int r, one = 1;

	if (s->file)
		return 0;
	/* Some of it waits in a block that only time closes: it is known when it comes. */
	s->start_ns = daemon_realtime_ns();
	r = source_count(s, &matched, &dropped);
	if (r == 0)
		s->early = matched - dropped;
	if (r == 0)
		r = attach(s, s->program.insn, s->program.n);
	if (r == 0 &&
		setsockopt(pcap_fileno(s->pcap), SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof(one)) < 0)
		r = -errno;
	if (r < 0)
		return source_fail(err, SOURCE_FAILED, "%s: cannot start the filter: %s", s->name,
			strerror(-r));
	s->matched = s->dropped = 0;
	return 0;
}

int source_fd(const struct source *s)
{
	return s->file ? -1 : pcap_get_selectable_fd(s->pcap);
}

bool source_restless(const struct source *s)
{
	return !s->file && pcap_get_required_select_timeout(s->pcap);
}

static uint64_t time_ns(const struct timeval *tv)
{
	/* Nanoseconds by PCAP_TSTAMP_PRECISION_NANO; a file may hold anything. */
	uint64_t sec = tv->tv_sec > 0 ? (uint64_t)tv->tv_sec : 0;
	uint64_t ns = tv->tv_usec > 0 ? (uint64_t)tv->tv_usec : 0;

	return sec * 1000000000u + (ns > 999999999u ? 999999999u : ns);
}

/*
 * In the kernel the filter sees whole packets, and a load behind their end rejects them. In a file
 * one may be cut before what the filter looks at: there zeros stand for what was cut. Returns how
 * many bytes *bytes are then, those or @filled.
 */
static uint32_t fill(const struct pcap_pkthdr *h, const u_char **bytes, u_char filled[FILLED])
{
	uint32_t len = h->caplen;

	if (len >= h->len || len >= FILLED)
		return len;
	memcpy(filled, *bytes, len);
	memset(filled + len, 0, FILLED - len);
	*bytes = filled;
	return h->len < FILLED ? h->len : FILLED;
}

/*
 * Whether a packet came before the filter, which is none that matched: one of as many as the kernel
 * had counted by then (libpcap may keep some for itself), and by its time.
 */
static bool is_early(struct source *s, uint64_t t_ns)
{
	s->early = t_ns < s->start_ns ? s->early - 1 : 0;
	return t_ns < s->start_ns;
}

static void deliver(u_char *arg, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct source *s = (struct source *)arg;
	uint32_t caplen = h->caplen;
	uint64_t t_ns = time_ns(&h->ts);

	if (s->early && is_early(s, t_ns))
		return;
	if (s->file) {
		u_char filled[FILLED];
		const u_char *all = bytes;
		uint32_t size = fill(h, &all, filled);
		uint32_t keep =
			bpf_filter((const struct bpf_insn *)s->program.insn, all, h->len, size);

		if (!keep)
			return;
		s->matched++;
		caplen = keep < caplen ? keep : caplen;
	}
	s->head.caplen = caplen < PACKET_CAPLEN_MAX ? caplen : PACKET_CAPLEN_MAX;
	s->head.len = h->len;
	s->packet(s->arg, t_ns, &s->head, bytes);
}

int source_dispatch(
	struct source *s, unsigned max, source_packet_fn packet, void *arg, unsigned *ret_n)
{
	int r;

	s->packet = packet;
	s->arg = arg;
	r = pcap_dispatch(s->pcap, (int)max, deliver, (u_char *)s);
	s->gone = r < 0 && !s->file && !source_is_there(s);
	/* It has stopped, and libpcap may not ask why: one that is down can come up again. */
	if (r < 0 && !s->gone && !strncmp(pcap_geterr(s->pcap), "getsockname", 11))
		r = 0;
	if (r < 0)
		return SOURCE_E_GONE;
	*ret_n = (unsigned)r;
	return s->file && r == 0 ? SOURCE_E_END : 0;
}

const char *source_why(const struct source *s)
{
	return s->gone ? "The interface disappeared" : pcap_geterr(s->pcap);
}

int source_count(struct source *s, uint64_t *ret_matched, uint64_t *ret_dropped)
{
	struct pcap_stat st;

	if (!s->file) {
		if (pcap_stats(s->pcap, &st) < 0)
			return -EIO;
		/* ps_recv includes the dropped ones on Linux; both wrap at 32 bits. */
		s->matched += (u_int)(st.ps_recv - s->last_recv);
		s->dropped += (u_int)(st.ps_drop - s->last_drop);
		s->last_recv = st.ps_recv;
		s->last_drop = st.ps_drop;
	}
	*ret_matched = s->matched;
	*ret_dropped = s->dropped;
	return 0;
}

bool source_is_doubled(const char *const *names, size_t n, size_t i)
{
	for (size_t j = 0; j < n; j++)
		if (strcmp(names[j], names[i]) == 0 ? j < i : strcmp(names[j], "any") == 0)
			return true;
	return false;
}

uint16_t source_netns(const struct source *s)
{
	return s->head.netns;
}

const char *source_netns_name(const struct source *s)
{
	return s->space;
}

const char *source_name(const struct source *s)
{
	return s->name;
}

const char *source_link(const struct source *s)
{
	const char *name = pcap_datalink_val_to_name(s->dlt);

	return name ? name : "unknown";
}

unsigned source_insns(const struct source *s)
{
	return (unsigned)s->program.n;
}

uint64_t source_file_size(const struct source *s)
{
	return s->file_size;
}

uint64_t source_file_offset(const struct source *s)
{
	off_t at = s->file_size ? ftello(pcap_file(s->pcap)) : 0;

	return at > 0 ? (uint64_t)at : 0;
}

const struct filter_program *source_filter(
	const struct source *s, const struct program_layout **ret_layout)
{
	*ret_layout = &s->layout;
	return &s->program;
}

static void deliver_each(u_char *arg, const struct pcap_pkthdr *h, const u_char *bytes)
{
	struct source *s = (struct source *)arg;
	u_char filled[FILLED];
	uint32_t size = fill(h, &bytes, filled);

	s->each(s->arg, bytes, size, h->caplen, h->len);
}

int source_each(struct source *s, source_each_fn packet, void *arg)
{
	s->each = packet;
	s->arg = arg;
	return pcap_loop(s->pcap, -1, deliver_each, (u_char *)s) < 0 ? SOURCE_E_GONE : 0;
}

int source_open_dead(const struct source_options *o, int dlt, bool kernel, struct source **ret,
	struct source_error *err)
{
	_cleanup_(cleanup_source) struct source *s = source_new(o);
	int r;

	if (!s)
		return source_fail(err, SOURCE_FAILED, "out of memory");
	s->dlt = dlt;
	s->pcap = pcap_open_dead(dlt, 65535);
	if (!s->pcap)
		return source_fail(err, SOURCE_FAILED, "out of memory");
	s->loopback = kernel ? (int)if_nametoindex("lo") : 0;
	r = source_build(s, o, kernel, err);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

int source_program(int dlt, bool kernel, enum config_mode mode, const char *filter,
	struct filter_program *ret, struct source_error *err)
{
	const struct source_options o = {.name = "test", .mode = mode, .filter = filter};
	_cleanup_(cleanup_source) struct source *s = NULL;
	int r = source_open_dead(&o, dlt, kernel, &s, err);

	if (r < 0)
		return r;
	*ret = s->program;
	s->program = (struct filter_program){0};
	return 0;
}
