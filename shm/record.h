/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Body of a RING_FRAME_RECORD: one connection event, as enrich knows it and sink formats it.
 *
 * A fixed part, then a string area; strings are {offset, length} into that area, not terminated,
 * raw bytes as the kernel gave them (formatters escape). The same struct is built by enrich, copied
 * into the ring up to its last used byte, copied out by sink and checked with record_check().
 *
 * Threads: any. Blocks: no. Logs: no. Errors: 0; positive RECORD_E_*.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_VERSION     3
#define RECORD_STRINGS_MAX 6144u /* bytes of string area; a longer value is cut and flagged */

enum record_event {
	RECORD_START = 1, /* connection opened */
	RECORD_INFO = 2,  /* still open: interim totals */
	RECORD_END = 3,   /* closed, see end_reason */
	RECORD_LOSS = 4,  /* not a connection: `loss` says what is missing here */
	/* One captured packet of a connection, for outputs that hold packets: see `packet`. */
	RECORD_PACKET = 5,
	/* Several ended connections of one process to one remote address and port: `connections`.
	 */
	RECORD_SUMMARY = 6,
};

enum record_direction {
	RECORD_DIRECTION_UNKNOWN = 0,
	RECORD_EGRESS = 1,  /* this host opened it */
	RECORD_INGRESS = 2, /* a peer opened it */
	RECORD_LOCAL = 3,   /* both ends are on this host */
};

/* Zeek's conn_state. */
enum record_state {
	RECORD_STATE_OTH = 0,
	RECORD_STATE_S0,
	RECORD_STATE_S1,
	RECORD_STATE_SF,
	RECORD_STATE_REJ,
	RECORD_STATE_S2,
	RECORD_STATE_S3,
	RECORD_STATE_RSTO,
	RECORD_STATE_RSTR,
	RECORD_STATE_RSTOS0,
	RECORD_STATE_RSTRH,
	RECORD_STATE_SH,
	RECORD_STATE_SHR,
	RECORD_STATES,
};

enum record_end_reason {
	RECORD_END_NONE = 0, /* not an end record */
	RECORD_END_SHUTDOWN, /* FIN both ways */
	RECORD_END_RESET,
	RECORD_END_REFUSED,
	RECORD_END_TIMEOUT,       /* idle */
	RECORD_END_FORCED,        /* flowner stopped */
	RECORD_END_EVICTED,       /* flow table full */
	RECORD_END_TCP_REUSE,     /* a new SYN on the same 5-tuple */
	RECORD_END_OWNER_CHANGED, /* another process uses the same 5-tuple (UDP) */
	RECORD_END_REASONS,
};

/* How an owner was found. */
enum record_method {
	RECORD_METHOD_NONE = 0,
	RECORD_METHOD_TAP_CONNECT, /* tracepoint in connect(2)'s context */
	RECORD_METHOD_TAP_SEND,    /* tracepoint in the sender's context (UDP) */
	RECORD_METHOD_TAP_LISTEN,  /* tracepoint in listen(2)'s context: owner of the listener */
	RECORD_METHOD_TAP_CLOSE,   /* tracepoint in the closing process's context */
	RECORD_METHOD_SOCK_DIAG,   /* sock_diag lookup joined with a known inode or cookie */
	RECORD_METHOD_SEED,        /* socket already there at start, found by the seeding sweep */
	RECORD_METHOD_PROCFS,      /* /proc fd search while the socket existed */
	RECORD_METHOD_KERNEL,      /* the kernel's own socket: NFS, tunnels; no process */
	RECORD_METHODS,
};

enum record_confidence {
	RECORD_CONFIDENCE_UNKNOWN = 0, /* no owner; `reason` says why */
	RECORD_CONFIDENCE_CGROUP_ONLY, /* uid and cgroup from the socket, no process */
	RECORD_CONFIDENCE_PROBABLE,    /* e.g. the listener's owner for an accepted socket */
	RECORD_CONFIDENCE_EXACT,
	RECORD_CONFIDENCES,
};

