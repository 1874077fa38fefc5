/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of counters: for each its place in a ledger, its metric, labels and meaning.
 *
 * `flowner status`, its JSON, the dump on SIGUSR2 and the Prometheus text all come from here.
 *
 * Threads: none; constants. Blocks: no. Logs: no.
 */
#pragma once

/* X(family, type, metric without "flowner_", help). One HELP and TYPE each; types: ledger_type. */
#define LEDGER_FAMILIES(X)                                                                         \
	X(STARTS, COUNTER, "starts_total", "Times a program has started.")                         \
	X(MATCHED, COUNTER, "capture_packets_total",                                               \
		"Packets that matched the capture filter, as the kernel counts them.")             \
	X(DELIVERED, COUNTER, "capture_delivered_packets_total",                                   \
		"Packets that libpcap delivered to capture.")                                      \
	X(CAPTURED, COUNTER, "capture_published_packets_total",                                    \
		"Packets that capture put into the packet ring.")                                  \
	X(CAPTURED_BYTES, COUNTER, "capture_published_bytes_total",                                \
		"Captured bytes that capture put into the packet ring.")                           \
	X(DROPPED, COUNTER, "dropped_total",                                                       \
		"Packets that are in no record, by the stage that lost them.")                     \
	X(RECORDS_DROPPED, COUNTER, "dropped_records_total",                                       \
		"Records that are in no output, by the stage that lost them.")                     \
	X(WAKEUPS, COUNTER, "wakeups_total", "Wake-ups sent to a program by the one before it.")   \
	X(FILE_SIZE, GAUGE, "capture_file_size_bytes", "Size of the capture file being read.")     \
	X(FILE_READ, GAUGE, "capture_file_read_bytes", "Bytes of the capture file read so far.")   \
	X(TIERS, STATE, "tier_live", "1 while a way to learn owners works, else 0.")               \
	X(TAP_LIVE, BITS, "tap_events_live", "Live events of the tap.")                            \
	X(NETNS, GAUGE, "netns",                                                                   \
		"Other network namespaces: whose sockets can be asked for, and missed ones.")      \
	X(READ, COUNTER, "enrich_packets_total", "Packets that enrich took from the packet ring.") \
	X(ACCOUNTED, COUNTER, "enrich_accounted_packets_total",                                    \
		"Packets by what enrich made of them.")                                            \
	X(OPEN, GAUGE, "enrich_open_packets", "Packets of open connections, not yet in a record.") \
	X(PUBLISHED, COUNTER, "enrich_records_total",                                              \
		"Records that enrich put into the record ring.")                                   \
	X(RECORDS_FILTERED, COUNTER, "enrich_filtered_records_total",                              \
		"Records outside the command's process tree.")                                     \
	X(SEQUENCE, GAUGE, "enrich_sequence", "Last sequence number given to a record.")           \
	X(FLOWS_STARTED, COUNTER, "flows_started_total", "Connections opened.")                    \
	X(FLOWS_ENDED, COUNTER, "flows_ended_total", "Connections ended.")                         \
	X(EVICTED, COUNTER, "evicted_total", "Entries that left a full table early.")              \
	X(ENTRIES, GAUGE, "table_entries", "Entries of a table.")                                  \
	X(AGGREGATED, COUNTER, "aggregated_flows_total",                                           \
		"Ended connections that became part of a summary.")                                \
	X(OWNERS_ASKED, COUNTER, "ends_total",                                                     \
		"Ends of connections, of which the local ones have an owner.")                     \
	X(OWNERS_REMOTE, COUNTER, "remote_ends_total",                                             \
		"Ends of connections that are not on this host.")                                  \
	X(OWNERS, COUNTER, "owners_total",                                                         \
		"Local ends of connections, by how the owner was found.")                          \
	X(OWNERS_TAP, COUNTER, "owners_tap_total", "Owners found by any of the tap's events.")     \
	X(CONFIDENCE, COUNTER, "owners_confidence_total", "Owners found, by how sure that is.")    \
	X(UNKNOWN, COUNTER, "owners_unknown_total", "Local ends without an owner, by the reason.") \
	X(TAP_RECORDS, COUNTER, "tap_records_total", "Perf records read.")                         \
	X(TAP_LOST, COUNTER, "tap_lost_total", "Perf records that the kernel dropped.")            \
	X(TAP_MALFORMED, COUNTER, "tap_malformed_total", "Perf records that made no sense.")       \
	X(DIAG_REQUESTS, COUNTER, "diag_requests_total", "Look-ups by sock_diag.")                 \
	X(DIAG_ERRORS, COUNTER, "diag_errors_total",                                               \
		"Replies of sock_diag that made no sense, or were dropped.")                       \
	X(TIERS_LIVE, BITS, "tiers_live", "How many ways to learn owners work.")                   \
	X(RESOLVE, BUCKET, "resolve_seconds",                                                      \
		"From a packet's time stamp to its owner being known.")                            \
	X(RESOLVE_SUM, SUM, "resolve_seconds", "")                                                 \
	X(CLOSED, COUNTER, "closed_sockets_total", "Closed sockets that the kernel told of.")      \
	X(CLOSED_OVERRUNS, COUNTER, "closed_overruns_total",                                       \
		"Times the kernel dropped such messages.")                                         \
	X(CONNECTOR_OVERRUNS, COUNTER, "connector_overruns_total",                                 \
		"Times the kernel dropped messages of the process connector.")                     \
	X(FIGURES_ASKED, COUNTER, "figures_asked_total",                                           \
		"Connections whose byte counts the kernel was asked for.")                         \
	X(FIGURES_LATE, COUNTER, "figures_late_total",                                             \
		"Connections that ended without a trusted byte count.")                            \
	X(RING_USED, GAUGE, "ring_used_bytes",                                                     \
		"Bytes waiting in a ring, when its producer last looked.")                         \
	X(RING_SIZE, GAUGE, "ring_size_bytes", "Bytes of a ring.")                                 \
	X(BUFFER_SIZE, GAUGE, "capture_buffer_size_bytes",                                         \
		"Kernel memory for packets that capture has not read yet.")                        \
	X(TOLD, COUNTER, "told_losses_total",                                                      \
		"Losses, not of packets, that a loss record has told of.")                         \
	X(SINK_READ, COUNTER, "sink_records_total",                                                \
		"Records that sink took from the record ring.")                                    \
	X(WRITTEN, COUNTER, "written_records_total",                                               \
		"Records written to every output that wants them.")                                \
	X(WRITTEN_PACKETS, COUNTER, "written_packets_total",                                       \
		"Packets stood for by written records.")                                           \
	X(WRITTEN_BYTES, COUNTER, "written_bytes_total", "Bytes written over all outputs.")        \
	X(WRITES, COUNTER, "writes_total", "Write operations started.")                            \
	X(WRITE_ERRORS, COUNTER, "write_errors_total",                                             \
		"Write operations that failed and were tried again.")                              \
	X(URING, GAUGE, "io_uring", "1 while io_uring is in use, 0 with plain writes.")            \
	X(EXCLUDED, COUNTER, "excluded_records_total",                                             \
		"Records that the rules of every output leave out.")                               \
	X(EXCLUDED_PACKETS, COUNTER, "excluded_packets_total",                                     \
		"Packets stood for by excluded records.")                                          \
	X(FILES, COUNTER, "files_total", "Files that were rotated, compressed, removed.")          \
	X(FILE_ERRORS, COUNTER, "file_errors_total",                                               \
		"Rotations, compressions and removals that failed.")                               \
	X(OUTPUT_RECORDS, COUNTER, "output_records_total",                                         \
		"Lines, or packets, formatted for one output.")                                    \
	X(OUTPUT_BYTES, COUNTER, "output_bytes_total", "Bytes written to one output.")             \
	X(OUTPUT_ERRORS, COUNTER, "output_errors_total",                                           \
		"Writes to one output that failed and were tried again.")

