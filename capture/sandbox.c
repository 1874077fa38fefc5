/* SPDX-License-Identifier: Apache-2.0 */
/* What flowner-capture may still do once it captures. */
#include "capture/sandbox.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <linux/sockios.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum { LIVE = 1, FILE_READ = 2 };

static const struct sandbox_call calls[] = {
	{"ppoll", .why = "waits for packets, the consumer, signals and the next look at counters"},
	{"sendmsg", .why = "wakes the consumer; hands it the ring"},
	{"poll", LIVE, .arg = {SANDBOX_ARG(2, 0)}, .why = "libpcap looks for one more block"},
	{"getsockopt", LIVE, .arg = {SANDBOX_ARG(1, SOL_PACKET), SANDBOX_ARG(2, PACKET_STATISTICS)},
		.why = "the kernel's counts, once a second"},
	{"getsockopt", .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_PEERCRED)},
		.why = "which user asks for the ring"},
	{"getsockopt", LIVE, .arg = {SANDBOX_ARG(1, SOL_SOCKET), SANDBOX_ARG(2, SO_ERROR)},
		.why = "libpcap: why an interface has stopped"},
	{"clock_gettime", .why = "the time, where the vDSO cannot tell it"},
	{"pwritev2", .why = "log lines, readiness"},
	{"preadv2", .why = "signals, from their descriptor"},
	{"accept4", .why = "a consumer comes"},
	{"recvmsg", .why = "what the consumer wants left out of the tap; that it is gone"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, PERF_EVENT_IOC_ENABLE)},
		.why = "switches tap filters"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, PERF_EVENT_IOC_DISABLE)},
		.why = "switches tap filters"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, PERF_EVENT_IOC_SET_FILTER)},
		.why = "what the consumer wants left out of the tap"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, SIOCGIFNAME)},
		.why = "whether a stopped interface is still there"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, SIOCGIFFLAGS)},
		.why = "is the interface still up, or up at last"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, SIOCGIFHWADDR)},
		.why = "whether one that came back is of the kind it was"},
	{"ioctl", LIVE, .arg = {SANDBOX_ARG(1, SIOCGIFINDEX)},
		.why = "is it still there; is it back"},
	{"newfstatat", LIVE, .why = "whether a network namespace still has its name"},
	{"kill", LIVE, .arg = {SANDBOX_ARG(1, 0)},
		.why = "whether the process it was found by lives"},
	{"bind", LIVE,
		.why = "stops a packet socket whose filter is locked; ties it to an interface that "
		       "came back"},
	{"close", .why = "a consumer that is gone, a namespace, an interface"},
	{"munmap", .why = "the packet buffer of an interface that is gone"},
	{"exit_group", .why = "the end"},

	{"read", FILE_READ, .why = "libpcap reads the file through stdio"},
	{"lseek", FILE_READ, .why = "stdio asks where it is"},
	{"newfstatat", FILE_READ, .why = "stdio asks for the size of its buffer"},
	{"mmap", FILE_READ, .arg = {SANDBOX_ARG_WITHOUT(2, PROT_EXEC)},
		.why = "memory: libpcap's buffer grows with the file's packets"},

	/* Memory is taken before; what asks for more is told that there is none. */
	{"brk", LIVE | FILE_READ, .refused = true, .error = 0, .why = "malloc() asks first here"},
	{"mmap", LIVE, .refused = true, .error = ENOMEM, .why = "and then here"},
	{"setsockopt", LIVE, .refused = true, .error = EPERM,
		.why = "libpcap takes the buffer from a socket it closes; so does the kernel"},
	{"getsockname", LIVE, .refused = true, .error = EPERM,
		.why = "libpcap: is a stopped interface still there; ioctl() tells as well"},
	{"mremap", FILE_READ, .refused = true, .error = ENOMEM, .why = "realloc() copies then"},
};

void capture_sandbox(const struct config *c, bool file, struct sandbox *ret)
{
	*ret = (struct sandbox){.calls = calls,
		.n_calls = sizeof(calls) / sizeof(calls[0]),
		.conditions = file ? FILE_READ : LIVE,
		.seccomp = c->sandbox.seccomp,
		.landlock = c->sandbox.landlock};
}
