/* SPDX-License-Identifier: Apache-2.0 */
/* Privileges are gone after the drop, as the kernel tells it, and do not come back. */
#include "config/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

#define USER     65534u
#define BIT(cap) (UINT64_C(1) << (cap))

/* The checks run in a child, whose count of them goes back to the parent by its exit status. */
static unsigned before;

static void in_child(void (*run)(void))
{
	pid_t child;
	int status;

	fflush(stdout);
	before = tap_count;
	child = fork();
	if (child == 0) {
		unsigned failed = tap_failed;

		run();
		_exit(tap_failed > failed ? 101 : (int)(tap_count - before));
	}
	waitpid(child, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 100) {
		tap_failed++;
		tap_bail("a check in a child failed");
	}
	tap_count += (unsigned)WEXITSTATUS(status);
}

/* The value of a line of /proc/self/status, spaces as they stand. */
static const char *status_of(const char *name)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	char *line;

	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, name);
	if (!line)
		return NULL;
	line += strlen(name) + 2; /* colon, tab */
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static void check_sets(const char *effective, bool bounding)
{
	tap_is_str(status_of("\nCapInh"), "0000000000000000", "no inheritable capability");
	tap_is_str(status_of("\nCapPrm"), effective, "permitted capabilities");
	tap_is_str(status_of("\nCapEff"), effective, "effective capabilities");
	tap_is_str(status_of("\nCapAmb"), "0000000000000000", "no ambient capability");
	if (bounding)
		tap_is_str(status_of("\nCapBnd"), "0000000000000000", "an empty bounding set");
	tap_is_str(status_of("\nNoNewPrivs"), "1", "no new privileges");
	tap_is_int(prctl(PR_GET_DUMPABLE), 0, "not dumpable");
	tap_is_int(prctl(PR_GET_KEEPCAPS), 0, "capabilities are not kept over another change");
}

static void check_no_root(void)
{
	tap_ok(setuid(0) < 0 && errno == EPERM, "setuid(0) fails");
	tap_ok(setresuid(0, 0, 0) < 0 && errno == EPERM, "setresuid(0, 0, 0) fails");
	tap_ok(setgid(0) < 0 && errno == EPERM, "setgid(0) fails");
	tap_ok(setgroups(0, NULL) < 0 && errno == EPERM, "setgroups() fails");
	tap_ok(socket(AF_PACKET, SOCK_RAW, 0) < 0 && errno == EPERM, "no packet socket");
	tap_ok(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) < 0,
		"no ambient capability can be raised");
	tap_ok(!privileges_have(CAP_NET_RAW) && !privileges_have(CAP_SYS_ADMIN), "and it is known");
	tap_ok(!privileges_is_root(), "not root");
}

static void drop_all(void)
{
	gid_t groups[] = {1, 2, 3};
	int r;

	tap_ok(privileges_is_root() && privileges_have(CAP_NET_RAW), "root at first");
	setgroups(3, groups);
	r = privileges_drop(USER, USER, 0);
	tap_is_int(r, 0, "drop everything");
	tap_is_str(status_of("\nUid"), "65534\t65534\t65534\t65534", "all four user ids");
	tap_is_str(status_of("\nGid"), "65534\t65534\t65534\t65534", "all four group ids");
	tap_is_str(status_of("\nGroups"), " ", "no supplementary group");
	check_sets("0000000000000000", true);
	check_no_root();
	tap_ok(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES, "no reading of root's files");
	tap_ok(open("/proc/self/fd", O_RDONLY | O_CLOEXEC) >= 0,
		"its own descriptors stay readable");
	tap_is_int(privileges_drop(USER, USER, 0), 0, "dropping again changes nothing");
}

static void drop_but_two(void)
{
	uint64_t keep = BIT(CAP_SYS_PTRACE) | BIT(CAP_DAC_READ_SEARCH);

	tap_is_int(privileges_drop(USER, USER, keep), 0, "drop all but two");
	check_sets("0000000000080004", true);
	tap_ok(privileges_have(CAP_SYS_PTRACE) && privileges_have(CAP_DAC_READ_SEARCH),
		"the two are there");
	tap_ok(open("/etc/shadow", O_RDONLY | O_CLOEXEC) >= 0, "and have effect");
	check_no_root();
	tap_is_int(privileges_drop(USER, USER, 0), 0, "drop the two");
	check_sets("0000000000000000", true);
	check_no_root();
	tap_ok(open("/etc/shadow", O_RDONLY) < 0 && errno == EACCES,
		"they have no effect any more");
}

