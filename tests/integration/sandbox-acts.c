/* SPDX-License-Identifier: Apache-2.0 */
/* What a compromised program would try, and what it must still be able to do. */
#include "sandbox-probe.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config/transfer.h"
#include "sink/writer-internal.h"

/* Acts: 0 = it works, -errno ---------------------------------------------------------------- */

static int of(long r)
{
	return r < 0 ? -errno : 0;
}

static int open_file(struct world *w)
{
	(void)w;
	return of(open("/usr/bin/env", O_RDONLY | O_CLOEXEC));
}

static int open_secret(struct world *w)
{
	(void)w;
	return of(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}

static int make_file(struct world *w)
{
	(void)w;
	return of(open("/tmp/flowner-sandbox-probe", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int climb(struct world *w)
{
	int fd = w->program == SINK ? w->spool.output[0].dir_fd : AT_FDCWD;

	return of(openat(fd, "../flowner-sandbox-probe", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int list_folder(struct world *w)
{
	char buf[4096];
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)w;
	return fd < 0 ? -errno : of(syscall(SYS_getdents64, fd, buf, sizeof(buf)));
}

static int remove_file(struct world *w)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/victim", w->folder);
	return of(unlinkat(AT_FDCWD, path, 0));
}

static int rename_file(struct world *w)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/victim", w->folder);
	return of(syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, "/tmp/flowner-victim", 0));
}

static int change_mode(struct world *w)
{
	return of(fchmod(w->inet, 0777));
}

static int run_program(struct world *w)
{
	(void)w;
	execl("/bin/true", "true", NULL);
	return -errno;
}

static int make_process(struct world *w)
{
	pid_t pid = fork();

	(void)w;
	if (pid == 0)
		_exit(0);
	return of(pid);
}

static int new_socket(int domain, int type, int protocol)
{
	return of(socket(domain, type | SOCK_CLOEXEC, protocol));
}

static int internet_socket(struct world *w)
{
	(void)w;
	return new_socket(AF_INET, SOCK_STREAM, 0);
}

static int netlink_socket(struct world *w)
{
	(void)w;
	return new_socket(AF_NETLINK, SOCK_RAW, 0);
}

static int packet_socket(struct world *w)
{
	(void)w;
	return new_socket(AF_PACKET, SOCK_RAW, 0);
}

static int datagram_socket(struct world *w)
{
	(void)w;
	return new_socket(AF_UNIX, SOCK_DGRAM, 0);
}

static struct sockaddr_in localhost(void)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons(12999),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int connect_internet(struct world *w)
{
	struct sockaddr_in to = localhost();
	int r = of(connect(w->inet, (struct sockaddr *)&to, sizeof(to)));

	return r == -ECONNREFUSED ? 0 : r; /* it was asked */
}

static int bind_internet(struct world *w)
{
	struct sockaddr_in to = localhost();

	return of(bind(w->inet, (struct sockaddr *)&to, sizeof(to)));
}

static int connect_abstract(struct world *w)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)w;
	if (fd < 0)
		return -errno;
	memcpy(to.sun_path + 1, ABSTRACT, strlen(ABSTRACT));
	return of(connect(fd, (struct sockaddr *)&to,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ABSTRACT))));
}

static int trace(struct world *w)
{
	(void)w;
	return of(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int read_memory(struct world *w)
{
	char byte;
	struct iovec here = {&byte, 1}, there = {(void *)(uintptr_t)&n_acts, 1};

	(void)w;
	return of(process_vm_readv(getppid(), &here, 1, &there, 1, 0));
}

static int open_process(struct world *w)
{
	(void)w;
	return of(syscall(SYS_pidfd_open, 1, 0));
}

static int take_descriptor(struct world *w)
{
	return of(syscall(SYS_pidfd_getfd, w->inet, 0, 0));
}

static int send_signal(struct world *w)
{
	(void)w;
	return of(syscall(SYS_kill, 1, SIGCONT));
}

static int reopen_ring(struct world *w)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->ring[0]);
	return of(open(path, O_RDWR | O_CLOEXEC));
}

