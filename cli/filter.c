/* SPDX-License-Identifier: Apache-2.0 */
/* `flowner filter`: the capture program by class, and how many packets of a file each class takes.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "capture/explain.h"
#include "capture/source.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/plan.h"
#include "config/log.h"
#include "shm/cleanup.h"

/* Link types of live sources, of pcap/dlt.h. */
enum { LINK_ETHERNET = 1, LINK_RAW = 12, LINK_SLL = 113, LINK_SLL2 = 276 };

struct filter {
	const char *file, *config_file, *interface;
	char *expression; /* owned, NULL = the configuration's */
	const char *set[ARGUMENTS_LIST_MAX];
	size_t n_set;
	bool help;
	char mode[64];
};

DEFINE_CLEANUP(source, struct source, source_free)

static void help(void)
{
	puts("flowner filter [OPTION]... [FILTER EXPRESSION]\n"
	     "\n"
	     "Shows which packets flowner captures, by class: instructions of the class, most\n"
	     "instructions run until a packet is taken by it (or rejected), and how many\n"
	     "bytes of a packet are kept. A packet belongs to the first class that takes it.\n"
	     "FILTER EXPRESSION as in pcap-filter(7); default: that of the configuration.\n"
	     "\n"
	     "  -r, --read FILE        count what each class takes of a pcap or pcapng file;\n"
	     "                         - is stdin\n"
	     "  -m, --mode MODE        handshake, handshake+tls or headers\n"
	     "  -i, --interface NAME   the program for that interface (default: the first of\n"
	     "                         the configuration)\n"
	     "  -c, --config FILE      this configuration (" CONFIG_DEFAULT_FILE ")\n"
	     "      --set KEY=VALUE    change one setting (repeatable)\n"
	     "\n"
	     "  flowner filter -r trace.pcap -m headers not net 10.0.0.0/8\n"
	     "\n"
	     "Exit status: 0; 64 command line or expression, 65 not a capture file, 66 no such\n"
	     "file or interface, 78 configuration.");
}

static int add_set(struct filter *f, const char *setting)
{
	if (f->n_set == ARGUMENTS_LIST_MAX)
		return command_usage("filter", "--set is given too often");
	f->set[f->n_set++] = setting;
	return 0;
}

static int take(struct filter *f, int c, char **argv)
{
	switch (c) {
	case 'r':
		f->file = optarg;
		return 0;
	case 'c':
		f->config_file = optarg;
		return 0;
	case 'i':
		f->interface = optarg;
		return 0;
	case 'm':
		snprintf(f->mode, sizeof(f->mode), "capture.mode=%s", optarg);
		return 0;
	case 's':
		return add_set(f, optarg);
	case 'h':
		f->help = true;
		return 0;
	default:
		return command_usage_option("filter", c, argv[optind - 1]);
	}
}

/* The words of the expression as one. */
static int join(struct filter *f, char **word, int n)
{
	size_t size = 1;

	for (int i = 0; i < n; i++)
		size += strlen(word[i]) + 1;
	f->expression = calloc(1, size);
	if (!f->expression) {
		log_error("out of memory");
		return COMMAND_EXIT_OS;
	}
	for (int i = 0; i < n; i++) {
		strcat(f->expression, i ? " " : "");
		strcat(f->expression, word[i]);
	}
	return 0;
}

/* 0 or the exit status. */
static int parse(struct filter *f, int argc, char **argv)
{
	static const struct option long_options[] = {
		{"read", required_argument, NULL, 'r'},
		{"mode", required_argument, NULL, 'm'},
		{"interface", required_argument, NULL, 'i'},
		{"config", required_argument, NULL, 'c'},
		{"set", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c, r = 0;

	opterr = 0;
	while (!r && !f->help &&
		(c = getopt_long(argc, argv, ":r:m:i:c:h", long_options, NULL)) != -1)
		r = take(f, c, argv);
	if (r || f->help)
		return r;
	if (f->file && f->interface)
		return command_usage(
			"filter", "-r and -i exclude each other: a file or an interface");
	if (*f->mode)
		r = add_set(f, f->mode);
	if (!r && optind < argc)
		r = join(f, argv + optind, argc - optind);
	return r;
}

/* The link type libpcap gives an interface; -ENODEV. */
static int link_of(const char *name)
{
	char path[128];
	_cleanup_fclose_ FILE *f = NULL;
	int type;

	if (!strcmp(name, "any"))
		return LINK_SLL2;
	if (strchr(name, '/'))
		return -ENODEV;
	snprintf(path, sizeof(path), "/sys/class/net/%s/type", name);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &type) != 1)
		return -ENODEV;
	switch (type) {
	case ARPHRD_ETHER:
	case ARPHRD_LOOPBACK:
		return LINK_ETHERNET;
	case ARPHRD_NONE:
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
		return LINK_RAW;
	default:
		return LINK_SLL;
	}
}