#define LEDGER_LABEL(k, v)          #k "=\"" #v "\""
#define LEDGER_LABELS(k, v, k2, v2) LEDGER_LABEL(k, v) "," LEDGER_LABEL(k2, v2)

/* X(name, family, labels, help). Order is the file's layout: append only within a LEDGER_VERSION.
 */
#define LEDGER_CAPTURE(X)                                                                          \
	X(capture_epoch, STARTS, LEDGER_LABEL(program, capture), "times capture has started")      \
	X(capture_packets_matched, MATCHED, "",                                                    \
		"packets that matched the filter, as the kernel counts them")                      \
	X(capture_packets_dropped, DROPPED, LEDGER_LABELS(stage, kernel, reason, buffer_full),     \
		"of these, dropped by the kernel: capture did not keep up")                        \
	X(capture_packets_delivered, DELIVERED, "", "packets libpcap delivered")                   \
	X(capture_packets_published, CAPTURED, "", "packets put into the ring to enrich")          \
	X(capture_packets_ring_full, DROPPED, LEDGER_LABELS(stage, packet_ring, reason, full),     \
		"packets lost because that ring was full")                                         \
	X(capture_bytes_published, CAPTURED_BYTES, "", "captured bytes put into the ring")         \
	X(capture_wakeups, WAKEUPS, LEDGER_LABEL(program, enrich), "wake-ups sent to enrich")      \
	X(capture_file_bytes, FILE_SIZE, "", "size of the capture file being read")                \
	X(capture_file_offset, FILE_READ, "", "bytes of it read so far")                           \
	X(capture_tap, TIERS, LEDGER_LABELS(program, capture, tier, tap),                          \
		"state of the tap: enum ledger_tier")                                              \
	X(capture_tap_events, TAP_LIVE, "",                                                        \
		"its live events, a bit mask in the order of enum tap_event")                      \
	X(capture_netns, NETNS, LEDGER_LABEL(state, open),                                         \
		"other network namespaces whose sockets enrich can ask for")                       \
	X(capture_netns_missed, NETNS, LEDGER_LABEL(state, missed),                                \
		"network namespaces beyond the bound, or not to be entered")                       \
	X(capture_ring_used, RING_USED, LEDGER_LABEL(ring, packets),                               \
		"bytes waiting in the ring to enrich, when last looked at")                        \
	X(capture_ring_size, RING_SIZE, LEDGER_LABEL(ring, packets), "bytes of that ring")         \
	X(capture_buffer_size, BUFFER_SIZE, "",                                                    \
		"kernel memory for packets not yet read, of all capture handles")                  \
	X(capture_packets_orphaned, DROPPED, LEDGER_LABELS(stage, capture, reason, killed),        \
		"packets that the kernel had for a capture that was killed")

