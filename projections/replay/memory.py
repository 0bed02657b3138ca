"""Memory of a worker process: kept for the next batch, instead of given back to the system and asked for again."""

from __future__ import annotations

import ctypes
import gc

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""mallopt's names (malloc.h of glibc)."""
KEPT_BYTES = 64 << 20
"""Freed memory at the heap's end that a process keeps."""
CONTAINERS_BETWEEN_COLLECTIONS = 200_000


def keep_between_batches() -> None:
    """For the rest of this process's life. Where the allocator is not glibc's, it goes on as it does.

    Each batch takes and frees the same megabytes. By default glibc returns whatever is more than 128 KiB at once, and every
    page comes back by a fault; a JSON text of 300 bytes took 8 microseconds to write instead of 0.3.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(MMAP_THRESHOLD, KEPT_BYTES // 2)
    # Folding makes no cycles, and looking for them among the rows in hand is an eighth of its time.
    gc.freeze()
    gc.set_threshold(CONTAINERS_BETWEEN_COLLECTIONS)
