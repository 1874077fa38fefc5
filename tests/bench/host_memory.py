# SPDX-License-Identifier: Apache-2.0
"""The memory of a virtual machine, as far as it changes what is measured."""
import mmap
import os


def fetch():
    """Free memory that a virtual machine has given back to its host is fetched again by whoever writes to it first, which
    takes several times what writing a file does. It is there for a few seconds, for all who write one."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    mmap.mmap(-1, min(1 << 30, free // 4), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()