/* Why an owner is unknown. */
enum record_unknown {
	RECORD_UNKNOWN_NONE = 0,
	RECORD_UNKNOWN_REMOTE,     /* that end is not on this host */
	RECORD_UNKNOWN_NO_SOCKET,  /* no socket for the tuple when asked (gone or never there) */
	RECORD_UNKNOWN_NO_PROCESS, /* socket seen, its process not found */
	RECORD_UNKNOWN_TAP_LOST,   /* the kernel dropped perf records in this window */
	RECORD_UNKNOWN_OLDER,      /* connection older than flowner, not in the seed */
	RECORD_UNKNOWN_OFFLINE,    /* packets from a file */
	RECORD_UNKNOWN_OFF,        /* every tier that could tell is off or refused */
	RECORD_UNKNOWN_AMBIGUOUS,  /* several processes could be meant, nothing tells which */
	RECORD_UNKNOWN_NETNS,      /* in a network namespace that nobody here can ask */
	RECORD_UNKNOWN_RAW,        /* from a raw socket, several processes send from such ones */
	RECORD_UNKNOWNS,
};

/* What the payload is, as far as captured bytes tell. */
enum record_service {
	RECORD_SERVICE_NONE = 0,
	RECORD_SERVICE_DNS,
	RECORD_SERVICE_TLS,
	RECORD_SERVICE_QUIC,
	RECORD_SERVICES,
};

/* A string value: bytes off..off+len of the record's string area. len 0 = unknown. */
struct record_str {
	uint16_t off;
	uint16_t len;
};

/* What runs the container that a cgroup belongs to, as far as its path tells. */
enum record_runtime {
	RECORD_RUNTIME_NONE = 0, /* no container, or its cgroup does not tell */
	RECORD_RUNTIME_DOCKER,
	RECORD_RUNTIME_CONTAINERD,
	RECORD_RUNTIME_CRIO,
	RECORD_RUNTIME_PODMAN,
	RECORD_RUNTIME_LXC,
	RECORD_RUNTIME_NSPAWN,
	RECORD_RUNTIMES,
};

/* One local end's process and how sure we are of it. All zero = that end is remote or unknown. */
struct record_process {
	uint64_t start_ns;   /* CLOCK_REALTIME of its start; 0 = unknown. Identity = pid + start */
	uint64_t cgroup_id;  /* cgroup v2 id; 0 = unknown */
	uint64_t latency_ns; /* packet's timestamp -> owner known */
	uint64_t netns;      /* inode of its network namespace; 0 = unknown or flowner's own */
	uint64_t pidns;      /* inode of its pid namespace; 0 = unknown or flowner's own */
	uint32_t pid;        /* in flowner's pid namespace; 0 = unknown */
	uint32_t inner_pid;  /* in its own pid namespace; 0 = unknown, or the same as pid */
	uint32_t ppid;       /* at its fork; 0 = unknown */
	uint32_t sid;        /* session leader's pid; 0 = unknown */
	uint32_t tty;  /* controlling terminal, encoded as in /proc/PID/stat; 0 = none, unknown */
	uint32_t uid;  /* effective; UINT32_MAX = unknown */
	uint32_t gid;  /* effective; UINT32_MAX = unknown */
	uint32_t ruid; /* real; UINT32_MAX = unknown */
	uint32_t loginuid;  /* UINT32_MAX = never set, unknown */
	uint8_t method;     /* enum record_method */
	uint8_t confidence; /* enum record_confidence */
	uint8_t unknown;    /* enum record_unknown */
	uint8_t flags;      /* RECORD_PROCESS_* */
	uint8_t runtime;    /* enum record_runtime */
	uint8_t reserved[3];
	struct record_str name;   /* comm */
	struct record_str exe;    /* absolute path */
	struct record_str args;   /* argv, each followed by NUL, as in /proc/PID/cmdline */
	struct record_str cwd;    /* working directory, as its mount namespace calls it */
	struct record_str cgroup; /* path below the cgroup v2 root */
	struct record_str parent_name;
	struct record_str ancestors; /* see record_next_ancestor() */
	struct record_str user;      /* name of uid on this host */
	struct record_str group;     /* name of gid on this host */
	struct record_str unit;      /* systemd unit */
	struct record_str user_unit; /* unit of the user's systemd, if it is one's */
	struct record_str container; /* id, or name where the runtime has no ids */
	struct record_str pod;       /* Kubernetes pod's uid */
};