/* A service manager's way: own user, two ambient capabilities, nothing that could change users. */
static void drop_ambient(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};
	uint32_t two = 1u << CAP_SYS_PTRACE | 1u << CAP_DAC_READ_SEARCH;

	prctl(PR_SET_KEEPCAPS, 1);
	tap_ok(setgroups(0, NULL) == 0 && setresgid(USER, USER, USER) == 0 &&
			setresuid(USER, USER, USER) == 0,
		"another user");
	data[0].permitted = data[0].effective = data[0].inheritable = two;
	tap_ok(syscall(SYS_capset, &header, data) == 0 &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_PTRACE, 0, 0) == 0 &&
			prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0) == 0,
		"with two ambient capabilities");
	tap_is_int(privileges_drop(USER - 1, USER - 1, BIT(CAP_SYS_PTRACE) | BIT(CAP_NET_RAW)), 0,
		"keep one, and one that was never there");
	tap_is_str(status_of("\nUid"), "65534\t65534\t65534\t65534", "the user stays");
	check_sets("0000000000080000", false);
	tap_is_int(privileges_drop(USER, USER, 0), 0, "drop the rest");
	check_sets("0000000000000000", false);
	check_no_root();
}

static void drop_unprivileged(void)
{
	tap_ok(setgroups(0, NULL) == 0 && setresgid(USER, USER, USER) == 0 &&
			setresuid(USER, USER, USER) == 0,
		"a plain user");
	prctl(PR_SET_DUMPABLE, 1);
	tap_is_int(privileges_drop(1, 1, 0), 0, "has nothing to drop");
	tap_is_str(status_of("\nUid"), "65534\t65534\t65534\t65534", "stays who it is");
	check_sets("0000000000000000", false);
	check_no_root();
}

/* Only the saved id is root's: looks unprivileged and is not. */
static void drop_saved_root(void)
{
	tap_ok(setresuid(USER, USER, 0) == 0, "root in the saved id only");
	tap_ok(privileges_drop(USER, USER, 0) < 0,
		"without the right to change groups the drop fails");
	tap_ok(seteuid(0) == 0, "back to root");
	tap_is_int(privileges_drop(USER, USER, 0), 0, "now it drops");
	tap_is_str(status_of("\nUid"), "65534\t65534\t65534\t65534", "in all ids");
	check_no_root();
}

static void drop_with_parent_death_signal(void)
{
	int number = 0;

	prctl(PR_SET_PDEATHSIG, SIGUSR1);
	tap_is_int(privileges_drop(USER, USER, 0), 0, "drop with a parent-death signal set");
	prctl(PR_GET_PDEATHSIG, &number);
	tap_is_int(number, SIGUSR1, "the signal stays set");
}

static void test_users(void)
{
	uid_t uid = 7;
	gid_t gid = 7, other;

	tap_is_int(privileges_user("nobody", &uid, &gid), 0, "a user by name");
	tap_ok(uid == 65534 && gid != 0, "has its numbers (%u, %u)", uid, gid);
	tap_is_int(privileges_user("54321", &uid, &gid), 0, "a number without an account");
	tap_ok(uid == 54321 && gid == 54321, "is user and group");
	tap_is_int(privileges_user("1", &uid, &gid), 0, "a number with an account");
	tap_ok(uid == 1 && gid == 1, "has the account's group");
	uid = gid = 7;
	tap_is_int(privileges_user("no-such-user", &uid, &gid), -ENOENT, "an unknown name");
	tap_is_int(privileges_user("root", &uid, &gid), -EINVAL, "root");
	tap_is_int(privileges_user("0", &uid, &gid), -EINVAL, "root by number");
	tap_is_int(privileges_user("000000000000", &uid, &gid), -EINVAL,
		"root by number, written longer");
	tap_is_int(privileges_user("", &uid, &gid), -EINVAL, "no name");
	tap_is_int(
		privileges_user("4294967295", &uid, &gid), -EINVAL, "the number that means nobody");
	tap_is_int(privileges_user("4294967296", &uid, &gid), -EINVAL, "a number too large");
	tap_is_int(
		privileges_user("99999999999999999999999", &uid, &gid), -EINVAL, "a huge number");
	tap_is_int(privileges_user("-1", &uid, &gid), -ENOENT, "a negative number");
	tap_is_int(privileges_group_of(1, &other), 0, "an account's group");
	tap_is_int(other, 1, "which it is");
	tap_is_int(privileges_group_of(54321, &other), -ENOENT,
		"a number without an account: no group");
	tap_ok(uid == 7 && gid == 7, "outputs are untouched by errors");
	tap_is_int(privileges_drop(0, USER, 0), -EINVAL, "user 0 is refused");
	tap_is_int(privileges_drop(USER, 0, 0), -EINVAL, "group 0 is refused");
	tap_is_int(privileges_drop(USER, USER, BIT(CAP_SETUID)), -EINVAL,
		"keeping a capability that leads back is refused");
}

int main(void)
{
	test_users();
	if (geteuid() != 0) {
		tap_skip("dropping root's privileges", "needs root");
		return tap_done();
	}
	in_child(drop_all);
	in_child(drop_but_two);
	in_child(drop_ambient);
	in_child(drop_unprivileged);
	in_child(drop_saved_root);
	in_child(drop_with_parent_death_signal);
	return tap_done();
}
