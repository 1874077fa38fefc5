/* SPDX-License-Identifier: Apache-2.0 */
/* Capture's loop: packets from the sources into the ring, a batch at a time, counted. */
#include "capture/loop.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "capture/nap.h"
#include "config/log.h"
#include "config/notify.h"
#include "shm/journal.h"

#define BATCH          2048u /* packets between two commits at most */
#define FRAME_ROOM     2560u /* bytes of ring that one packet can need, padding included */
#define LOG_EVERY_NS   UINT64_C(10000000000)
#define DRAIN_NS       UINT64_C(1000000000) /* how long a stopping live capture waits for enrich */
#define STOP_MARGIN_NS UINT64_C(20000000)   /* beyond twice the batch timeout */
#define DEAF_NS        UINT64_C(200000000)  /* pause when a consumer cannot be served */
#define BACK_MS        200                  /* looks for interfaces that are gone */
#define RETRY_MS       100                  /* a loss that did not fit the ring yet */
#define FILE_WAIT_MAX  20                   /* ms between looks at a full ring */
#define END_BYTES      64u                  /* an end mark that nobody took is no news */
#define NS_PER_MS      UINT64_C(1000000)

_Static_assert(FRAME_ROOM > PACKET_CAPLEN_MAX + sizeof(struct packet_head) + 256, "a frame fits");

enum { FD_SIGNAL, FD_LISTEN, FD_PEER, FD_SOURCES };

struct state {
	struct loop *l;
	struct ledger *ledger;
	uint64_t published, full, bytes; /* of the batch that is not committed yet */
	uint64_t matching, dropping;     /* likewise, as the kernel counts */
	uint64_t orphaned;               /* likewise, of a killed run */
	uint64_t matched[LOOP_SOURCES_MAX], dropped[LOOP_SOURCES_MAX]; /* already in the ledger */
	bool leaving[LOOP_SOURCES_MAX];                                /* its namespace is gone */
	bool untidy;                                                   /* time to look for such */
	uint64_t next_ns,
		last_ns; /* CLOCK_MONOTONIC of the next, CLOCK_REALTIME of the last look */
	uint64_t lost_kernel, lost_ring;          /* not logged yet */
	uint64_t logged_ns, handed_ns, talked_ns; /* of the last lines about that */
	uint64_t deaf_ns;                         /* CLOCK_MONOTONIC until when consumers wait */
	uint64_t back_ns;                         /* and of the next look for what is gone */
	bool stop;                                /* a signal came */
	bool again;                               /* we are to be started again */
	bool more;                                /* a source has more packets ready */
	bool refused;                             /* a wrong user was logged */
	unsigned wait_ms;                         /* for a full ring */
	struct nap nap;
	uint64_t nap_ns; /* CLOCK_MONOTONIC until when sources are not listened to, or 0 */
	int error;
};

static void on_packet(void *arg, uint64_t t_ns, const struct packet_head *head, const void *bytes)
{
	struct state *s = arg;
	int r = ring_put(s->l->gift.ring, RING_FRAME_PACKET, 0, t_ns, 1, head, sizeof(*head), bytes,
		head->caplen);

	nap_saw(&s->nap, t_ns);
	if (r == 0) {
		s->published++;
		s->bytes += head->caplen;
	} else if (r == RING_E_FULL) {
		s->full++;
	} else {
		s->error = r;
	}
}

static void fill_batch(struct state *s, struct journal_batch *b)
{
	journal_add(b, s->ledger, LEDGER_capture_packets_matched, s->matching);
	journal_add(b, s->ledger, LEDGER_capture_packets_dropped, s->dropping);
	journal_add(b, s->ledger, LEDGER_capture_packets_orphaned, s->orphaned);
	journal_add(b, s->ledger, LEDGER_capture_packets_delivered, s->published + s->full);
	journal_add(b, s->ledger, LEDGER_capture_packets_published, s->published);
	journal_add(b, s->ledger, LEDGER_capture_packets_ring_full, s->full);
	journal_add(b, s->ledger, LEDGER_capture_bytes_published, s->bytes);
	s->lost_ring += s->full;
	s->lost_kernel += s->dropping;
	s->matching = s->dropping = s->orphaned = s->published = s->full = s->bytes = 0;
}

