/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a source share: its state. Nobody else includes this. */
#pragma once

#include <net/if.h>
#include <sys/types.h>

#include "capture/program.h"
#include "capture/source.h"

struct pcap; /* libpcap's pcap_t, which source.c alone knows */

struct source {
	struct pcap *pcap;
	struct pcap *compiler[PROGRAM_BASES]; /* only where filters are compiled */
	enum program_base base;               /* the one last used: it has the message */
	bool file;
	bool gone; /* an interface that there is no more */
	int kind;  /* of its link, ARPHRD_* */
	char interface[IFNAMSIZ];
	int dlt;
	int loopback; /* its ifindex */
	uint64_t batch_ms;
	uint64_t early;    /* packets from before the filter that may be still to come */
	uint64_t start_ns; /* CLOCK_REALTIME when they all had come */
	struct filter_program program;
	struct program_layout layout;
	uint64_t file_size;
	char *ahead;                /* what is read of the file in one go */
	struct packet_head head;    /* what all its packets share */
	uint64_t matched, dropped;  /* since source_start() */
	u_int last_recv, last_drop; /* libpcap's 32-bit counters at the last look */
	source_packet_fn packet;
	source_each_fn each;
	void *arg;
	char name[128];
	const char *space; /* the caller's */
};

/* Fills @err. */
void source_say(struct source_error *err, enum source_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same, and is -EINVAL: which the analyzer sees here. */
#define source_fail(...) (source_say(__VA_ARGS__), -EINVAL)

/* Whether its interface is there, by its number: it may have got another name. */
bool source_is_there(const struct source *s);
/* What kind of link the interface @name has where @s captures; -errno. */
int source_kind(const struct source *s, const char *name);

/*
 * The filter of @o for @s: as a live one attaches it (@kernel), or as a file's packets go through
 * it. 0 or -EINVAL with @err.
 */
int source_build(
	struct source *s, const struct source_options *o, bool kernel, struct source_error *err);

/* For that: libpcap's compiler. What it opens lives as long as the process. */
bool source_compilers_open(struct source *s);
int source_compile(void *arg, enum program_base base, const char *expression,
	struct filter_program *ret); /* of struct program_spec; @arg is the source */
const char *source_complaint(const struct source *s);
/* -EINVAL for a link type enrich does not know. */
int source_link_of(const struct source *s, enum program_link *ret);
/* Whether it only jumps forward, to what is there. */
bool source_is_valid(const struct filter_program *p);
