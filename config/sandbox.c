/* SPDX-License-Identifier: Apache-2.0 */
/* What a program can still do once it runs. */
#include "config/sandbox.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/sandbox-internal.h"

bool sandbox_row_holds(const struct sandbox *s, const struct sandbox_call *row)
{
	return !row->only || (row->only & s->conditions);
}

static bool is_first(const struct sandbox *s, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (sandbox_row_holds(s, &s->calls[j]) && !s->calls[j].refused &&
			strcmp(s->calls[j].name, s->calls[i].name) == 0)
			return false;
	return true;
}

const char *sandbox_config_folder(const char *file)
{
	static char folder[PATH_MAX];
	const char *slash;

	if (!file)
		file = CONFIG_DEFAULT_FILE;
	slash = strrchr(file, '/');
	if (!slash)
		return ".";
	snprintf(folder, sizeof(folder), "%.*s", slash == file ? 1 : (int)(slash - file), file);
	return folder;
}

unsigned sandbox_count(const struct sandbox *s)
{
	struct sandbox narrow = *s;
	unsigned n = 0;

	narrow.conditions &= ~s->starting;
	for (size_t i = 0; i < s->n_calls; i++)
		n += sandbox_row_holds(&narrow, &s->calls[i]) && !s->calls[i].refused &&
		     is_first(&narrow, i);
	return n;
}

#ifdef FLOWNER_SANDBOX_NONE
/* A sanitizer makes calls of its own, at any time, and reads /proc when it reports. */
int sandbox_enter(const struct sandbox *s, struct sandbox_report *ret)
{
	(void)s;
	*ret = (struct sandbox_report){0};
	snprintf(ret->text, sizeof(ret->text),
		"no filter of system calls, no Landlock (built "
		"with " FLOWNER_SANDBOX_NONE ")");
	return 0;
}

int sandbox_narrow(const struct sandbox *s)
{
	(void)s;
	return 0;
}
#else
static void say_landlock(const struct sandbox *s, int version, char *text, size_t size)
{
	if (version > 0)
		snprintf(text, size, "Landlock (version %d) for files", version);
	else if (s->landlock == CONFIG_LANDLOCK_OFF)
		snprintf(text, size, "no Landlock (off)");
	else
		snprintf(text, size, "no Landlock (this kernel has none)");
}

static int as_bytes(const void *a, const void *b)
{
	return *(const char *)a - *(const char *)b;
}

/* What the C library asks the kernel once, and then remembers: how much memory qsort() may take. */
static void ask_once(void)
{
	char some[2048] = {0};

	qsort(some, sizeof(some), 1, as_bytes);
}

int sandbox_enter(const struct sandbox *s, struct sandbox_report *ret)
{
	char files[64];
	int r;

	*ret = (struct sandbox_report){0};
	ask_once();
	if (s->landlock != CONFIG_LANDLOCK_OFF) {
		r = sandbox_landlock(s);
		if (r < 0)
			return r;
		ret->landlock = r;
	}
	say_landlock(s, ret->landlock, files, sizeof(files));
	if (s->seccomp == CONFIG_SECCOMP_OFF) {
		snprintf(
			ret->text, sizeof(ret->text), "no filter of system calls (off), %s", files);
		return 0;
	}
	r = sandbox_seccomp(s);
	if (r < 0)
		return r;
	ret->calls = sandbox_count(s);
	snprintf(ret->text, sizeof(ret->text), "%u system calls, %s", ret->calls, files);
	return 0;
}

int sandbox_narrow(const struct sandbox *s)
{
	struct sandbox rest = *s;

	if (s->seccomp == CONFIG_SECCOMP_OFF)
		return 0;
	rest.conditions &= ~s->starting;
	return sandbox_seccomp(&rest);
}
#endif