/* Makes the batch visible, and counts it: in one step for a reader of the ledgers, and for a kill.
 */
static void commit(struct state *s)
{
	struct journal_batch b = {.epoch = s->l->gift.epoch};
	int r = ring_prepare(s->l->gift.ring, &b.head);
	bool wake;

	if (r < 0) {
		s->error = r;
		return;
	}
	fill_batch(s, &b);
	ledger_begin(s->ledger);
	journal_prepare(s->ledger, &b);
	wake = ring_publish(s->l->gift.ring);
	journal_done(s->ledger);
	journal_apply(s->ledger);
	ledger_end(s->ledger);
	s->nap.head = b.head;
	r = wake ? ring_wake(s->l->gift.ring) : 0;
	if (r < 0)
		s->error = r;
	else if (r > 0)
		ledger_add(s->ledger, LEDGER_capture_wakeups, 1);
}

/* Whether ten seconds have passed since this was true for the last time. */
static bool is_due(uint64_t *last_ns)
{
	uint64_t now = daemon_monotonic_ns();

	if (*last_ns && now - *last_ns < LOG_EVERY_NS)
		return false;
	*last_ns = now;
	return true;
}

static void log_losses(struct state *s, bool now)
{
	if ((!s->lost_kernel && !s->lost_ring) || (!is_due(&s->logged_ns) && !now))
		return;
	if (s->lost_kernel)
		log_warning("lost %llu packets: the kernel's buffer was full (capture.buffer)",
			(unsigned long long)s->lost_kernel);
	if (s->lost_ring)
		log_warning("lost %llu packets: the ring to enrich was full (capture.ring)",
			(unsigned long long)s->lost_ring);
	s->lost_kernel = s->lost_ring = 0;
}

static void put_loss(struct state *s, enum ring_loss_stage stage, uint64_t count, uint64_t now)
{
	const struct ring_loss loss = {.stage = stage,
		.count = count,
		.packets = count,
		/* The clock may have been set back. */
		.first_ns = s->last_ns < now ? s->last_ns : now,
		.last_ns = now};
	int r = ring_put_loss(s->l->gift.ring, &loss, now);

	if (r < 0)
		s->error = r;
}

/* The tap's events of a CPU that was away are gone; all are opened anew by who started us. */
static void check_tap(struct state *s)
{
	const struct tap *t = s->l->gift.tap;

	if (s->again || !t->layout.live || !online_changed(&t->online, online_asleep_ns()))
		return;
	log_warning("CPUs have come or gone, or the machine slept: starting again to see all of "
		    "them");
	s->stop = s->again = true;
}

/* Reads the kernel's counters; its drops become a record in the ring. */
static void count(struct state *s)
{
	uint64_t now = daemon_realtime_ns(), lost = 0, used;

	if (ring_producer_used(s->l->gift.ring, &used) == 0)
		ledger_set(s->ledger, LEDGER_capture_ring_used, used);
	ledger_set(s->ledger, LEDGER_capture_buffer_size,
		s->l->file ? 0 : s->l->n_sources * s->l->daemon->config.capture.buffer);
	for (size_t i = 0; i < s->l->n_sources; i++) {
		uint64_t matched, dropped;

		if (source_count(s->l->source[i], &matched, &dropped) < 0)
			continue; /* the interface is gone: the last counts stand */
		s->matching += matched - s->matched[i];
		lost += dropped - s->dropped[i];
		s->matched[i] = matched;
		s->dropped[i] = dropped;
	}
	if (lost)
		put_loss(s, RING_LOSS_KERNEL, lost, now);
	s->dropping += lost;
	s->last_ns = now;
	commit(s);
}