#define LEDGER_ENRICH(X)                                                                           \
	X(enrich_epoch, STARTS, LEDGER_LABEL(program, enrich), "times enrich has started")         \
	X(enrich_packets_read, READ, "", "packets taken from the ring")                            \
	X(enrich_packets_logged, ACCOUNTED, LEDGER_LABEL(account, logged),                         \
		"packets stood for by published records")                                          \
	X(enrich_packets_open, OPEN, "", "packets of open flows, not yet in a record")             \
	X(enrich_packets_duplicate, ACCOUNTED, LEDGER_LABEL(account, duplicate),                   \
		"the same packet seen on a second interface")                                      \
	X(enrich_packets_late, ACCOUNTED, LEDGER_LABEL(account, late),                             \
		"packets of a connection whose end was already logged")                            \
	X(enrich_packets_fragment, ACCOUNTED, LEDGER_LABEL(account, fragment),                     \
		"non-first IP fragments: no ports, no flow")                                       \
	X(enrich_packets_other, ACCOUNTED, LEDGER_LABEL(account, other),                           \
		"packets without an IP header or without a flow")                                  \
	X(enrich_packets_malformed, ACCOUNTED, LEDGER_LABEL(account, malformed),                   \
		"packets with an impossible or cut header")                                        \
	X(enrich_packets_lost, DROPPED, LEDGER_LABELS(stage, record_ring, reason, full),           \
		"packets stood for by records lost to a full record ring")                         \
	X(enrich_records_published, PUBLISHED, "", "records put into the ring to sink")            \
	X(enrich_records_lost, RECORDS_DROPPED, LEDGER_LABELS(stage, record_ring, reason, full),   \
		"records lost because that ring was full")                                         \
	X(enrich_records_filtered, RECORDS_FILTERED, "",                                           \
		"records not wanted: outside the command's process tree")                          \
	X(enrich_packets_filtered, ACCOUNTED, LEDGER_LABEL(account, filtered),                     \
		"packets these stood for")                                                         \
	X(enrich_seq, SEQUENCE, "", "last sequence number given to a record")                      \
	X(enrich_flows_started, FLOWS_STARTED, "", "flows opened")                                 \
	X(enrich_flows_ended, FLOWS_ENDED, "", "flows ended")                                      \
	X(enrich_flows_evicted, EVICTED, LEDGER_LABEL(table, flows),                               \
		"of these, ended because the flow table was full")                                 \
	X(enrich_processes, ENTRIES, LEDGER_LABEL(table, processes),                               \
		"processes in the process cache")                                                  \
	X(enrich_processes_evicted, EVICTED, LEDGER_LABEL(table, processes),                       \
		"processes evicted from the full process cache")                                   \
	X(enrich_owners_asked, OWNERS_ASKED, "", "ends of connections asked for")                  \
	X(enrich_owners_remote, OWNERS_REMOTE, "", "of these, not on this host")                   \
	X(enrich_owners_tap, OWNERS_TAP, "", "owners from the kernel's tracepoints")               \
	X(enrich_owners_diag, OWNERS, LEDGER_LABEL(method, sock_diag),                             \
		"owners from sock_diag joined with a known socket")                                \
	X(enrich_owners_seed, OWNERS, LEDGER_LABEL(method, seed),                                  \
		"owners from the start-up sweep")                                                  \
	X(enrich_owners_procfs, OWNERS, LEDGER_LABEL(method, procfs),                              \
		"owners from a /proc search")                                                      \
	X(enrich_owners_cgroup, OWNERS, LEDGER_LABEL(method, cgroup_only),                         \
		"only uid and cgroup known")                                                       \
	X(enrich_owners_unknown, OWNERS, LEDGER_LABEL(method, unknown), "owner unknown")           \
	X(enrich_tap_events, TAP_RECORDS, "", "perf records read")                                 \
	X(enrich_tap_lost, TAP_LOST, "", "perf records the kernel dropped")                        \
	X(enrich_tap_malformed, TAP_MALFORMED, "", "perf records that made no sense")              \
	X(enrich_diag_requests, DIAG_REQUESTS, "", "sock_diag lookups")                            \
	X(enrich_diag_errors, DIAG_ERRORS, "",                                                     \
		"sock_diag replies that made no sense, or overruns")                               \
	X(enrich_wakeups, WAKEUPS, LEDGER_LABEL(program, sink), "wake-ups sent to sink")           \
	X(enrich_tiers, TIERS_LIVE, "",                                                            \
		"live owner tiers, a bit mask: 1 tap, 2 sock_diag, 4 seed, 8 procfs")              \
	X(enrich_packets_orphaned, DROPPED, LEDGER_LABELS(stage, flows, reason, killed),           \
		"packets of open flows, or in rings nobody kept, at a kill")                       \
	X(enrich_owners_kernel, OWNERS, LEDGER_LABEL(method, kernel),                              \
		"sockets of the kernel itself")                                                    \
	X(enrich_owners_tap_connect, OWNERS, LEDGER_LABEL(method, tap_connect),                    \
		"owners seen in connect(2)")                                                       \
	X(enrich_owners_tap_send, OWNERS, LEDGER_LABEL(method, tap_send),                          \
		"owners seen sending a datagram")                                                  \
	X(enrich_owners_tap_listen, OWNERS, LEDGER_LABEL(method, tap_listen),                      \
		"owners seen in listen(2): who accepted is not known")                             \
	X(enrich_owners_tap_close, OWNERS, LEDGER_LABEL(method, tap_close),                        \
		"owners seen closing the connection")                                              \
	X(enrich_owners_exact, CONFIDENCE, LEDGER_LABEL(confidence, exact),                        \
		"owners known for certain")                                                        \
	X(enrich_owners_probable, CONFIDENCE, LEDGER_LABEL(confidence, probable),                  \
		"owners that are the likely ones")                                                 \
	X(enrich_unknown_none, UNKNOWN, LEDGER_LABEL(reason, none),                                \
		"unknown without a reason: always 0")                                              \
	X(enrich_unknown_no_socket, UNKNOWN, LEDGER_LABEL(reason, no_socket),                      \
		"unknown: no socket when asked")                                                   \
	X(enrich_unknown_no_process, UNKNOWN, LEDGER_LABEL(reason, no_process),                    \
		"unknown: socket seen, its process not found")                                     \
	X(enrich_unknown_tap_lost, UNKNOWN, LEDGER_LABEL(reason, tap_lost),                        \
		"unknown: perf records were lost just then")                                       \
	X(enrich_unknown_older, UNKNOWN, LEDGER_LABEL(reason, older),                              \
		"unknown: older than flowner")                                                     \
	X(enrich_unknown_offline, UNKNOWN, LEDGER_LABEL(reason, offline),                          \
		"unknown: from a capture file")                                                    \
	X(enrich_unknown_off, UNKNOWN, LEDGER_LABEL(reason, off),                                  \
		"unknown: every tier that could tell is off")                                      \
	X(enrich_unknown_ambiguous, UNKNOWN, LEDGER_LABEL(reason, ambiguous),                      \
		"unknown: several processes could be meant")                                       \
	X(enrich_unknown_netns, UNKNOWN, LEDGER_LABEL(reason, netns),                              \
		"unknown: in a network namespace that cannot be asked")                            \
	X(enrich_latency_1ms, RESOLVE, LEDGER_LABEL(le, 0.001),                                    \
		"packet to owner known: at most 1 ms")                                             \
	X(enrich_latency_2ms, RESOLVE, LEDGER_LABEL(le, 0.002), "more than that, at most 2 ms")    \
	X(enrich_latency_5ms, RESOLVE, LEDGER_LABEL(le, 0.005), "more than that, at most 5 ms")    \
	X(enrich_latency_8ms, RESOLVE, LEDGER_LABEL(le, 0.008), "more than that, at most 8 ms")    \
	X(enrich_latency_10ms, RESOLVE, LEDGER_LABEL(le, 0.01), "more than that, at most 10 ms")   \
	X(enrich_latency_12ms, RESOLVE, LEDGER_LABEL(le, 0.012), "more than that, at most 12 ms")  \
	X(enrich_latency_15ms, RESOLVE, LEDGER_LABEL(le, 0.015), "more than that, at most 15 ms")  \
	X(enrich_latency_20ms, RESOLVE, LEDGER_LABEL(le, 0.02), "more than that, at most 20 ms")   \
	X(enrich_latency_25ms, RESOLVE, LEDGER_LABEL(le, 0.025), "more than that, at most 25 ms")  \
	X(enrich_latency_30ms, RESOLVE, LEDGER_LABEL(le, 0.03), "more than that, at most 30 ms")   \
	X(enrich_latency_40ms, RESOLVE, LEDGER_LABEL(le, 0.04), "more than that, at most 40 ms")   \
	X(enrich_latency_50ms, RESOLVE, LEDGER_LABEL(le, 0.05), "more than that, at most 50 ms")   \
	X(enrich_latency_60ms, RESOLVE, LEDGER_LABEL(le, 0.06), "more than that, at most 60 ms")   \
	X(enrich_latency_100ms, RESOLVE, LEDGER_LABEL(le, 0.1), "more than that, at most 100 ms")  \
	X(enrich_latency_120ms, RESOLVE, LEDGER_LABEL(le, 0.12), "more than that, at most 120 ms") \
	X(enrich_latency_1s, RESOLVE, LEDGER_LABEL(le, 1), "more than that, at most 1 s")          \
	X(enrich_latency_more, RESOLVE, LEDGER_LABEL(le, +Inf), "more than 1 s")                   \
	X(enrich_tier_tap, TIERS, LEDGER_LABELS(program, enrich, tier, tap),                       \
		"state of a tier: enum ledger_tier")                                               \
	X(enrich_tier_sock_diag, TIERS, LEDGER_LABELS(program, enrich, tier, sock_diag),           \
		"the same of sock_diag")                                                           \
	X(enrich_tier_seed, TIERS, LEDGER_LABELS(program, enrich, tier, seed),                     \
		"the same of the start-up sweep")                                                  \
	X(enrich_tier_procfs, TIERS, LEDGER_LABELS(program, enrich, tier, procfs),                 \
		"the same of searching /proc later")                                               \
	X(enrich_tier_connector, TIERS, LEDGER_LABELS(program, enrich, tier, connector),           \
		"the same of the process connector")                                               \
	X(enrich_closed, CLOSED, "", "closed sockets the kernel told of (enrich.tcp_info)")        \
	X(enrich_closed_overruns, CLOSED_OVERRUNS, "",                                             \
		"times it dropped such messages: figures are missing")                             \
	X(enrich_figures_asked, FIGURES_ASKED, "",                                                 \
		"open connections whose byte counts the kernel was asked for")                     \
	X(enrich_figures_late, FIGURES_LATE, "",                                                   \
		"ends without byte counts: 2^32 may have passed unseen")                           \
	X(enrich_names, ENTRIES, LEDGER_LABEL(table, names), "addresses whose name is remembered") \
	X(enrich_names_evicted, EVICTED, LEDGER_LABEL(table, names),                               \
		"of these, forgotten early because too many were")                                 \
	X(enrich_aggregated, AGGREGATED, "", "ended connections gathered by enrich.aggregate")     \
	X(enrich_aggregates_evicted, EVICTED, LEDGER_LABEL(table, aggregates),                     \
		"of its windows, closed early because there were too many")                        \
	X(enrich_unknown_raw, UNKNOWN, LEDGER_LABEL(reason, raw),                                  \
		"unknown: from one of several processes' raw sockets")                             \
	X(enrich_latency_ns, RESOLVE_SUM, "", "sum of all these times, in nanoseconds")            \
	X(enrich_connector_overruns, CONNECTOR_OVERRUNS, "",                                       \
		"times the kernel dropped messages of the process connector")                      \
	X(enrich_ring_used, RING_USED, LEDGER_LABEL(ring, records),                                \
		"bytes waiting in the ring to sink, when last looked at")                          \
	X(enrich_ring_size, RING_SIZE, LEDGER_LABEL(ring, records), "bytes of that ring")          \
	X(enrich_told_tap, TOLD, LEDGER_LABEL(stage, tap),                                         \
		"lost perf records that a loss record has told of")                                \
	X(enrich_told_netlink, TOLD, LEDGER_LABEL(stage, netlink),                                 \
		"the same of dropped netlink messages")                                            \
	X(enrich_told_flow_table, TOLD, LEDGER_LABEL(stage, flow_table),                           \
		"the same of connections that left the full flow table")                           \
	X(enrich_told_process_cache, TOLD, LEDGER_LABEL(stage, process_cache),                     \
		"the same of processes that left the full cache")                                  \
	X(enrich_told_name_cache, TOLD, LEDGER_LABEL(stage, name_cache),                           \
		"the same of names that left the full cache")                                      \
	X(enrich_told_aggregates, TOLD, LEDGER_LABEL(stage, aggregates),                           \
		"the same of windows of enrich.aggregate closed early")                            \
	X(enrich_processes_lost, EVICTED, LEDGER_LABEL(table, live_processes),                     \
		"of the evicted processes, ones that had not ended")

