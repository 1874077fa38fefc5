/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of tracefs' `format` files, on real and on garbled ones. */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "capture/tracefs.h"

static const char fib[] = "name: fib_table_lookup\nID: 2264\nformat:\n"
			  "\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n"
			  "\tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\n"
			  "\tfield:u8 proto;\toffset:24;\tsize:1;\tsigned:0;\n"
			  "\tfield:__u8 src[4];\toffset:28;\tsize:4;\tsigned:0;\n"
			  "\tfield:u16 sport;\toffset:56;\tsize:2;\tsigned:0;\n"
			  "\tfield:const void * skaddr;\toffset:8;\tsize:8;\tsigned:0;\n"
			  "\tfield:struct sock *sk;\toffset:64;\tsize:8;\tsigned:0;\n"
			  "\tfield:__data_loc char[] filename;\toffset:72;\tsize:4;\tsigned:0;\n"
			  "\nprint fmt: \"%u\", REC->proto\n";

static void check_field(const char *name, int offset, int size)
{
	struct tap_field f = {0};
	int r = tracefs_parse_field(fib, name, &f);

	tap_ok(r == 0 && f.offset == offset && f.size == size, "%s is at %d, %d bytes", name,
		offset, size);
}

/* What a service manager puts there for a program that may not look itself. */
static void test_copies(void)
{
	char folder[] = "/tmp/flowner-test-XXXXXX", file[64], buf[TRACEFS_FORMAT_MAX];
	uint64_t id = 0;
	int dir, fd;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	snprintf(file, sizeof(file), "%s/fib.fib_table_lookup", folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, fib, strlen(fib)) != (ssize_t)strlen(fib))
		tap_bail("no file");
	close(fd);
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	tap_is_int(tracefs_open(&dir), 0, "a folder of copies");
	tap_ok(tracefs_read_format(dir, "fib/fib_table_lookup", buf) == 0 &&
			tracefs_parse_id(buf, &id) == 0 && id == 2264,
		"a copy is read");
	tap_is_int(tracefs_read_format(dir, "sock/inet_sock_set_state", buf), -ENOENT,
		"one that is not there");
	close(dir);
	unlink(file);
	rmdir(folder);
}

int main(void)
{
	static const char *const garbled[] = {"field:u8 x", "field:u8 x;", "field:u8 x;\toffset:;",
		"field:u8 x;\toffset:1;", "field:u8 x;\toffset:1;\tsize:;",
		"field:u8 x;\toffset:1;\tsize:70000;\n", "field:u8 x;\toffset:-1;\tsize:1;\n",
		"field:u8 x;\nfield:u8 y;\toffset:1;\tsize:1;\n",
		"field:u8 x;\toffset:99999999999999999999;\tsize:1;\n", "field:u8 x\n;"};
	struct tap_field f = {7, 7};
	uint64_t id = 7;

	tap_ok(tracefs_parse_id(fib, &id) == 0 && id == 2264, "the id");
	check_field("common_flags", 2, 1);
	check_field("proto", 24, 1);
	check_field("src", 28, 4);
	check_field("sport", 56, 2);
	check_field("skaddr", 8, 8);
	check_field("sk", 64, 8);
	check_field("filename", 72, 4);
	tap_is_int(
		tracefs_parse_field(fib, "port", &f), -ENOENT, "the end of a name is not a name");
	tap_is_int(tracefs_parse_field(fib, "dport", &f), -ENOENT, "a field that is not there");
	tap_is_int(tracefs_parse_field("", "x", &f), -ENOENT, "an empty file");
	for (size_t i = 0; i < sizeof(garbled) / sizeof(*garbled); i++)
		tap_is_int(tracefs_parse_field(garbled[i], "x", &f), -EPROTO, "garbled %zu", i);
	tap_ok(f.offset == 7 && f.size == 7, "an error leaves the result alone");
	tap_is_int(tracefs_parse_id("name: x\n", &id), -ENOENT, "no id");
	tap_is_int(tracefs_parse_id("name: x\nID: x\n", &id), -EPROTO, "an id that is no number");
	tap_is_int(tracefs_parse_id("name: x\nID: 99999999999\n", &id), -EPROTO, "too big an id");
	test_copies();
	return tap_done();
}
