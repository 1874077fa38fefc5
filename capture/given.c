/* SPDX-License-Identifier: Apache-2.0 */
/* Packet sockets that another process has opened. */
#include "capture/given.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shm/cleanup.h"

enum { RAW, COOKED };

static const int *in_use; /* two descriptors, NULL = none */

/* Not hidden as all else is: libpcap is to find it before the C library's. */
__attribute__((visibility("default"))) int socket(int domain, int type, int protocol)
{
	if (domain != AF_PACKET || !in_use)
		return (int)syscall(SYS_socket, domain, type, protocol);
	return fcntl(in_use[(type & 0xf) == SOCK_DGRAM ? COOKED : RAW], F_DUPFD_CLOEXEC, 0);
}

int given_open(struct given *g, const char *name, const char *space, uint16_t netns)
{
	struct handover_source *e = &g->entry[g->n];
	_cleanup_close_ int raw = -1, cooked = -1;

	if (g->n == GIVEN_MAX)
		return -ENOSPC;
	if (strlen(name) >= sizeof(e->name))
		return -ENAMETOOLONG;
	/* Of no protocol: nothing comes in before libpcap binds it. */
	raw = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	cooked = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (raw < 0 || cooked < 0)
		return -errno;
	*e = (struct handover_source){.netns = netns};
	strcpy(e->name, name);
	strncpy(e->space, space, sizeof(e->space) - 1);
	g->fds[g->n][RAW] = take_fd(&raw);
	g->fds[g->n][COOKED] = take_fd(&cooked);
	g->n++;
	return 0;
}

int given_send(const struct given *g, int fd)
{
	for (size_t at = 0; at < g->n;) {
		int fds[HANDOVER_SOURCES_A_MESSAGE * HANDOVER_SOURCE_FDS];
		struct handover_sources m = {0};
		int r;

		for (; at < g->n && m.count < HANDOVER_SOURCES_A_MESSAGE; at++) {
			memcpy(&fds[m.count * HANDOVER_SOURCE_FDS], g->fds[at], sizeof(g->fds[at]));
			m.entry[m.count++] = g->entry[at];
		}
		r = handover_send(
			fd, HANDOVER_SOURCES, &m, sizeof(m), fds, m.count * HANDOVER_SOURCE_FDS);
		if (r < 0)
			return r;
	}
	return 0;
}

int given_take(struct given *g, struct handover_message *m)
{
	struct handover_sources sent;

	if (m->type != HANDOVER_SOURCES)
		return -EPROTO;
	memcpy(&sent, m->payload, sizeof(sent));
	if (g->n + sent.count > GIVEN_MAX)
		return -EPROTO;
	for (uint32_t i = 0; i < sent.count; i++, g->n++) {
		g->entry[g->n] = sent.entry[i];
		memcpy(g->fds[g->n], &m->fds[i * HANDOVER_SOURCE_FDS], sizeof(g->fds[0]));
	}
	m->n_fds = 0;
	return 0;
}

void given_close(struct given *g, size_t i)
{
	for (size_t j = 0; j < HANDOVER_SOURCE_FDS; j++) {
		if (g->fds[i][j] >= 0)
			close(g->fds[i][j]);
		g->fds[i][j] = -1;
	}
}

void given_deinit(struct given *g)
{
	for (size_t i = 0; i < g->n; i++)
		given_close(g, i);
	g->n = 0;
}

void given_use(const struct given *g, size_t i)
{
	in_use = g->fds[i];
}

void given_use_none(void)
{
	in_use = NULL;
}
