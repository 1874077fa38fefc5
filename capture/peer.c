/* SPDX-License-Identifier: Apache-2.0 */
/* The one consumer of capture's ring. */
#include "capture/peer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/tap-filter.h"
#include "config/handover.h"
#include "shm/cleanup.h"

int peer_listen(struct peer *p, const char *path, uid_t uid)
{
	*p = (struct peer){.listen_fd = -1, .fd = -1, .uid = uid};
	return handover_listen(path, uid, &p->listen_fd);
}

static void disconnect(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void peer_deinit(struct peer *p)
{
	disconnect(p);
	if (p->listen_fd >= 0)
		close(p->listen_fd);
	p->listen_fd = -1;
}

int peer_accept(struct peer *p, const struct peer_gift *gift)
{
	const struct handover_ring head = {.epoch = gift->epoch, .data_size = gift->data_size};
	_cleanup_close_ int fd = -1;
	int fds[RING_FDS], r;

	r = handover_accept(p->listen_fd, p->uid, &fd);
	if (r < 0)
		return r;
	/* Two consumers of one ring would release each other's frames. */
	disconnect(p);
	r = keeper_hand_over(gift->keeper, fd);
	if (r)
		return r < 0 ? r : PEER_E_OLDER;
	/* It knows nothing yet that would make up for what its predecessor wanted left out. */
	(void)tap_filter_apply(gift->tap, &(struct tap_filter){0});
	ring_producer_fds(gift->ring, fds);
	r = handover_send(fd, HANDOVER_RING, &head, sizeof(head), fds, RING_FDS);
	if (r == 0)
		r = netns_send(gift->netns, fd);
	if (r == 0)
		r = tap_send(gift->tap, fd);
	if (r == 0)
		r = handover_send(fd, HANDOVER_DONE, NULL, 0, NULL, 0);
	if (r < 0)
		return r;
	p->fd = take_fd(&fd);
	return 0;
}

int peer_check(struct peer *p, struct tap *tap)
{
	static struct handover_message m; /* large, and there is one peer */
	struct tap_filter f;
	int r = handover_recv(p->fd, &m);

	if (r == -EAGAIN)
		return 0;
	if (r == 0 && m.type == HANDOVER_FILTER) {
		memcpy(&f, m.payload, sizeof(f));
		(void)tap_filter_apply(tap, &f);
		return 0;
	}
	if (r == 0)
		handover_message_close(&m);
	disconnect(p);
	return r == -ECONNRESET ? PEER_E_GONE : PEER_E_TALKS;
}
