"""Runs a command and prints its exit code, seconds, processor seconds and peak of memory in bytes.

This is a process of its own, without even `site`, because Linux counts what the starting process
held into the peak of the command: one that had pytest or a large package in memory would be
measured instead. What the command says goes to stderr.
"""

import os
import sys
import time

start = time.perf_counter()
child = os.posix_spawnp(
    sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)]
)
_, status, used = os.wait4(child, 0)
seconds = time.perf_counter() - start
code = os.waitstatus_to_exitcode(status)
sys.stdout.write(f"{code} {seconds} {used.ru_utime + used.ru_stime} {used.ru_maxrss * 1024}\n")
