/* SPDX-License-Identifier: Apache-2.0 */
/* Rings that a supervisor holds for us over our death. */
#include "config/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/handover.h"
#include "config/notify.h"
#include "config/opened.h"
#include "config/privileges.h"

#define FIRST_FD 3 /* SD_LISTEN_FDS_START */
#define FDS_MAX  256
#define PREFIX   "ring-"
#define SOCKETS  "packets-"

static void forget(const char *name)
{
	char text[KEEPER_NAME_MAX + 32];

	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	(void)notify_send(text);
}

static void let_go(struct keeper *k, size_t i)
{
	forget(k->kept[i].name); /* lost: our next life finds it empty again */
	orphan_free(k->kept[i].ring);
	k->n--;
	memmove(&k->kept[i], &k->kept[i + 1], (k->n - i) * sizeof(k->kept[0]));
	k->tries = 0;
}

/* Which of a ring's descriptors this is, by its kind; -1 = none. */
static int kind_of(int fd)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fstat(fd, &st) < 0)
		return -1;
	if (S_ISSOCK(st.st_mode))
		return RING_FD_WAKE;
	return (flags & O_ACCMODE) == O_RDONLY ? RING_FD_DATA : RING_FD_CONTROL;
}

static void add(struct keeper *k, struct orphan *ring, const char *name)
{
	size_t i = k->n;

	while (i && orphan_epoch(k->kept[i - 1].ring) > orphan_epoch(ring))
		i--;
	memmove(&k->kept[i + 1], &k->kept[i], (k->n - i) * sizeof(k->kept[0]));
	k->kept[i].ring = ring;
	snprintf(k->kept[i].name, sizeof(k->kept[i].name), "%s", name);
	k->n++;
}