static int map_ring_writable(struct world *w)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, w->ring[0], 0);

	return p == MAP_FAILED ? -errno : 0;
}

static int cut_ring(struct world *w)
{
	return of(ftruncate(w->ring[0], 0));
}

static int map_code(struct world *w)
{
	void *p = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)w;
	return p == MAP_FAILED ? -errno : 0;
}

static int make_code(struct world *w)
{
	static char page[8192];
	uintptr_t at = ((uintptr_t)page + 4095) & ~(uintptr_t)4095;

	(void)w;
	return of(mprotect((void *)at, 4096, PROT_READ | PROT_EXEC));
}

static int uring_setup(struct world *w)
{
	struct io_uring_params p = {0};

	(void)w;
	return of(syscall(SYS_io_uring_setup, 1, &p));
}

static struct io_uring *ring_of(struct world *w)
{
	struct io_uring *ring = w->spool.output[0].writer->state;

	if (!ring)
		_exit(99); /* there is no io_uring here */
	return ring;
}

static int submit(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int r = io_uring_submit_and_wait(ring, 1);

	if (r < 0)
		return r;
	r = io_uring_peek_cqe(ring, &cqe);
	return r < 0 ? r : cqe->res < 0 ? cqe->res : 0;
}

static int uring_open(struct world *w)
{
	struct io_uring *ring = ring_of(w);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	return submit(ring);
}

static int uring_connect(struct world *w)
{
	struct io_uring *ring = ring_of(w);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct sockaddr_in to = localhost();
	int r;

	io_uring_prep_connect(sqe, w->inet, (struct sockaddr *)&to, sizeof(to));
	r = submit(ring);
	return r == -ECONNREFUSED ? 0 : r;
}

static int uring_read(struct world *w)
{
	struct io_uring *ring = ring_of(w);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	static char buf[16];

	io_uring_prep_read(sqe, w->spool.output[0].fd, buf, sizeof(buf), 0);
	return submit(ring);
}

static int uring_register(struct world *w)
{
	struct iovec iov = {.iov_base = &iov, .iov_len = sizeof(iov)};

	return of(syscall(
		SYS_io_uring_register, ring_of(w)->ring_fd, IORING_REGISTER_BUFFERS, &iov, 1));
}

static int uring_write(struct world *w)
{
	struct io_uring *ring = ring_of(w);
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct writer *writer = w->spool.output[0].writer;

	io_uring_prep_write(sqe, writer->fd, writer->area, 1, 0);
	return submit(ring);
}

static int become_root(struct world *w)
{
	(void)w;
	return of(setuid(0));
}

static int become_root_all(struct world *w)
{
	(void)w;
	return of(setresuid(0, 0, 0));
}

static int take_capability(struct world *w)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 1, .permitted = 1}};

	(void)w;
	return of(syscall(SYS_capset, &header, data));
}

static int new_namespace(struct world *w)
{
	(void)w;
	return of(unshare(CLONE_NEWUSER));
}

static int enter_namespace(struct world *w)
{
	return of(setns(w->inet, 0));
}

static int mount_something(struct world *w)
{
	return of(mount("none", w->folder, "tmpfs", 0, NULL));
}

static int change_root(struct world *w)
{
	return of(chroot(w->folder));
}