/*
 * A killed run leaves counts that do not balance: packets the kernel had for it. They are lost, and
 * this says so. Without a supervisor that has kept its sockets only those are known that matched
 * before its last look.
 */
static void settle(struct state *s)
{
	uint64_t matched = ledger_get(s->ledger, LEDGER_capture_packets_matched);
	uint64_t known = ledger_get(s->ledger, LEDGER_capture_packets_delivered) +
			 ledger_get(s->ledger, LEDGER_capture_packets_dropped) +
			 ledger_get(s->ledger, LEDGER_capture_packets_orphaned);

	s->last_ns = daemon_realtime_ns();
	s->dropping = s->l->left_dropped;
	if (s->dropping)
		put_loss(s, RING_LOSS_KERNEL, s->dropping, s->last_ns);
	known += s->dropping;
	if (matched > known) {
		s->orphaned = matched - known;
		put_loss(s, RING_LOSS_CAPTURE, s->orphaned, s->last_ns);
		log_warning("lost %llu packets: the kernel had them for a capture that was killed",
			(unsigned long long)s->orphaned);
	} else {
		/* Delivered after the last look at the kernel's counter, so they did match. */
		s->matching = known - matched;
	}
	commit(s);
}

static void drop_source(struct state *s, size_t i)
{
	if (!s->l->file)
		keeper_forget_socket(source_fd(s->l->source[i]), s->l->gift.epoch);
	source_free(s->l->source[i]);
	for (size_t j = i; j + 1 < s->l->n_sources; j++) {
		s->l->source[j] = s->l->source[j + 1];
		s->matched[j] = s->matched[j + 1];
		s->dropped[j] = s->dropped[j + 1];
		s->leaving[j] = s->leaving[j + 1];
	}
	s->leaving[--s->l->n_sources] = false;
}

/*
 * Namespaces that only we still hold are let go, and with them what was captured there: at the next
 * look, when the last packets have come.
 */
static void tidy(struct state *s)
{
	uint16_t number;

	for (size_t i = s->l->n_sources; i; i--)
		if (s->leaving[i - 1])
			drop_source(s, i - 1);
	while (netns_tidy(s->l->netns, &number)) {
		struct missing gone = {0};

		for (size_t i = 0; i < s->l->n_sources; i++) {
			if (source_netns(s->l->source[i]) != number)
				continue;
			gone.netns = source_netns_name(s->l->source[i]);
			log_warning("%s: the network namespace is gone, ignoring this interface "
				    "from now on",
				source_name(s->l->source[i]));
			(void)source_stop(s->l->source[i]);
			s->leaving[i] = true;
		}
		/* Others may have its name. */
		if (gone.netns && s->l->n_missing < LOOP_SOURCES_MAX)
			s->l->missing[s->l->n_missing++] = gone;
	}
}

/*
 * Interfaces that came back. A source that cannot go on with it makes us end, to be started again.
 */
static void look_for_gone(struct state *s)
{
	for (size_t i = 0; i < s->l->n_sources; i++) {
		struct source *source = s->l->source[i];
		int r = source_gone(source) && !s->leaving[i] ? source_come_back(source)
							      : SOURCE_E_GONE;

		if (r == SOURCE_E_GONE)
			continue;
		if (r == 0) {
			log_info("%s: back again", source_name(source));
			continue;
		}
		log_warning("%s: back again, %s: starting again to capture on it",
			source_name(source), r < 0 ? strerror(-r) : "but of another kind");
		s->stop = s->again = true;
	}
	for (size_t i = 0; i < s->l->n_missing && !s->again; i++) {
		struct missing *m = &s->l->missing[i];

		if (!missing_is_there(m, s->l->netns, s->l->peer->listen_fd))
			continue;
		log_warning("%s%s%s: is there now: starting again to capture on it",
			m->netns_number || !m->interface ? m->netns : "",
			m->netns_number ? ":" : "", m->interface ? m->interface : "");
		s->stop = s->again = true;
	}
}

