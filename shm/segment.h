/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed memfd segments, as made by their owner and as checked by the process they are given to.
 *
 * Threads: any. Blocks: no. Logs: no. Errors: 0, -errno; -EPROTO = not such a segment.
 * Sources: memfd_create(2), F_ADD_SEALS in fcntl(2).
 */
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

/* Nobody, not even the owner, can resize it, write to it anew or lift a seal. */
#define SEGMENT_SEALS_DATA (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
/* Nobody can resize it or lift a seal; writers may come and go. */
#define SEGMENT_SEALS_CONTROL (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Makes a memfd of @size bytes, mode 0600, not yet sealed. @name shows in /proc/PID/maps. */
int segment_new(const char *name, size_t size, int *ret_fd);

/* Adds @seals. For SEGMENT_SEALS_DATA the owner must hold its writable mapping already. */
int segment_seal(int fd, int seals);

/* Another descriptor of the same memfd, opened O_RDONLY: what is given to a reader. */
int segment_reopen_readonly(int fd, int *ret_fd);

/*
 * Checks a descriptor received from a peer: a memfd with all of @seals, a regular file of mode
 * 0600, opened with @access (O_RDONLY or O_RDWR), F_SEAL_WRITE not set on a writable one.
 */
int segment_check(int fd, int seals, int access, size_t *ret_size);
