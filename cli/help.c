/* SPDX-License-Identifier: Apache-2.0 */
/* The help texts: each fits a terminal of 80 columns and 24 lines. */
#include "cli/command.h"

static const char help[] =
	"flowner - logs every network connection with the process that made it\n"
	"\n"
	"  flowner run [OPTION]... [FILTER] [-- COMMAND ARG...]\n"
	"                          capture, and print or write records until Ctrl-C\n"
	"  flowner status          counters of every running flowner, and what was lost\n"
	"  flowner doctor          whether flowner can work here, and what to do about it\n"
	"  flowner metrics         the counters as Prometheus text, once or served\n"
	"  flowner check-config [FILE]\n"
	"                          check a configuration (/etc/flowner/flowner.yaml)\n"
	"  flowner print-config [-c FILE] [--set KEY=VALUE]...\n"
	"                          print the configuration that would be used\n"
	"  flowner filter          which packets are captured; with -r FILE: how many\n"
	"  flowner fields [FORMAT] what records hold, and its name in each format\n"
	"  flowner tail [FILE] [EXPRESSION]\n"
	"                          show, filter and follow a file of records\n"
	"  flowner --version, flowner COMMAND --help, flowner help expression\n"
	"\n"
	"Examples (as root):\n"
	"  flowner run                               everything, as text\n"
	"  flowner run -- curl http://example.com/   only what this command does\n"
	"  flowner run -o ecs:flows.ndjson           ECS JSON, one object a line\n"
	"  flowner run -i eth0 tcp port 443          a pcap-filter(7) expression\n"
	"  flowner run -r trace.pcap                 a capture file (needs no root)\n";

static const char run_help[] =
	"flowner run [OPTION]... [FILTER EXPRESSION] [-- COMMAND ARG...]\n"
	"\n"
	"Captures until Ctrl-C, or until COMMAND ends and then only what COMMAND and its\n"
	"children did. FILTER EXPRESSION as in pcap-filter(7).\n"
	"\n"
	"  -i, --interface NAME      capture there only (repeatable; default: any)\n"
	"      --netns NAME          capture in that network namespace (repeatable)\n"
	"  -r, --read FILE           read a pcap or pcapng file instead; - is stdin\n"
	"  -o, --output FORMAT:PATH  where records go (repeatable; default: text:-);\n"
	"                            FORMAT is text, ecs, ocsf, pcapng, sysmon, zeek or\n"
	"                            zeek-json, PATH - is standard output\n"
	"  -d, --duration TIME       stop after 10 (seconds), 500ms, 5m, 1h\n"
	"  -c, --config FILE         read settings from this file\n"
	"      --set KEY=VALUE       change one setting (repeatable); for the keys see\n"
	"                            flowner print-config\n"
	"      --stats               print all counters at the end\n"
	"  -v, --verbose             say what the parts of flowner do\n"
	"\n"
	"  flowner run -d 10 -o ecs:- udp port 53 | jq .process.name\n"
	"  flowner run -o text:- -o ecs:/var/tmp/flows.ndjson -- make fetch\n"
	"  flowner run --set capture.buffer=64MiB\n"
	"\n"
	"Exit status: 0, or COMMAND's; 64 command line, 77 not allowed, 78 configuration,\n"
	"another one if a part of flowner failed for good.\n";

void command_help(FILE *f)
{
	fputs(help, f);
}

void command_run_help(FILE *f)
{
	fputs(run_help, f);
}