#define RECORD_PROCESS_ARGS_CUT    0x01 /* args were longer than what is here */
#define RECORD_PROCESS_EXE_DELETED 0x02 /* its file was gone when it was looked at */
#define RECORD_PROCESS_IN_TREE     0x04 /* descends from the command flowner was asked to run */
/* User and group were true a while before; nobody tells whether they have changed since. */
#define RECORD_PROCESS_IDS_UNCONFIRMED 0x08

#define RECORD_ANCESTORS_MAX 8u

enum record_flag {
	RECORD_FLAG_MIDSTREAM = 1 << 0,   /* first packet seen was not its first */
	RECORD_FLAG_UNCHANGED = 1 << 1,   /* nothing new since the last record of this flow */
	RECORD_FLAG_ORIG_BYTES = 1 << 2,  /* orig_bytes is known */
	RECORD_FLAG_RESP_BYTES = 1 << 3,  /* resp_bytes is known */
	RECORD_FLAG_LOSS_WINDOW = 1 << 4, /* packets were lost while this flow was open */
	RECORD_FLAG_ALL_PACKETS = 1
				  << 5, /* packet counts are all packets, not just captured ones */
	RECORD_FLAG_OFFLINE = 1 << 6,   /* from a capture file */
	RECORD_FLAG_REPORTED = 1 << 7,  /* an info record of this flow came before */
	RECORD_FLAG_KERNEL_BYTES = 1 << 8, /* byte counts are the kernel's own */
	RECORD_FLAG_DNS_ANSWERED = 1 << 9, /* dns_rcode is that of the last answer seen */
	RECORD_FLAG_IP_BYTES = 1 << 10,    /* *_ip_bytes are known */
	/* END: no START went before: it was over too soon (enrich.start_after), or is gathered. */
	RECORD_FLAG_UNANNOUNCED = 1 << 11,
};

#define RECORD_HISTORY_MAX 32

struct record {
	uint16_t version;
	uint8_t event;      /* enum record_event */
	uint8_t direction;  /* enum record_direction */
	uint8_t family;     /* 4 or 6 */
	uint8_t proto;      /* IPPROTO_* */
	uint8_t state;      /* enum record_state */
	uint8_t end_reason; /* enum record_end_reason */

	/* 1.. over the life of this installation's runtime directory, no repeats; PACKET: 0 */
	uint64_t seq;
	uint64_t epoch; /* names a run of enrich, later ones are larger; 0 = from a capture file */
	uint64_t flow_id; /* same in all records of a flow, unique per host and boot */
	uint64_t t_ns;    /* CLOCK_REALTIME of this event */
	uint64_t start_ns;
	uint64_t end_ns; /* time of the last packet, of TCP's INFO its own; start_ns <= end_ns */

	/* Addresses as 16 bytes, IPv4 as ::ffff:a.b.c.d; ports in host order (ICMP: type, code). */
	uint8_t orig_addr[16];
	uint8_t resp_addr[16];
	uint16_t orig_port;
	uint16_t resp_port;
	uint16_t vlan;  /* 0 = none */
	uint16_t flags; /* enum record_flag */

	/* Cumulative over the flow (SUMMARY: over its flows). */
	uint64_t orig_bytes; /* payload bytes, valid with RECORD_FLAG_ORIG_BYTES */
	uint64_t resp_bytes;
	uint64_t orig_packets; /* packets captured */
	uint64_t resp_packets;
	uint64_t orig_ip_bytes; /* IP headers and what they carry, of the packets captured */
	uint64_t resp_ip_bytes;
	/* Since this flow's previous record; the sum over all records = every packet logged. */
	uint64_t delta_packets; /* both ways */
	uint64_t delta_orig_packets;
	uint64_t delta_resp_packets;
	uint64_t delta_orig_bytes;
	uint64_t delta_resp_bytes;

