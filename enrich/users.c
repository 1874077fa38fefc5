/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of names by id, read from the two files. */
#include "enrich/users.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/transfer.h"

#define REFRESH_NS UINT64_C(1000000000)
#define GUESSES    64u

struct name {
	uint32_t id;
	uint32_t line;
	struct text *text;
};

struct names {
	char *path;
	struct stat was; /* zeroed = there was none */
	size_t n;
	struct name *name; /* by id, then line */
	/* By id: where one of its kind was found last. Few ids are asked for, all the time. */
	size_t guess[GUESSES];
};

struct lines {
	int fd;
	size_t at, len;
	char buf[4096];
};

struct users {
	uint64_t refresh_ns;
	struct names users, groups;
};

static void empty(struct names *t)
{
	for (size_t i = 0; i < t->n; i++)
		text_unref(t->name[i].text);
	free(t->name);
	t->name = NULL;
	t->n = 0;
	memset(t->guess, 0, sizeof(t->guess));
}

static int compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->line < y->line ? -1 : x->line > y->line;
}

/* "name:password:id:..." */
static bool parse(const char *line, struct name *ret)
{
	size_t len = strcspn(line, ":\n");
	const char *at = line + len;
	uint64_t id = 0;

	/* Comments, and what the name service would fill in. */
	if (!len || len > USERS_NAME_MAX || *at != ':' || strchr("#+-", *line))
		return false;
	at = strchr(at + 1, ':');
	if (!at || at[1] < '0' || at[1] > '9')
		return false;
	for (at++; *at >= '0' && *at <= '9' && id <= UINT32_MAX; at++)
		id = id * 10 + (uint64_t)(*at - '0');
	if (id >= UINT32_MAX || (*at != ':' && *at != '\n' && *at))
		return false;
	ret->id = (uint32_t)id;
	ret->text = text_new(line, len);
	return ret->text != NULL;
}

static bool grow(struct names *t, size_t *room)
{
	size_t more = *room ? *room * 2 : 64;
	struct name *bigger;

	if (t->n < *room)
		return true;
	bigger = realloc(t->name, more * sizeof(*bigger));
	if (!bigger)
		return false;
	t->name = bigger;
	*room = more;
	return true;
}

/* fgets(3), without what stdio calls beside reading. */
static bool next_line(struct lines *f, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size) {
		if (f->at == f->len) {
			ssize_t got = transfer_read(f->fd, f->buf, sizeof(f->buf), TRANSFER_HERE);

			f->at = 0;
			f->len = got > 0 ? (size_t)got : 0;
			if (!f->len)
				break;
		}
		line[n++] = f->buf[f->at++];
		if (line[n - 1] == '\n')
			break;
	}
	line[n] = '\0';
	return n > 0;
}

static void read_lines(struct names *t, struct lines *f)
{
	char line[2 * USERS_NAME_MAX];
	size_t room = 0;
	bool begins = true; /* a group's members may go on for long */

	while (t->n < USERS_MAX && next_line(f, line, sizeof(line))) {
		struct name name = {.line = (uint32_t)t->n};

		if (begins && parse(line, &name)) {
			if (!grow(t, &room)) {
				text_unref(name.text);
				break;
			}
			t->name[t->n++] = name;
		}
		begins = strchr(line, '\n') != NULL;
	}
	if (t->n)
		qsort(t->name, t->n, sizeof(*t->name), compare);
}

static bool same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static void load(struct names *t)
{
	struct lines f = {.fd = -1};
	struct stat st;

	if (stat(t->path, &st)) {
		memset(&st, 0, sizeof(st));
		if (same(&st, &t->was))
			return;
	} else if (same(&st, &t->was)) {
		return;
	}
	t->was = st;
	empty(t);
	/* Nothing but a file: a fifo would block. */
	if (S_ISREG(st.st_mode))
		f.fd = open(t->path, O_RDONLY | O_CLOEXEC);
	if (f.fd < 0)
		return;
	read_lines(t, &f);
	close(f.fd);
}

int users_new(const char *passwd, const char *group, struct users **ret)
{
	struct users *u = calloc(1, sizeof(*u));

	if (!u)
		return -ENOMEM;
	u->users.path = strdup(passwd);
	u->groups.path = strdup(group);
	if (!u->users.path || !u->groups.path) {
		users_free(u);
		return -ENOMEM;
	}
	load(&u->users);
	load(&u->groups);
	*ret = u;
	return 0;
}

void users_free(struct users *u)
{
	if (!u)
		return;
	empty(&u->users);
	empty(&u->groups);
	free(u->users.path);
	free(u->groups.path);
	free(u);
}

void users_refresh(struct users *u, uint64_t now_ns)
{
	if (now_ns - u->refresh_ns < REFRESH_NS)
		return;
	u->refresh_ns = now_ns;
	load(&u->users);
	load(&u->groups);
}

static struct text *find(struct names *t, uint32_t id)
{
	size_t *guess = &t->guess[id % GUESSES];
	size_t low = 0, high = t->n;

	if (id == UINT32_MAX)
		return NULL;
	if (*guess < high && t->name[*guess].id == id)
		return t->name[*guess].text;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (t->name[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == t->n || t->name[low].id != id)
		return NULL;
	*guess = low;
	return t->name[low].text;
}

struct text *users_user(struct users *u, uint32_t uid)
{
	return find(&u->users, uid);
}

struct text *users_group(struct users *u, uint32_t gid)
{
	return find(&u->groups, gid);
}