static bool any_gone(const struct state *s)
{
	if (s->l->n_missing)
		return true;
	for (size_t i = 0; i < s->l->n_sources; i++)
		if (source_gone(s->l->source[i]) && !s->leaving[i])
			return true;
	return false;
}

/* One batch of one source. */
static void dispatch(struct state *s, size_t i, unsigned max)
{
	struct source *source = s->l->source[i];
	unsigned n = 0;
	int r = source_dispatch(source, max, on_packet, s, &n);

	commit(s);
	if (r == 0) {
		s->more |= n >= max;
		return;
	}
	if (source_gone(source)) {
		log_warning("%s: %s: waiting for it to come back", source_name(source),
			source_why(source));
		count(s);
		return;
	}
	if (r == SOURCE_E_GONE)
		log_warning("%s: %s, ignoring %s", source_name(source), source_why(source),
			s->l->file ? "the rest of it" : "this interface from now on");
	count(s);
	if (s->l->file)
		ledger_set(s->ledger, LEDGER_capture_file_offset, source_file_size(source));
	drop_source(s, i);
}

static void serve(struct state *s, const struct pollfd fds[FD_SOURCES])
{
	int r, signal;

	while (fds[FD_SIGNAL].revents && (signal = daemon_read_signal(s->l->signal_fd)) > 0) {
		s->stop |= signal == SIGTERM || signal == SIGINT;
		if (signal == SIGUSR2)
			daemon_dump(s->l->daemon);
		if (signal == SIGHUP)
			log_info("what is captured is settled at the start: a changed "
				 "configuration counts once this is started again");
	}
	if (fds[FD_PEER].revents) {
		r = peer_check(s->l->peer, s->l->gift.tap);
		if (r == PEER_E_TALKS && is_due(&s->talked_ns))
			log_warning("the consumer of the ring sent something: disconnected");
	}
	if (fds[FD_LISTEN].revents) {
		r = peer_accept(s->l->peer, &s->l->gift);
		if (r == -EACCES && !s->refused) {
			log_warning("refused a consumer of the ring: not uid %u", s->l->peer->uid);
			s->refused = true; /* once: a stubborn one must not fill the log */
		} else if (r == PEER_E_OLDER) {
			log_info("handed over what is left in the ring of a killed run");
		} else if (r < 0 && r != -EACCES && r != -EAGAIN) {
			s->deaf_ns = daemon_monotonic_ns() + DEAF_NS; /* no use to ask at once */
			if (is_due(&s->handed_ns))
				log_warning("cannot hand over the ring: %s", strerror(-r));
		}
	}
}

