/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's protocol (shm/ring.c) with crashes, for spin: checked exhaustively by ring-model.
 *
 * One consumer, two lives of the producer (epochs 0 and 1). The producer of epoch 0 may be killed at
 * any step, the consumer CRASHES times. A frame is one slot of two words, written and read in two
 * steps each, so that a torn frame can be seen. Memory is sequentially consistent here: what each
 * ordering of ring.c forbids is a mutant below that does the two steps in the wrong order.
 *
 * Checked: no torn frame; published frames are delivered in order, each at least once, again only
 * from the tail on; lost frames are told in-band, exactly; no lost wake-up; the orphan ring is
 * drained before the next epoch; nothing deadlocks. A restarted consumer finds the ring again even
 * if the producer is dead, too: that is the supervisor's fd store.
 *
 * Mutants (-D):
 *   M_HEAD_FIRST        head published before the frame (no A/B)
 *   M_RELEASE_FIRST     tail released before the copy (no C/D)
 *   M_NO_RECHECK        consumer sleeps without looking at the head again (no G)
 *   M_CHECK_BEFORE_ASK  ... looks before it stores wake_at (E, G not sequentially consistent)
 *   M_WAKE_LOAD_FIRST   producer loads wake_at before it publishes (A, F likewise)
 *   M_WAKE_EXACT        wakes only if the head is wake_at, not when it crosses
 *   M_DRAIN_LATE        doorbell emptied after the request for the next wake-up
 *   M_NO_ROOM_CHECK     writes without looking at the tail
 *   M_SILENT_LOSS       a full ring drops without a loss record
 *   M_RESTART_AT_HEAD   a new consumer goes on at the head
 *   M_RELEASE_EARLY     tail moves before the frame has been dealt with
 *   M_NO_DRAIN          next epoch as soon as the producer is dead
 *   M_NO_LAST_LOOK      next epoch because the ring was empty before the producer died
 */
/* Small enough for all states in seconds; larger with -D on request. */
#ifndef SIZE
#define SIZE 2 /* slots */
#endif
#ifndef FRAMES
#define FRAMES 3 /* sent in epoch 0, more than fit */
#endif
#ifndef CRASHES
#define CRASHES 1 /* of the consumer */
#endif
#define EPOCHS 2
#define MAX    8 /* slots ever used in one epoch: frames and loss records */
#define LOSS   64 /* value LOSS + n: loss record for n frames */

byte head[EPOCHS], tail[EPOCHS], wake[EPOCHS]; /* wake 0 = never */
bit bell[EPOCHS], dead[EPOCHS];
byte w1[EPOCHS * SIZE], w2[EPOCHS * SIZE];

/* Ghosts: what should be there, what was delivered. */
byte shadow[EPOCHS * MAX], got[EPOCHS * MAX], expect[EPOCHS];
bit killed; /* the producer of epoch 0 */
byte crashes = CRASHES; /* the consumer may still die this often */
byte at_epoch; /* ring the consumer is attached to: survives it */

#define SLOT(e, i) (e) * SIZE + (i) % SIZE

/* A point where the producer of epoch 0 may be killed. */
#define DIE                                                                                        \
	if                                                                                         \
	:: e == 0 && !killed -> killed = 1; goto gone                                              \
	:: skip                                                                                    \
	fi

#ifdef M_HEAD_FIRST
#define EARLY_HEAD head[e] = pos + 1;
#else
#define EARLY_HEAD
#endif

#define WRITE(v)                                                                                   \
	d_step {                                                                                   \
		shadow[e * MAX + pos] = v;                                                         \
		EARLY_HEAD                                                                         \
		w1[SLOT(e, pos)] = v                                                               \
	};                                                                                         \
	DIE;                                                                                       \
	d_step {                                                                                   \
		w2[SLOT(e, pos)] = v;                                                              \
		pos++                                                                              \
	}