/* Of one output of sink; which one it is: ledger_file.output. */
#define LEDGER_OUTPUT(X, i)                                                                        \
	X(sink_output_##i##_records, OUTPUT_RECORDS, LEDGER_LABEL(output, i),                      \
		"records formatted for output " #i)                                                \
	X(sink_output_##i##_bytes, OUTPUT_BYTES, LEDGER_LABEL(output, i),                          \
		"bytes written to output " #i)                                                     \
	X(sink_output_##i##_errors, OUTPUT_ERRORS, LEDGER_LABEL(output, i),                        \
		"writes to output " #i " that failed and were tried again")
#define LEDGER_OUTPUTS         16
#define LEDGER_OUTPUT_COUNTERS 3

#define LEDGER_SINK(X)                                                                             \
	X(sink_epoch, STARTS, LEDGER_LABEL(program, sink), "times sink has started")               \
	X(sink_records_read, SINK_READ, "", "records taken from the ring")                         \
	X(sink_records_written, WRITTEN, "", "records written to every output that wants them")    \
	X(sink_records_lost, RECORDS_DROPPED, LEDGER_LABELS(stage, output, reason, refused),       \
		"records an output refused for good")                                              \
	X(sink_records_invalid, RECORDS_DROPPED, LEDGER_LABELS(stage, records, reason, invalid),   \
		"records that failed validation")                                                  \
	X(sink_packets_written, WRITTEN_PACKETS, "", "packets stood for by written records")       \
	X(sink_packets_lost, DROPPED, LEDGER_LABELS(stage, output, reason, refused_or_invalid),    \
		"packets stood for by lost or invalid records")                                    \
	X(sink_bytes_written, WRITTEN_BYTES, "", "bytes written over all outputs")                 \
	X(sink_writes, WRITES, "", "write operations submitted")                                   \
	X(sink_write_errors, WRITE_ERRORS, "",                                                     \
		"write operations that failed and were tried again")                               \
	X(sink_io_uring, URING, "", "1 while io_uring is in use, 0 with plain writes")             \
	X(sink_records_excluded, EXCLUDED, "", "records that the rules of every output leave out") \
	X(sink_packets_excluded, EXCLUDED_PACKETS, "", "packets these stood for")                  \
	X(sink_files_rotated, FILES, LEDGER_LABEL(done, rotated),                                  \
		"files that were ended and followed by a new one")                                 \
	X(sink_files_compressed, FILES, LEDGER_LABEL(done, compressed),                            \
		"files of them that were compressed")                                              \
	X(sink_files_removed, FILES, LEDGER_LABEL(done, removed), "old files that were removed")   \
	X(sink_file_errors, FILE_ERRORS, "", "rotations, compressions and removals that failed")   \
	X(sink_records_orphaned, RECORDS_DROPPED, LEDGER_LABELS(stage, records, reason, killed),   \
		"records in a ring that nobody kept when enrich and sink were killed")             \
	X(sink_packets_orphaned, DROPPED, LEDGER_LABELS(stage, records, reason, killed),           \
		"packets stood for by these")                                                      \
	LEDGER_OUTPUT(X, 0)                                                                        \
	LEDGER_OUTPUT(X, 1)                                                                        \
	LEDGER_OUTPUT(X, 2)                                                                        \
	LEDGER_OUTPUT(X, 3)                                                                        \
	LEDGER_OUTPUT(X, 4)                                                                        \
	LEDGER_OUTPUT(X, 5)                                                                        \
	LEDGER_OUTPUT(X, 6)                                                                        \
	LEDGER_OUTPUT(X, 7)                                                                        \
	LEDGER_OUTPUT(X, 8)                                                                        \
	LEDGER_OUTPUT(X, 9)                                                                        \
	LEDGER_OUTPUT(X, 10)                                                                       \
	LEDGER_OUTPUT(X, 11)                                                                       \
	LEDGER_OUTPUT(X, 12)                                                                       \
	LEDGER_OUTPUT(X, 13)                                                                       \
	LEDGER_OUTPUT(X, 14)                                                                       \
	LEDGER_OUTPUT(X, 15)
