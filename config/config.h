/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flowner's configuration as typed values, and how it is put together from its sources.
 *
 * One table (config/schema.c) says for each key: path, type, range, default, unit, help; parsing,
 * checking, `--print-config` and the documentation of keys all come from it. Sources, later wins:
 * defaults, FILE, FILE's conf.d/ *.yaml in lexical order, environment FLOWNER_SECTION__KEY, --set.
 * A later list replaces an earlier one; in the environment and in --set a list is written "a,b" or
 * "[a, b]". conf.d is read only if it belongs to root or the caller and is not writable by
 * everyone. The keys of one output are a second table of the same kind.
 *
 * Threads: start-up only. Blocks: reads files. Logs: no; every complaint is a struct config_error.
 * Errors: 0; CONFIG_E_INVALID with the complaint in @err; -errno.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define CONFIG_DEFAULT_FILE "/etc/flowner/flowner.yaml"
#define CONFIG_SIZE_MAX     (1u << 20) /* bytes of one file */
#define CONFIG_DEPTH_MAX    32u        /* nesting of YAML collections */
#define CONFIG_LIST_MAX     64u        /* entries of one list */
#define CONFIG_EXIT         78         /* EX_CONFIG of sysexits.h: exit status for a bad one */

/* Which packets capture takes; what each can know: capture/program.h. */
enum config_mode { CONFIG_MODE_HANDSHAKE, CONFIG_MODE_HANDSHAKE_TLS, CONFIG_MODE_HEADERS };
enum config_tap { CONFIG_TAP_OFF, CONFIG_TAP_CONNECT, CONFIG_TAP_FULL };
enum config_procfs { CONFIG_PROCFS_OFF, CONFIG_PROCFS_SEED, CONFIG_PROCFS_KEEP };
enum config_io_uring { CONFIG_IO_URING_OFF, CONFIG_IO_URING_AUTO };
/* A system call that is not in the table: the program dies, or says which and ends, or nothing. */
enum config_seccomp { CONFIG_SECCOMP_OFF, CONFIG_SECCOMP_LOG, CONFIG_SECCOMP_KILL };
enum config_landlock { CONFIG_LANDLOCK_OFF, CONFIG_LANDLOCK_AUTO };
enum config_compress { CONFIG_COMPRESS_NONE, CONFIG_COMPRESS_ZSTD };

struct config_list {
	char **item; /* NUL-terminated strings, owned */
	size_t n;
};

/* One output: written "FORMAT:PATH", the rest by default, or as a mapping of its keys. */
struct config_output {
	char *format;                /* a name; which there are is known to the sink */
	char *path;                  /* "-" = standard output */
	struct config_list include;  /* expressions: records that match one of them; empty = all */
	struct config_list exclude;  /* expressions: records that match none of them */
	uint64_t rotate_size;        /* bytes; 0 = not by size */
	uint64_t rotate_interval_ns; /* 0 = not by time */
	enum config_compress compress;
	uint64_t keep_files; /* rotated files; 0 = not by number */
	uint64_t keep_time_ns;
	uint64_t keep_bytes;
};

struct config_outputs {
	struct config_output *item;
	size_t n;
};

/* What is wrong with a text. */
struct config_complaint {
	size_t column; /* of the byte in it, from 1; 0 = all of it */
	char text[320];
};

/*
 * What of outputs only the sink understands, checked where the place in the file is known. 0;
 * CONFIG_E_INVALID with the complaint; -errno.
 */
struct config_checks {
	/* @key is "format", "include" or "exclude". */
	int (*text)(const char *key, const char *text, struct config_complaint *ret);
	/* A whole one, with those in front of it. */
	int (*output)(const struct config_outputs *before, const struct config_output *o,
		struct config_complaint *ret);
};

struct config {
	const struct config_checks *checks; /* of the sources; NULL = none */
	struct {
		struct config_list interfaces; /* names, or the one entry "any" */
		struct config_list netns;      /* names, paths, or "self": where these are */
		enum config_mode mode;
		char *filter;              /* pcap-filter(7) expression, "" = everything */
		uint64_t buffer;           /* kernel packet buffer, bytes */
		uint64_t batch_timeout_ns; /* libpcap's to_ms */
		uint64_t ring;             /* capture -> enrich ring, bytes, a power of two */
		char *user;                /* name or number to run as */
	} capture;
	struct {
		enum config_tap tap;
		enum config_procfs procfs;
		bool sock_diag;
		bool tcp_info;           /* hear of closed sockets */
		bool netns;              /* ask in the other network namespaces too */
		uint64_t start_after_ns; /* start record for a flow still open then; 0 = at once */
		uint64_t first_info_ns;  /* info record so long after that; 0 = none */
		uint64_t active_timeout_ns; /* info records of long flows; 0 = none */
		uint64_t aggregate_ns;      /* one record for connections that are alike; 0 = off */
		uint64_t ring;              /* enrich -> sink ring, bytes, a power of two */
		char *user;
	} enrich;
	struct {
		struct config_outputs files;
		uint64_t flush_ns; /* oldest unwritten record */
		uint64_t sync_ns;  /* fdatasync interval, 0 = leave it to the kernel */
		uint64_t buffer;   /* bytes of one write */
		enum config_io_uring io_uring;
		char *user;
	} output;
	struct {
		uint64_t flows;                  /* entries of the flow table */
		uint64_t processes;              /* entries of the process cache */
		uint64_t tcp_timeout_ns;         /* idle, established */
		uint64_t tcp_attempt_timeout_ns; /* SYN without an answer */
		uint64_t udp_timeout_ns;
		uint64_t args; /* bytes of a command line that are kept */
	} limits;
	struct {
		uint64_t losses_ns;   /* how often kernel counters are polled and losses recorded */
		char *textfile;       /* "" = none */
		uint64_t interval_ns; /* how often that is written */
		char *listen;         /* "" = nowhere; config/metrics-listen.h */
		char *user;           /* of the program that does both */
	} metrics;
	struct {
		enum config_seccomp seccomp;
		enum config_landlock landlock;
	} sandbox;
};

enum { CONFIG_E_INVALID = 1 };

/* "file:line:column: path.to.key: what is wrong (did you mean ...?)", ready to print. */
struct config_error {
	char text[512];
};

/* Fills in every default. Free with config_deinit(); also after an error of config_load(). */
int config_init(struct config *c);
void config_deinit(struct config *c);

struct config_sources {
	const char *file;       /* NULL: CONFIG_DEFAULT_FILE, which may then be missing */
	bool no_file;           /* read no file at all */
	char *const *environ;   /* NULL: no environment */
	const char *const *set; /* "section.key=value" in order, n_set of them */
	size_t n_set;
	const struct config_checks *checks; /* NULL: the sink's own things are not checked */
};

/* Loads and checks all sources into @c (freshly initialised). */
int config_load(struct config *c, const struct config_sources *s, struct config_error *err);

/* Makes "FORMAT:PATH" texts the only outputs, as --set would. */
int config_set_outputs(struct config *c, const char *source, const char *const *text, size_t n,
	struct config_error *err);

/* Whether an output's format holds packets (pcapng): enrich then sends them. */
bool config_wants_packets(const struct config *c);

/* The merged configuration as YAML that config_load() reads back to the same values. */
int config_print(const struct config *c, FILE *f);
/* Every key with type, range, default, unit and help: the reference part of the manual. */
int config_print_keys(FILE *f);