proctype producer(byte e; byte frames)
{
	byte pos, seq = 1, pending, w, old;

	do
	:: seq <= frames ->
		/* ring_put */
		if
#ifndef M_NO_ROOM_CHECK
		:: pos - tail[e] + 1 + (pending > 0 -> 1 : 0) > SIZE ->
#ifdef M_SILENT_LOSS
			skip
#else
			pending++
#endif
#endif
		:: else ->
			if
			:: pending > 0 -> WRITE(LOSS + pending); pending = 0
			:: else
			fi;
			WRITE(seq)
		fi;
		seq++;
		DIE;
		/* a batch is one frame or more */
		if
		:: seq <= frames -> goto more
		:: skip
		fi;
commit:
		/* ring_commit */
		if
		:: pending > 0 && pos - tail[e] + 1 <= SIZE -> WRITE(LOSS + pending); pending = 0
		:: else
		fi;
		old = head[e];
#ifdef M_WAKE_LOAD_FIRST
		w = wake[e];
		DIE;
#endif
		head[e] = pos;
		DIE;
#ifndef M_WAKE_LOAD_FIRST
		w = wake[e];
#endif
		if
#ifdef M_WAKE_EXACT
		:: w == pos && old < pos -> bell[e] = 1
#else
		:: old < w && w <= pos -> bell[e] = 1
#endif
		:: else
		fi;
more:		skip
	:: seq > frames && pending > 0 ->
		pos - tail[e] + 1 <= SIZE; /* stopping in good order: the last loss is told */
		goto commit
	:: seq > frames && pending == 0 -> break
	od;
	/* Idle for ever, or stops. Idle: only a lost wake-up can keep the consumer from all of it. */
	if
	:: tail[e] == pos
	:: skip
	fi;
gone:
	dead[e] = 1;
	if
	:: e == 0 -> run producer(1, 1)
	:: else
	fi
}

/* A point where the consumer may be killed. */
#define CRASH                                                                                      \
	if                                                                                         \
	:: crashes > 0 -> crashes--; goto restart                                                  \
	:: skip                                                                                    \
	fi

proctype consumer()
{
	byte e, cur, h, a, b, want, i;

restart:
	skip;
	d_step { e = at_epoch; cur = 0; h = 0; a = 0; b = 0; want = 0 };
#ifdef M_RESTART_AT_HEAD
	cur = head[e];
#else
	cur = tail[e];
#endif
	wake[e] = 0;
	bell[e] = 0;
next:	skip;
#ifdef M_NO_DRAIN
	if
	:: dead[e] -> goto drained
	:: else
	fi;
#endif
	h = head[e];
look:
	CRASH;
	if
	:: cur < h ->
#ifdef M_RELEASE_FIRST
		tail[e] = cur + 1;
#endif
		a = w1[SLOT(e, cur)];
		b = w2[SLOT(e, cur)];
		assert(a == b && a == shadow[e * MAX + cur]); /* no torn or stale frame */
#ifdef M_RELEASE_EARLY
		tail[e] = cur + 1;
#endif
		CRASH;
		d_step { /* deals with the frame: push to the next ring, or write */
			if
			:: got[e * MAX + cur] == 0 ->
				if
				:: a > LOSS -> expect[e] = expect[e] + a - LOSS
				:: else ->
					expect[e]++;
					assert(a == expect[e]) /* in order, no silent gap */
				fi
			:: else -> assert(cur >= tail[e]) /* again only from the tail on */
			fi;
			got[e * MAX + cur] = 1;
			cur++;
			a = 0;
			b = 0;
			h = 0
		};
		CRASH;
		if
		:: tail[e] = cur
		:: skip /* releases a batch later */
		fi;
		goto next
	:: else
	fi;
	tail[e] = cur;
	if
	:: dead[e] ->
#ifndef M_NO_LAST_LOOK
		h = head[e];
#endif
		if
		:: cur < h -> goto look
		:: else -> goto drained
		fi
	:: !dead[e]
	fi;
	/* ring_sleep */
	if
	:: want = cur + 1
	:: cur - tail[e] + 2 < SIZE -> want = cur + 2
	fi;
#ifdef M_CHECK_BEFORE_ASK
	h = head[e];
#endif
	wake[e] = want;
	CRASH;
#ifdef M_NO_RECHECK
	h = cur;
#else
#ifndef M_CHECK_BEFORE_ASK
	h = head[e];
#endif
#endif
#ifdef M_DRAIN_LATE
	bell[e] = 0;
#endif
	if
	:: h >= want -> wake[e] = 0; goto next
	:: else
	fi;
	/* poll(): the doorbell, the producer's hang-up, or a timeout when nothing else moves */
	if
	:: bell[e]
	:: dead[e]
	:: timeout -> assert(head[e] < want) /* no lost wake-up */
	fi;
	CRASH;
	/* ring_awake */
	wake[e] = 0;
#ifndef M_DRAIN_LATE
	bell[e] = 0;
#endif
	goto next;
drained:
	skip;
	d_step {
		i = 0;
		do
		:: i < head[e] -> assert(got[e * MAX + i]); i++ /* published: delivered */
		:: else -> break
		od;
		i = 0
	};
	/* Everything a producer sent that was not killed, or its loss. */
	assert(e == 0 && killed || expect[e] == (e == 0 -> FRAMES : 1));
	if
	:: e + 1 < EPOCHS -> at_epoch++; goto restart
	:: else
	fi
}

init
{
	atomic {
		run producer(0, FRAMES);
		run consumer()
	}
}