	uint32_t ifindex;     /* 0 = unknown */
	uint32_t rtt_ns;      /* SYN -> SYN-ACK; 0 = unknown */
	uint32_t srtt_ns;     /* the kernel's smoothed one; 0 = unknown */
	uint32_t retransmits; /* by the kernel's count, of the local end; 0 = none, unknown */
	uint32_t connections; /* SUMMARY: how many; else 1 */
	uint64_t name_age_ns; /* since the answer that gave `name`, at start_ns */
	uint16_t dns_type;    /* of the question, 0 = none seen */
	uint8_t dns_rcode;    /* valid with RECORD_FLAG_DNS_ANSWERED */
	uint8_t service;      /* enum record_service */
	char history[RECORD_HISTORY_MAX]; /* Zeek's letters, NUL-padded */
	struct record_str ifname;
	struct record_str netns; /* network namespace it was seen in; empty = flowner's own */
	/*
	 * The name this host last resolved to the remote address (the responder's where both are
	 * local), raw bytes of the DNS message in its dotted form.
	 */
	struct record_str name;
	struct record_str server_name; /* TLS or QUIC SNI */
	struct record_str alpn;        /* the protocols offered, joined by commas */
	struct record_str dns_query;   /* the name asked for, dotted, of the last question seen */
	struct record_str dns_answers; /* addresses and names as text, joined by commas */

	/* RECORD_PACKET only: the bytes captured, `packet_len` of them on the wire, as `dlt`. */
	struct record_str packet;
	uint32_t packet_len;
	uint16_t dlt;        /* DLT_* of <pcap/dlt.h> */
	uint8_t packet_resp; /* sent by the responder */
	uint8_t reserved;

	struct record_process orig;
	struct record_process resp;

	/* RECORD_LOSS only. */
	uint32_t loss_stage;  /* enum ring_loss_stage */
	uint32_t strings_len; /* used bytes of `strings` */
	uint64_t loss_count;
	uint64_t loss_packets;
	uint64_t loss_first_ns;
	uint64_t loss_last_ns;

	char strings[RECORD_STRINGS_MAX];
};

/* Bytes of @r that travel: the fixed part and the used strings. */
static inline size_t record_size(const struct record *r)
{
	return offsetof(struct record, strings) + r->strings_len;
}

/*
 * Stores @len bytes as a string of @r. Longer than what is left: cut; returns false then.
 * *ret stays {0, 0} for an empty value.
 */
bool record_put_str(struct record *r, const void *bytes, size_t len, struct record_str *ret);

/* The bytes of a checked record's string. */
static inline const char *record_get_str(const struct record *r, struct record_str s)
{
	return r->strings + s.off;
}

/*
 * Walks the ancestors of a checked record's process, the parent first: "PID NAME" and a NUL each.
 * Returns the name at *pos (its length in *ret_len) and moves *pos behind it; NULL at the end.
 */
const char *record_next_ancestor(const struct record *r, struct record_str ancestors, size_t *pos,
	uint32_t *ret_pid, size_t *ret_len);

/* Positive results of record_check(). */
enum {
	RECORD_E_SIZE = 1, /* shorter than the fixed part, or not exactly record_size() */
	RECORD_E_VERSION,
	RECORD_E_VALUE,  /* an enum, family or time out of range */
	RECORD_E_STRING, /* a string points outside the string area, or its form is wrong */
};

/*
 * Validates a private copy of @len bytes received from a peer: afterwards every enum is in range,
 * every string inside the area, ancestors well-formed, history NUL-padded ASCII letters, start_ns
 * <= end_ns.
 */
int record_check(const struct record *r, size_t len);
/*
 * The same in parts, for who knows that a process is one it has checked before: all but the
 * processes, then each of them. What is checked of a process does not depend on where its strings
 * lie in the area.
 */
int record_check_flow(const struct record *r, size_t len);
int record_check_process(const struct record *r, const struct record_process *p);

/* Stable lower-case names, as they appear in output; "" never, NULL never for values in range. */
const char *record_event_name(enum record_event e);
const char *record_direction_name(enum record_direction d);
const char *record_state_name(enum record_state s);
const char *record_end_reason_name(enum record_end_reason e);
const char *record_method_name(enum record_method m);
const char *record_confidence_name(enum record_confidence c);
const char *record_unknown_name(enum record_unknown u);
const char *record_runtime_name(enum record_runtime r);
const char *record_service_name(enum record_service s); /* "" for NONE */
/* Where, and why: the values of the labels of flowner_dropped_total, too. */
const char *record_loss_stage_name(uint32_t stage);
const char *record_loss_reason_name(uint32_t stage);
