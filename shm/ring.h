/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock-free single-producer single-consumer ring of variable-length frames between two processes
 * that do not trust each other.
 *
 * Two segments (shm/segment.h): A holds the producer's page and the data, written by the producer
 * only; B holds the consumer's page, written by the consumer only. Indices are free-running 64-bit
 * byte counts. The producer publishes once per batch, the consumer copies frames out, validates
 * the copy, uses it, and releases.
 *
 * Threads: one thread per end. Blocks: never. Logs: never.
 * Errors: 0 ok; -errno fatal for this ring (drop it); positive RING_E_* must be handled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_MAGIC   UINT64_C(0x676e697268776f6c) /* "lowhring", little endian */
#define RING_VERSION 1

#define RING_ALIGN      8u            /* every frame starts and ends on this, bytes */
#define RING_DATA_MIN   (64u * 1024u) /* smallest data area, bytes */
#define RING_DATA_MAX   (1024u << 20) /* largest data area, bytes */
#define RING_BODY_MAX   8192u         /* largest frame body, bytes */
#define RING_PAGE       4096u         /* size of the producer's page and of segment B, bytes */
#define RING_CHECKPOINT 2048u         /* consumer's private words in segment B, bytes */
#define RING_WAKE_NEVER UINT64_MAX

/* What a frame carries. A value outside this list is a protocol error. */
enum ring_frame_type {
	RING_FRAME_PACKET = 1, /* struct packet_head + captured bytes (shm/packet.h) */
	RING_FRAME_LOSS = 2,   /* struct ring_loss */
	RING_FRAME_RECORD = 3, /* struct record (shm/record.h) */
	RING_FRAME_END = 4,  /* no body: the producer has stopped in good order, nothing follows */
	RING_FRAME_TIME = 5, /* no body: t_ns says how far the producer's clock has come */
};

/* Where in the pipeline something was lost, and what one unit of it is. */
enum ring_loss_stage {
	RING_LOSS_KERNEL = 1,      /* packets the kernel dropped before capture saw them */
	RING_LOSS_PACKET_RING = 2, /* packets that found the capture -> enrich ring full */
	RING_LOSS_RECORD_RING = 3, /* records that found the enrich -> sink ring full */
	RING_LOSS_TAP = 4,         /* perf records lost: owners may be missing, no packet is */
	RING_LOSS_FLOWS = 5,       /* packets of open flows, or in rings nobody kept, at a kill */
	/* From here on no packet is lost, but what could have been known about some. */
	RING_LOSS_NETLINK = 6,       /* overruns of netlink sockets, replies that made no sense */
	RING_LOSS_FLOW_TABLE = 7,    /* connections ended early: the flow table was full */
	RING_LOSS_PROCESS_CACHE = 8, /* processes forgotten early */
	RING_LOSS_NAME_CACHE = 9,    /* names forgotten early */
	RING_LOSS_AGGREGATES = 10,   /* windows of enrich.aggregate closed early */
	/* Sink's own: never in a ring. */
	RING_LOSS_OUTPUT = 11,  /* records that an output refused for good */
	RING_LOSS_INVALID = 12, /* records that failed validation */
	/* Capture's. */
	RING_LOSS_CAPTURE = 13, /* packets the kernel had for a capture that was killed */
	RING_LOSS_STAGES,
};

/* Body of RING_FRAME_LOSS: a counted gap, in-band, at the place in the stream where it happened. */
struct ring_loss {
	uint32_t stage;    /* enum ring_loss_stage */
	uint32_t reserved; /* 0 */
	uint64_t count;    /* packets or records, by stage */
	uint64_t packets;  /* packets these stood for (== count where the unit is a packet) */
	uint64_t first_ns; /* CLOCK_REALTIME of the first and of the last loss in this gap */
	uint64_t last_ns;
};

/* One frame as handed to the consumer: header fields already validated. */
struct ring_frame {
	enum ring_frame_type type;
	uint16_t flags;
	uint32_t len;  /* body length, bytes */
	uint64_t t_ns; /* CLOCK_REALTIME, ns */
	uint64_t pos;  /* index just behind this frame: what ring_release_to() takes */
};

/* Positive results. */
enum {
	RING_E_FULL = 1,  /* no room: the frame was counted as lost, the caller goes on */
	RING_E_EMPTY = 2, /* nothing to read now */
};

struct ring_producer;
struct ring_consumer;

/*
 * Makes a ring of @data_size bytes (a power of two in RING_DATA_MIN..RING_DATA_MAX), both segments
 * sealed and mode 0600, plus a doorbell (shm/doorbell.h) for wake-ups. @epoch names this ring's
 * life and is shown to the consumer; @loss_stage is what a full ring counts.
 * Returns 0, -EINVAL (size), or -errno of memfd_create, mmap, fcntl, open, socketpair.
 */
int ring_producer_new(size_t data_size, uint64_t epoch, enum ring_loss_stage loss_stage,
	struct ring_producer **ret);
/*
 * Tells the consumer what the producer's earlier lives put into their rings: packets, and records
 * that stand for so many.
 */
void ring_producer_set_before(struct ring_producer *p, uint64_t packets, uint64_t records);
/* Unmaps and closes. Takes NULL. The consumer may go on draining what was published. */
void ring_producer_free(struct ring_producer *p);

/*
 * Borrowed descriptors for the hand-over, in this order: segment A opened O_RDONLY, segment B
 * read-write, doorbell socket. They stay the producer's; the consumer gets duplicates through
 * SCM_RIGHTS.
 */
