/* SPDX-License-Identifier: Apache-2.0 */
/* Readiness messages reach the supervisor's socket, whatever kind of address it has. */
#include "config/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static char folder[] = "/tmp/flowner-test-XXXXXX";

static int listen_at(const char *path, bool abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t len = strlen(path);

	memcpy(address.sun_path, path, len);
	if (abstract)
		address.sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)))
		tap_bail("no socket");
	return fd;
}

static const char *received(int fd)
{
	static char text[256];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_watchdog(void)
{
	char path[64], pid[16];
	int fd;

	snprintf(path, sizeof(path), "%s/watchdog", folder);
	fd = listen_at(path, false);
	setenv("NOTIFY_SOCKET", path, 1);
	tap_is_int(notify_open(), 1, "a supervisor without a watchdog");
	tap_is_int(notify_alive(-1), -1, "waits as long as it likes");
	tap_is_str(received(fd), "", "and hears nothing");

	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "20000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	tap_is_int(notify_open(), 1, "one with a watchdog");
	tap_ok(!getenv("WATCHDOG_USEC") && !getenv("WATCHDOG_PID"), "not passed on to children");
	tap_ok(notify_alive(-1) == 10000, "the next word is due after half of the time");
	tap_is_str(received(fd), "WATCHDOG=1", "the first one at once");
	tap_is_int(notify_alive(5), 5, "a shorter wait stays");
	tap_is_str(received(fd), "", "not more often than needed");

	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "2", 1);
	tap_is_int(notify_open(), 1, "an interval below a millisecond");
	tap_is_int(notify_alive(-1), -1, "is none");

	setenv("NOTIFY_SOCKET", path, 1);
	setenv("WATCHDOG_USEC", "2000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	tap_is_int(notify_open(), 1, "a watchdog over another process");
	tap_is_int(notify_alive(-1), -1, "is not ours");
	close(fd);
	unlink(path);
}

static void test_ready_fd(void)
{
	char number[16];
	int fds[2];

	if (pipe2(fds, O_NONBLOCK))
		tap_bail("no pipe");
	snprintf(number, sizeof(number), "%d", fds[1]);
	unsetenv("NOTIFY_SOCKET");
	setenv("NOTIFY_FD", number, 1);
	tap_is_int(notify_open(), 0, "s6: no socket");
	tap_ok(fcntl(fds[1], F_GETFD) & FD_CLOEXEC, "its descriptor is not passed on");
	notify_send("STATUS=attached");
	tap_ok(read(fds[0], number, 1) < 0, "other messages are not for it");
	notify_send("READY=1");
	tap_ok(read(fds[0], number, sizeof(number)) == 1 && number[0] == '\n', "a line when ready");
	tap_is_int(read(fds[0], number, 1), 0, "and the end");
	close(fds[0]);
	setenv("NOTIFY_FD", "1", 1);
	notify_open();
	tap_ok(fcntl(1, F_GETFD) == 0, "standard output is left alone");
}

int main(void)
{
	char path[108], abstract[64];
	int fd, status;
	pid_t child;

	if (!mkdtemp(folder))
		tap_bail("no folder");
	unsetenv("NOTIFY_SOCKET");
	tap_is_int(notify_open(), 0, "no supervisor");
	tap_is_int(notify_send("READY=1"), 0, "nothing is sent then");

	snprintf(path, sizeof(path), "%s/notify", folder);
	setenv("NOTIFY_SOCKET", path, 1);
	tap_is_int(notify_open(), -ENOENT, "a supervisor that is not there");
	tap_ok(!getenv("NOTIFY_SOCKET"), "the variable is not passed on to children");

	fd = listen_at(path, false);
	setenv("NOTIFY_SOCKET", path, 1);
	tap_is_int(notify_open(), 1, "a path");
	tap_is_int(notify_send("READY=1"), 1, "sent");
	tap_is_str(received(fd), "READY=1", "and received");
	child = fork();
	if (child == 0) {
		/* Gone from the file system, and no right to it: the connection still works. */
		unlink(path);
		if (geteuid() == 0 && setresuid(65534, 65534, 65534))
			_exit(2);
		_exit(notify_send("STATUS=working") == 1 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	tap_is_int(status, 0, "sends after dropping privileges");
	tap_is_str(received(fd), "STATUS=working", "and received");
	close(fd);
	tap_is_int(notify_send("STOPPING=1"), -ECONNREFUSED, "a supervisor that went away");
	notify_close();
	tap_is_int(notify_send("STOPPING=1"), 0, "closed");

	snprintf(abstract, sizeof(abstract), "@flowner-test-%d", (int)getpid());
	fd = listen_at(abstract, true);
	setenv("NOTIFY_SOCKET", abstract, 1);
	tap_is_int(notify_open(), 1, "an abstract address");
	tap_is_int(notify_send("READY=1"), 1, "sent");
	tap_is_str(received(fd), "READY=1", "and received");
	for (int i = 0; i < 100000 && notify_send("WATCHDOG=1") == 1; i++)
		continue;
	tap_is_int(notify_send("WATCHDOG=1"), -EAGAIN,
		"a supervisor that does not read does not block");
	close(fd);

	char longer[128] = "/";
	memset(longer + 1, 'a', 120);
	setenv("NOTIFY_SOCKET", longer, 1);
	tap_is_int(notify_open(), -ENAMETOOLONG, "a path that is too long");
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	tap_is_int(notify_open(), -EAFNOSUPPORT, "another kind of address");
	tap_is_int(notify_send("READY=1"), 0, "leaves nothing open");
	setenv("NOTIFY_SOCKET", "", 1);
	tap_is_int(notify_open(), 0, "an empty variable");
	test_watchdog();
	test_ready_fd();
	rmdir(folder);
	return tap_done();
}
