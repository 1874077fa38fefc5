/* SPDX-License-Identifier: Apache-2.0 */
/* The table of words for methods, confidences and reasons. */
#include "shm/verdict.h"

#include <stddef.h>

#define COUNT(a) (sizeof(a) / sizeof(a[0]))

static const struct {
	const char *how;
	const char *probable; /* said of a probable owner found that way */
} methods[] = {
	[RECORD_METHOD_NONE] = {"not found", "probably"},
	[RECORD_METHOD_TAP_CONNECT] = {"seen in connect(2), before the first packet left",
		"probably: connected, one of several that have it"},
	[RECORD_METHOD_TAP_SEND] = {"seen sending, before the packet left",
		"probably: sends from that port"},
	[RECORD_METHOD_TAP_LISTEN] = {"seen in listen(2): its port, not who accepts",
		"probably: listens there"},
	[RECORD_METHOD_TAP_CLOSE] = {"seen closing the connection", "probably: closed it"},
	[RECORD_METHOD_SOCK_DIAG] = {"the kernel was asked whose the socket is",
		"probably: holds the socket of that port"},
	[RECORD_METHOD_SEED] = {"had the socket when flowner started",
		"probably: had the socket at the start"},
	[RECORD_METHOD_PROCFS] = {"found in /proc while it had the socket",
		"probably: holds the socket of that port"},
	[RECORD_METHOD_KERNEL] = {"the kernel's own socket, of no process", "probably"},
};

static const struct {
	const char *few;
	const char *meaning;
	const char *help;
} reasons[] = {
	[RECORD_UNKNOWN_NONE] = {"unknown", "No reason is known.", ""},
	[RECORD_UNKNOWN_REMOTE] = {"on another host", "That end is not on this host.", ""},
	[RECORD_UNKNOWN_NO_SOCKET] = {"no socket: gone before it could be asked",
		"It was gone when the kernel was asked, or never was, as where nothing listens.",
		"The tap sees sockets before their first packet."},
	[RECORD_UNKNOWN_NO_PROCESS] = {"socket seen, its process not found",
		"The kernel showed the socket, but not which process holds it.",
		"enrich.procfs: keep searches /proc for the holder."},
	[RECORD_UNKNOWN_TAP_LOST] = {"events were lost just then",
		"The kernel dropped events around that time, the owner's may be among them.",
		"Give enrich more CPU: it reads the events too late."},
	[RECORD_UNKNOWN_OLDER] = {"older than flowner",
		"The connection began before flowner did, and its socket was not found at the "
		"start.",
		"It ends with that connection."},
	[RECORD_UNKNOWN_OFFLINE] = {"from a capture file",
		"Packets of a file: who sent them is not in it.", ""},
	[RECORD_UNKNOWN_OFF] = {"no way to find owners is live",
		"Every tier that could tell is off or refused.", "See tiers, below."},
	[RECORD_UNKNOWN_AMBIGUOUS] = {"several processes could be meant",
		"Several processes could be meant, and nothing tells which.", ""},
	[RECORD_UNKNOWN_NETNS] = {"in a network namespace that cannot be asked",
		"The socket is in a network namespace that nobody here can ask.",
		"capture.netns names namespaces to open at the start."},
	[RECORD_UNKNOWN_RAW] = {"a raw socket, of several processes that send from such ones",
		"It came from a raw socket; several processes sent there from such ones just then.",
		""},
};

_Static_assert(COUNT(methods) == RECORD_METHODS, "every method has words");
_Static_assert(COUNT(reasons) == RECORD_UNKNOWNS, "every reason has words");

const char *verdict_method(enum record_method m)
{
	return methods[(unsigned)m < RECORD_METHODS ? m : RECORD_METHOD_NONE].how;
}

const char *verdict_remark(enum record_method m, enum record_confidence c)
{
	if (c == RECORD_CONFIDENCE_PROBABLE)
		return methods[(unsigned)m < RECORD_METHODS ? m : RECORD_METHOD_NONE].probable;
	return m == RECORD_METHOD_SEED ? "from the start-up sweep" : NULL;
}

const char *verdict_unknown(enum record_unknown u)
{
	return reasons[(unsigned)u < RECORD_UNKNOWNS ? u : RECORD_UNKNOWN_NONE].few;
}

const char *verdict_unknown_meaning(enum record_unknown u)
{
	return reasons[(unsigned)u < RECORD_UNKNOWNS ? u : RECORD_UNKNOWN_NONE].meaning;
}

const char *verdict_unknown_help(enum record_unknown u)
{
	return reasons[(unsigned)u < RECORD_UNKNOWNS ? u : RECORD_UNKNOWN_NONE].help;
}
