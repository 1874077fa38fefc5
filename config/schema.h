/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of configuration keys: name, type, range, default, help, place in struct config.
 *
 * Threads: any; constant data. Blocks: no. Logs: no.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEMA_KEYS_MAX        64u
#define SCHEMA_SECTIONS_MAX    8u
#define SCHEMA_OUTPUT_KEYS_MAX 16u

enum schema_type {
	SCHEMA_STRING,   /* char * */
	SCHEMA_LIST,     /* struct config_list of strings */
	SCHEMA_SIZE,     /* uint64_t bytes, written with B, KiB, MiB or GiB */
	SCHEMA_DURATION, /* uint64_t ns, written with ns, us, ms, s, m, h or d */
	SCHEMA_COUNT,    /* uint64_t */
	SCHEMA_BOOL,     /* bool */
	SCHEMA_NAME,     /* an enum of config.h, written as one of `names` */
	SCHEMA_OUTPUTS,  /* struct config_outputs: each a text or a mapping of schema_output_keys */
};

struct schema_unit {
	const char *name;
	uint64_t factor;
};

struct schema_key {
	const char *section, *name;
	const char *path; /* "section.name" */
	enum schema_type type;
	bool power_of_two;        /* SIZE: must be one */
	bool lines;               /* STRING: may hold newlines and tabs */
	bool empty;               /* LIST: may be */
	uint64_t min, max;        /* of the number; of a string's (a list entry's) bytes */
	const char *initial;      /* default, as --set would take it; NULL = must be given */
	const char *const *names; /* NAME: by value of the enum, NULL at the end */
	const char *help;         /* one sentence */
	/* STRING, each entry of a LIST: what is wrong with it beyond its length, or NULL. */
	const char *(*check)(const char *value);
	/* LIST: the one entry that must stand alone, or NULL. */
	const char *alone;
	size_t offset; /* in struct config, struct config_output */
};

struct schema_section {
	const char *name, *help;
};

extern const struct schema_key schema_keys[];
extern const size_t schema_n_keys;
/* Of one output of output.files, the path being "output.files.name". */
extern const struct schema_key schema_output_keys[];
extern const size_t schema_n_output_keys;
extern const struct schema_section schema_sections[];
extern const size_t schema_n_sections;

/* Units of a SIZE or DURATION, smallest first, name NULL at the end. */
const struct schema_unit *schema_units(enum schema_type type);

/* Index into schema_sections / schema_keys of the name with @len bytes, or -1. */
int schema_find_section(const char *name, size_t len);
int schema_find(const char *section, const char *name, size_t len);
/* The same for a path "section.name". */
int schema_find_path(const char *path, size_t len);
/* Index into schema_output_keys, or -1. */
int schema_find_output(const char *name, size_t len);

/*
 * What an unknown name was probably meant to be: a name at edit distance 2 or less (case does not
 * count), or the same name in another section. NULL when nothing is near.
 */
const char *schema_suggest_section(const char *name, size_t len);
const char *schema_suggest_key(const char *section, const char *name, size_t len);
/* The same for a key of an output, without other sections: its name. */
const char *schema_suggest_output(const char *name, size_t len);
/* The same for a whole path. */
const char *schema_suggest_path(const char *path, size_t len);
/* The nearest of @names (NULL at the end) by the same measure, or NULL. */
const char *schema_suggest_name(const char *const *names, const char *name, size_t len);