enum { RING_FD_DATA, RING_FD_CONTROL, RING_FD_WAKE, RING_FDS };
void ring_producer_fds(const struct ring_producer *p, int ret_fds[RING_FDS]);

/*
 * Appends one frame whose body is @head followed by @tail (either may be NULL with length 0).
 * Not visible before ring_commit(). If frames were lost since the last successful put, a
 * RING_FRAME_LOSS goes in front. @packets is how many packets the frame stands for, should it be
 * lost. Returns 0; RING_E_FULL (packets and records are counted, END and TIME carry nothing that
 * could be lost: try again); -EMSGSIZE body over RING_BODY_MAX; -EPROTO the consumer's index was
 * impossible, now or earlier: drop the ring.
 */
int ring_put(struct ring_producer *p, enum ring_frame_type type, uint16_t flags, uint64_t t_ns,
	uint64_t packets, const void *head, size_t head_len, const void *tail, size_t tail_len);

/*
 * Reports a loss the caller counted itself (kernel drops): the same in-band record. In a full ring
 * it waits with the other losses, summed by stage; it is never lost. Returns 0; -EINVAL stage or
 * zero count; -EPROTO as above.
 */
int ring_put_loss(struct ring_producer *p, const struct ring_loss *loss, uint64_t t_ns);

/*
 * Publishes everything put since the last commit and wakes the consumer if it asked to be woken at
 * or before the new head: at most one sendto(2), which never blocks. A pending loss that now fits
 * is published too. Returns 1 if a wake-up was sent, 0 if not, -EPROTO as above.
 */
int ring_commit(struct ring_producer *p);

/*
 * ring_commit() in three steps, for whoever has something to do with them. Prepare: what will be
 * the head. Publish: one store; true = the consumer is to be woken. Wake: 1 if it was; if the
 * kernel could not, the next publish asks for it again, new frames or none.
 */
int ring_prepare(struct ring_producer *p, uint64_t *ret_head);
bool ring_publish(struct ring_producer *p);
int ring_wake(struct ring_producer *p);

/* Bytes the consumer has not released yet, as the producer sees it; -EPROTO as above. */
int ring_producer_used(struct ring_producer *p, uint64_t *ret_used);
/* Units of loss, all stages, not yet put in-band (0 = the stream is complete up to here). */
uint64_t ring_producer_pending_loss(const struct ring_producer *p);

/*
 * Attaches to a ring received from a peer. Checks seals, sizes, modes, magic, version and geometry,
 * maps A read-only and B read-write, and goes on at the tail stored in B. Takes ownership of @fds
 * on success only. Returns 0, -EPROTO (not such a ring, or an impossible index), or -errno.
 * System calls: fcntl, fstat, getsockopt, mmap, munmap, recvfrom.
 */
int ring_consumer_new(const int fds[RING_FDS], struct ring_consumer **ret);
void ring_consumer_free(struct ring_consumer *c);

uint64_t ring_consumer_epoch(const struct ring_consumer *c);
/* What earlier rings held, as the producer says. */
uint64_t ring_consumer_before(const struct ring_consumer *c); /* packets */
uint64_t ring_consumer_before_records(const struct ring_consumer *c);
/* Poll this for POLLIN. */
int ring_consumer_wake_fd(const struct ring_consumer *c);

/*
 * Copies the next frame's body into @buf (at least RING_BODY_MAX bytes) and moves the private
 * cursor behind it; nothing is released. Returns 0, RING_E_EMPTY, or -EPROTO: the producer wrote an
 * impossible index or header, now or earlier; drop the ring. *ret is undefined unless 0. The body
 * of a packet or record is the peer's word: the caller checks the copy.
 */
int ring_get(struct ring_consumer *c, void *buf, struct ring_frame *ret);

/*
 * Just after attaching: a predecessor has used everything up to @pos, and died before it could
 * release that. An index that is impossible changes nothing.
 */
void ring_skip_to(struct ring_consumer *c, uint64_t pos);

/* Gives everything up to the cursor, or up to @pos (from struct ring_frame), back to the producer.
 */
void ring_release(struct ring_consumer *c);
void ring_release_to(struct ring_consumer *c, uint64_t pos);

/*
 * Asks for a wake-up once at least @bytes are waiting behind the cursor (1 = anything at all).
 * Returns true if the caller may now sleep in poll() on the wake fd; false if that much is already
 * there, or if the ring is broken (ring_get() says so). The producer wakes once per such request.
 * More than half a ring counts as half a ring: a full one always wakes. Release first.
 */
bool ring_sleep(struct ring_consumer *c, uint64_t bytes);
/* After the sleep, woken or timed out: withdraws the request and empties the doorbell. */
void ring_awake(struct ring_consumer *c);

/* The cursor: just after attaching, the tail at which the predecessor stopped. */
uint64_t ring_consumer_pos(const struct ring_consumer *c);
/* Bytes published behind the cursor; data size. */
uint64_t ring_consumer_waiting(struct ring_consumer *c);
uint64_t ring_consumer_size(const struct ring_consumer *c);

/*
 * RING_CHECKPOINT private bytes in segment B that survive the consumer's death with the tail: the
 * next consumer finds what this one stored. The producer never reads them, but a compromised one
 * could have forged them before this consumer attached: copy them out once, then check.
 */
void *ring_consumer_checkpoint(struct ring_consumer *c);