/* All descriptors of the name at @at, in whatever order; entries that were used become "". */
static void take(struct keeper *k, char *const names[], int at, int n)
{
	char name[KEEPER_NAME_MAX];
	int fds[RING_FDS] = {-1, -1, -1};
	struct orphan *ring;

	snprintf(name, sizeof(name), "%s", names[at]);
	for (int i = at; i < n; i++) {
		int kind;

		if (strcmp(names[i], name) != 0)
			continue;
		names[i][0] = '\0';
		kind = kind_of(FIRST_FD + i);
		if (kind >= 0 && fds[kind] < 0)
			fds[kind] = FIRST_FD + i;
		else
			close(FIRST_FD + i);
	}
	if (orphan_new(fds, &ring) == 0) {
		add(k, ring, name);
		if (k->n > KEEPER_RINGS) {
			k->given_up += orphan_waiting(k->kept[0].ring);
			let_go(k, 0);
		}
		return;
	}
	for (int i = 0; i < RING_FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static void take_socket(struct keeper *k, const char *name, int fd)
{
	if (k->n_sockets == KEEPER_SOCKETS) {
		close(fd);
		return;
	}
	k->socket[k->n_sockets].fd = fd;
	snprintf(k->socket[k->n_sockets].name, KEEPER_NAME_MAX, "%s", name);
	k->n_sockets++;
}

/* Cuts @text at its colons. */
static int split(char *text, char *names[FDS_MAX])
{
	int n = 0;

	for (char *next; text && n < FDS_MAX; text = next) {
		next = strchr(text, ':');
		if (next)
			*next++ = '\0';
		names[n++] = text;
	}
	return n;
}

/* The oldest ring with something left in it that somebody can read; NULL = none. */
static const struct orphan *next_ring(struct keeper *k)
{
	while (k->n) {
		const struct orphan *o = k->kept[0].ring;
		uint64_t waiting = orphan_waiting(o);
		bool stuck = k->tries && orphan_tail(o) == k->tail;

		if (waiting && !(stuck && k->tries >= KEEPER_TRIES)) {
			if (!stuck)
				k->tries = 0;
			return o;
		}
		k->given_up += waiting;
		let_go(k, 0);
	}
	return NULL;
}

/* The number in the variable @name, which is unset; 0 = none. */
static long number_of(const char *name)
{
	const char *text = getenv(name);
	long n = text ? strtol(text, NULL, 10) : 0;

	unsetenv(name);
	return n;
}

void keeper_open(struct keeper *k)
{
	/* Who can open all by itself takes nothing that one without any privilege may have sent. */
	const bool is_root = privileges_is_root();
	long pid = number_of("LISTEN_PID"), count = number_of("LISTEN_FDS");
	const char *list = getenv("LISTEN_FDNAMES");
	char *text = list ? strdup(list) : NULL;
	char *names[FDS_MAX];
	int n;

	*k = (struct keeper){.opened_fd = -1};
	unsetenv("LISTEN_FDNAMES");
	n = split(text, names);
	if (pid == (long)getpid() && count > 0 && n <= count) {
		for (int i = 0; i < n; i++)
			(void)fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC);
		for (int i = 0; i < n; i++)
			if (!strncmp(names[i], PREFIX, strlen(PREFIX)))
				take(k, names, i, n);
			else if (!strncmp(names[i], SOCKETS, strlen(SOCKETS)))
				take_socket(k, names[i], FIRST_FD + i);
			else if (!strcmp(names[i], OPENED_NAME) && k->opened_fd < 0 && !is_root)
				k->opened_fd = FIRST_FD + i;
	}
	free(text);
}

bool keeper_head(const void *arg, uint64_t epoch, uint64_t *ret_head)
{
	const struct keeper *k = arg;

	for (size_t i = 0; i < k->n; i++) {
		if (orphan_epoch(k->kept[i].ring) != epoch)
			continue;
		*ret_head = orphan_head(k->kept[i].ring);
		return true;
	}
	return false;
}

void keeper_tidy(struct keeper *k)
{
	(void)next_ring(k);
}

void keeper_deinit(struct keeper *k)
{
	for (size_t i = 0; i < k->n; i++)
		orphan_free(k->kept[i].ring);
	k->n = 0;
	for (size_t i = 0; i < k->n_sockets; i++)
		close(k->socket[i].fd);
	k->n_sockets = 0;
	if (k->opened_fd > 0)
		close(k->opened_fd);
	k->opened_fd = -1;
}

int keeper_save(const int fds[RING_FDS], uint64_t epoch)
{
	char text[KEEPER_NAME_MAX + 64];

	/* It must not look at the doorbell: the other end's death is when it is needed. */
	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=" PREFIX "%llu-%d",
		(unsigned long long)epoch, (int)getpid());
	return notify_send_fds(text, fds, RING_FDS);
}

int keeper_save_socket(int fd, uint64_t epoch)
{
	char text[KEEPER_NAME_MAX + 64];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDPOLL=0\nFDNAME=" SOCKETS "%llu-%d",
		(unsigned long long)epoch, fd);
	return notify_send_fds(text, &fd, 1);
}

void keeper_forget_socket(int fd, uint64_t epoch)
{
	char name[KEEPER_NAME_MAX];

	snprintf(name, sizeof(name), SOCKETS "%llu-%d", (unsigned long long)epoch, fd);
	forget(name);
}

void keeper_close_sockets(struct keeper *k)
{
	for (size_t i = 0; i < k->n_sockets; i++) {
		close(k->socket[i].fd);
		forget(k->socket[i].name);
	}
	k->n_sockets = 0;
}

int keeper_hand_over(struct keeper *k, int fd)
{
	const struct orphan *o = next_ring(k);
	struct handover_ring head;
	int r;

	if (!o)
		return 0;
	head = (struct handover_ring){.epoch = orphan_epoch(o), .data_size = orphan_size(o)};
	r = handover_send(fd, HANDOVER_RING, &head, sizeof(head), orphan_fds(o), RING_FDS);
	if (r == 0)
		r = handover_send(fd, HANDOVER_DONE, NULL, 0, NULL, 0);
	if (r < 0)
		return r;
	k->tail = orphan_tail(o);
	k->tries++;
	return 1;
}