static int open_perf(struct world *w)
{
	(void)w;
	return of(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
}

static int load_bpf(struct world *w)
{
	(void)w;
	return of(syscall(SYS_bpf, 0, NULL, 0));
}

static int use_keys(struct world *w)
{
	(void)w;
	return of(syscall(SYS_keyctl, 0, 0, 0, 0, 0));
}

static int be_dumped(struct world *w)
{
	(void)w;
	return of(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int unlock_filter(struct world *w)
{
	int zero = 0;

	return of(setsockopt(w->inet, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof(zero)));
}

static int old_calls(struct world *w)
{
	(void)w;
#ifdef __x86_64__
	/* x32's open(): another table of system calls, which filters tend to forget. */
	return of(syscall(0x40000000 + SYS_open, "/usr/bin/env", O_RDONLY));
#else
	_exit(99);
#endif
}

/* And what must work */

static int write_log(struct world *w)
{
	int fds[2];

	(void)w;
	(void)fds;
	return of(transfer_write(STDERR_FILENO, "", 0, TRANSFER_HERE));
}

static int next_file(struct world *w)
{
	return of(openat(w->spool.output[0].dir_fd, "next", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

static int read_proc(struct world *w)
{
	(void)w;
	return of(open("/proc/1/cmdline", O_RDONLY | O_CLOEXEC));
}

static int read_users(struct world *w)
{
	(void)w;
	return of(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

/* By both of its calls: which one the C library makes depends on its version. */
static int look_at_file(struct world *w)
{
	struct stat st;

	(void)w;
	if (fstatat(STDOUT_FILENO, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
#ifdef SYS_fstat
	if (syscall(SYS_fstat, STDOUT_FILENO, &st) < 0)
		return -errno;
#endif
	return 0;
}

static int tell_time(struct world *w)
{
	struct timespec t;

	(void)w;
	return of(clock_gettime(CLOCK_MONOTONIC_COARSE, &t));
}

const struct act acts[] = {
	{"open a file", ALL, open_file},
	{"open a secret file", ALL, open_secret},
	{"make a file elsewhere", ALL, make_file},
	{"make a file above its folder", ALL, climb},
	{"list a folder", ALL, list_folder},
	{"remove a file", ALL, remove_file},
	{"rename a file", ALL, rename_file},
	{"change a mode", ALL, change_mode},
	{"run a program", ALL, run_program},
	{"make a process", ALL, make_process},
	{"an internet socket", ALL, internet_socket},
	{"a netlink socket", ALL, netlink_socket},
	{"a packet socket", ALL, packet_socket},
	{"another unix socket", ALL, datagram_socket},
	{"connect an internet socket left open", ALL, connect_internet},
	{"bind an internet socket left open", ALL, bind_internet},
	{"connect to an abstract socket", ALL, connect_abstract},
	{"ptrace", ALL, trace},
	{"process_vm_readv", ALL, read_memory},
	{"pidfd_open", ALL, open_process},
	{"pidfd_getfd", ALL, take_descriptor},
	{"send a signal", ALL, send_signal},
	{"reopen the ring read-write by /proc/self/fd", ALL, reopen_ring},
	{"map the ring writable", ALL, map_ring_writable},
	{"cut the ring", ALL, cut_ring},
	{"map memory as code", ALL, map_code},
	{"make memory code", ALL, make_code},
	{"io_uring_setup", ALL, uring_setup},
	{"io_uring: openat", SINK, uring_open},
	{"io_uring: connect", SINK, uring_connect},
	{"io_uring: read", SINK, uring_read},
	{"io_uring_register", SINK, uring_register},
	{"setuid(0)", ALL, become_root},
	{"setresuid(0, 0, 0)", ALL, become_root_all},
	{"take a capability", ALL, take_capability},
	{"a new user namespace", ALL, new_namespace},
	{"enter a namespace", ALL, enter_namespace},
	{"mount", ALL, mount_something},
	{"chroot", ALL, change_root},
	{"perf_event_open", ALL, open_perf},
	{"bpf", ALL, load_bpf},
	{"keyctl", ALL, use_keys},
	{"be dumped", ALL, be_dumped},
	{"unlock a socket filter", ALL, unlock_filter},
	{"system calls of another table", ALL, old_calls},

	{"write a log line", ALL, write_log, true},
	{"tell the time", ALL, tell_time, true},
	{"look at an open file", ALL, look_at_file, true},
	{"open the next file", SINK, next_file, true},
	{"io_uring: write", SINK, uring_write, true},
	{"read /proc", ENRICH, read_proc, true},
	{"read the list of users", ENRICH, read_users, true},
};
const size_t n_acts = sizeof(acts) / sizeof(acts[0]);