static int open_source(const struct filter *f, const struct config *c, struct source **ret)
{
	struct source_options o = {
		.name = f->file        ? f->file
			: f->interface ? f->interface
				       : c->capture.interfaces.item[0],
		.mode = c->capture.mode,
		.filter = f->expression ? f->expression : c->capture.filter,
	};
	struct source_error err;
	int link, r;

	if (f->file) {
		r = source_open_file(&o, ret, &err);
	} else {
		link = link_of(o.name);
		if (link < 0) {
			log_error("no such interface: %s (`ip link` lists them, \"any\" is all of "
				  "them)",
				o.name);
			return SOURCE_NO_INPUT;
		}
		r = source_open_dead(&o, link, true, ret, &err);
	}
	if (r < 0)
		log_error("%s", err.text);
	return r < 0 ? (int)err.status : 0;
}

static void print_program(const struct explain *e, const struct source *s, enum config_mode mode)
{
	static const char *const modes[] = {"handshake", "handshake+tls", "headers"};

	printf("Mode %s, %s (%s): %zu instructions, at most %u run;\n"
	       "at most %u bytes of a packet are kept.\n"
	       "\n"
	       "%-12s %5s %5s %5s  %s\n",
		modes[mode], source_name(s), source_link(s), e->insns, e->longest,
		program_snaplen(mode), "class", "insns", "path", "bytes", "takes");
	for (size_t i = 0; i < e->n; i++) {
		const struct explain_row *row = &e->row[i];
		char path[16] = "", bytes[16] = "";

		if (i == e->short_row)
			continue;
		if (row->takes)
			snprintf(bytes, sizeof(bytes), "%u", row->snaplen);
		if (row->path)
			snprintf(path, sizeof(path), "%u", row->path);
		printf("%-12s %5zu %5s %5s  %s\n", row->name, row->insns, path, bytes, row->words);
	}
}

static void print_count(const char *name, const struct explain_row *row)
{
	printf("%-12s %12" PRIu64 " %16" PRIu64 " %14" PRIu64 " %9.1f\n", name, row->packets,
		row->bytes, row->kept,
		row->packets ? (double)row->steps / (double)row->packets : 0);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_counts(const struct explain *e)
{
	struct explain_row all = {0}, taken = {0};

	printf("\n%-12s %12s %16s %14s %9s\n", "class", "packets", "bytes", "kept", "insns run");
	for (size_t i = 0; i < e->n; i++) {
		const struct explain_row *row = &e->row[i];
		struct explain_row *sums[] = {&all, row->takes ? &taken : NULL};

		for (size_t k = 0; k < 2 && sums[k]; k++) {
			sums[k]->packets += row->packets;
			sums[k]->bytes += row->bytes;
			sums[k]->kept += row->kept;
			sums[k]->steps += row->steps;
		}
		/* What is behind tags is counted in its class. */
		if (row->takes || row->packets)
			print_count(row->name, row);
	}
	print_count("taken", &taken);
	print_count("all", &all);
	printf("\nTaken: %.1f %% of the packets; kept: %.2f %% of the bytes.\n",
		percent(taken.packets, all.packets), percent(taken.kept, all.bytes));
}

static void one_packet(void *arg, const void *bytes, uint32_t size, uint32_t caplen, uint32_t len)
{
	explain_packet(arg, bytes, size, caplen, len);
}

/* 0 or the exit status. */
static int show(const struct filter *f, const struct config *c)
{
	_cleanup_(cleanup_source) struct source *s = NULL;
	const struct program_layout *layout;
	const struct filter_program *program;
	struct explain e;
	int r = open_source(f, c, &s);

	if (r)
		return r;
	program = source_filter(s, &layout);
	if (explain_init(&e, program, layout, c->capture.mode) < 0) {
		log_error("out of memory");
		r = COMMAND_EXIT_OS;
	} else {
		print_program(&e, s, c->capture.mode);
		if (f->file && source_each(s, one_packet, &e))
			log_warning("%s: %s, ignoring the rest of it", f->file, source_why(s));
		if (f->file)
			print_counts(&e);
	}
	explain_deinit(&e);
	return r;
}

int command_filter(int argc, char **argv)
{
	struct filter f = {0};
	struct config_sources sources = {.environ = environ};
	struct config c;
	int r = parse(&f, argc, argv);

	if (r == 0 && f.help) {
		help();
	} else if (r == 0 && config_init(&c) < 0) {
		log_error("out of memory");
		r = COMMAND_EXIT_OS;
	} else if (r == 0) {
		sources.file = f.config_file;
		sources.set = f.set;
		sources.n_set = f.n_set;
		r = plan_load(&c, &sources);
		if (!r)
			r = show(&f, &c);
		config_deinit(&c);
	}
	free(f.expression);
	return r;
}