static int timeout_ms(const struct state *s, uint64_t now)
{
	uint64_t next = s->deaf_ns > now && s->deaf_ns < s->next_ns ? s->deaf_ns : s->next_ns;
	uint64_t ms = next > now ? (next - now + NS_PER_MS - 1) / NS_PER_MS : 0;

	if (s->more)
		return 0;
	for (size_t i = 0; i < s->l->n_sources; i++)
		if (source_restless(s->l->source[i]) && ms > SOURCE_RECHECK_MS)
			ms = SOURCE_RECHECK_MS;
	if (ring_producer_pending_loss(s->l->gift.ring) && ms > RETRY_MS)
		ms = RETRY_MS;
	if (ms > BACK_MS && any_gone(s))
		ms = BACK_MS;
	if (s->wait_ms && ms > s->wait_ms)
		ms = s->wait_ms;
	if (s->nap_ns && s->nap_ns < now + ms * NS_PER_MS)
		ms = s->nap_ns > now ? (s->nap_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
	return (int)ms;
}

/* Waits for anything at all and serves signals, consumer and clock; @ready says which sources. */
static int wait_for(struct state *s, bool ready[LOOP_SOURCES_MAX])
{
	struct pollfd fds[FD_SOURCES + LOOP_SOURCES_MAX] = {
		[FD_SIGNAL] = {.fd = s->l->signal_fd, .events = POLLIN},
		[FD_LISTEN] = {.fd = s->l->peer->listen_fd, .events = POLLIN},
		[FD_PEER] = {.fd = s->l->peer->fd, .events = POLLIN},
	};
	uint64_t now = daemon_monotonic_ns();
	bool rested;
	size_t n;
	int r;

	if (now < s->deaf_ns)
		fds[FD_LISTEN].fd = -1;
	if (s->untidy) {
		tidy(s);
		s->untidy = false;
	}
	n = s->l->file ? 0 : s->l->n_sources;
	for (size_t i = 0; i < n; i++)
		fds[FD_SOURCES + i] =
			(struct pollfd){.fd = s->nap_ns || source_gone(s->l->source[i])
						      ? -1
						      : source_fd(s->l->source[i]),
				.events = POLLIN};
	r = daemon_poll(fds, FD_SOURCES + n, notify_alive(timeout_ms(s, now)));
	if (r < 0 && errno == EINTR)
		return 0;
	rested = s->nap_ns && daemon_monotonic_ns() >= s->nap_ns;
	s->nap_ns = rested ? 0 : s->nap_ns;
	/* Short of memory, as there is no other reason: looking at each source takes none. */
	for (size_t i = 0; ready && i < n; i++)
		ready[i] =
			fds[FD_SOURCES + i].revents ||
			(!source_gone(s->l->source[i]) &&
				(r < 0 || s->more || rested || source_restless(s->l->source[i])));
	s->more = false;
	if (r >= 0)
		serve(s, fds);
	now = daemon_monotonic_ns();
	if (now >= s->back_ns) {
		look_for_gone(s);
		s->back_ns = now + BACK_MS * NS_PER_MS;
	}
	if (now >= s->next_ns) {
		count(s);
		check_tap(s);
		s->untidy = true;
		log_losses(s, false);
		s->next_ns = now + s->l->interval_ns;
	}
	if (ring_producer_pending_loss(s->l->gift.ring))
		commit(s);
	return 0;
}

static int step_live(struct state *s)
{
	bool ready[LOOP_SOURCES_MAX] = {0};
	int r = wait_for(s, ready);

	/* Backwards: a source that ends makes the ones behind it move up. */
	for (size_t i = s->l->n_sources; r == 0 && i-- > 0;)
		if (ready[i])
			dispatch(s, i, BATCH);
	if (!s->more && !s->stop && !s->l->urgent &&
		nap_pays(&s->nap, s->l->batch_ns, s->l->gift.data_size))
		s->nap_ns = daemon_monotonic_ns() + s->l->batch_ns;
	return r ? r : s->error;
}

static int run_live(struct state *s)
{
	uint64_t until;
	int r = 0;

	while (r == 0 && !s->stop && s->l->n_sources)
		r = step_live(s);
	if (r == 0 && !s->l->n_sources) {
		log_error("no interface is left");
		return -ENODEV;
	}
	/* Nothing more comes in; what has come in is in a block that is closed within two timeouts.
	 */
	for (size_t i = 0; i < s->l->n_sources; i++)
		if (source_stop(s->l->source[i]) < 0)
			log_warning("%s: cannot be stopped, the last counts may be off, ignoring",
				source_name(s->l->source[i]));
	s->nap_ns = 0;
	until = daemon_monotonic_ns() + 2 * s->l->batch_ns + STOP_MARGIN_NS;
	while (r == 0 && (daemon_monotonic_ns() < until || s->more)) {
		s->next_ns = until;
		r = step_live(s);
	}
	count(s);
	commit(s);
	for (size_t i = 0; i < s->l->n_sources; i++)
		keeper_forget_socket(source_fd(s->l->source[i]), s->l->gift.epoch);
	return r ? r : s->error;
}

/* How many packets surely fit the ring, whatever their size. */
static unsigned room(struct state *s)
{
	uint64_t used, free;
	int r = ring_producer_used(s->l->gift.ring, &used);

	if (r < 0) {
		s->error = r;
		return 0;
	}
	free = (s->l->gift.data_size - used) / FRAME_ROOM;
	/* One more for the padding in front of the ring's end. */
	return free < 2 ? 0 : free - 1 < BATCH ? (unsigned)free - 1 : BATCH;
}

/* Longer and longer looks at a ring that is not emptied; nobody tells us when it is. */
static void back_off(struct state *s, bool waiting)
{
	s->wait_ms = !waiting ? 0 : s->wait_ms < FILE_WAIT_MAX ? s->wait_ms + 1 : FILE_WAIT_MAX;
}

static int run_file(struct state *s)
{
	int r = 0;

	ledger_set(s->ledger, LEDGER_capture_file_bytes, source_file_size(s->l->source[0]));
	while (r == 0 && !s->stop && s->l->n_sources) {
		unsigned n = room(s);

		if (n) {
			uint64_t at = source_file_offset(s->l->source[0]);

			ledger_set(s->ledger, LEDGER_capture_file_offset, at);
			dispatch(s, 0, n);
			if (s->l->n_sources)
				count(s);
		}
		back_off(s, !n);
		s->more = n > 0;
		r = wait_for(s, NULL);
		if (r == 0)
			r = s->error;
	}
	return r;
}

/* Puts the end mark, and waits until the consumer has taken everything; at a file's end for ever.
 */
static int finish(struct state *s)
{
	uint64_t until = daemon_monotonic_ns() + DRAIN_NS, used = 0;
	bool marked = false, ready[LOOP_SOURCES_MAX], patient = s->l->file && !s->stop;
	int r = 0;

	s->wait_ms = 0;
	while (r == 0) {
		if (!marked && room(s) > 0 && !ring_producer_pending_loss(s->l->gift.ring)) {
			r = ring_put(s->l->gift.ring, RING_FRAME_END, 0, daemon_realtime_ns(), 0,
				NULL, 0, NULL, 0);
			marked = r == 0;
			commit(s);
		}
		if (r == 0)
			r = ring_producer_used(s->l->gift.ring, &used);
		if (r < 0 || (marked && !used))
			break;
		if (patient ? s->stop : daemon_monotonic_ns() >= until || s->l->peer->fd < 0)
			break;
		s->more = false;
		s->next_ns = daemon_monotonic_ns() + DRAIN_NS;
		back_off(s, true);
		r = wait_for(s, ready);
		if (r == 0)
			r = s->error;
	}
	if (used > END_BYTES)
		log_warning("%llu bytes of the ring were not taken by a consumer",
			(unsigned long long)used);
	return r < 0 ? r : 0;
}

int loop_run(struct loop *l)
{
	struct state s = {.l = l, .ledger = &l->daemon->ledger};
	int r;

	ledger_set(s.ledger, LEDGER_capture_ring_size, l->gift.data_size);
	settle(&s);
	s.next_ns = daemon_monotonic_ns() + l->interval_ns;
	ledger_ready(s.ledger);
	notify_send("READY=1");
	r = l->file ? run_file(&s) : run_live(&s);
	notify_send("STOPPING=1");
	if (r == 0)
		r = finish(&s);
	log_losses(&s, true);
	if (r == -EPROTO)
		log_error("the consumer wrote an impossible index into the ring: giving it up");
	else if (r < 0 && r != -ENODEV)
		log_error("stopped by an error: %s", strerror(-r));
	log_info("stopped: %llu packets matched, %llu dropped by the kernel, %llu published, %llu "
		 "lost to a full ring",
		(unsigned long long)ledger_get(s.ledger, LEDGER_capture_packets_matched),
		(unsigned long long)ledger_get(s.ledger, LEDGER_capture_packets_dropped),
		(unsigned long long)ledger_get(s.ledger, LEDGER_capture_packets_published),
		(unsigned long long)ledger_get(s.ledger, LEDGER_capture_packets_ring_full));
	return r == 0 && s.again ? -ESTALE : r;
}
