"""Storage: what lies there is whole or absent. Nothing else writes to it or reads from it.

One rule holds on a folder and in a bucket. A file is written under a temporary name, read back and
compared by hash and size, and put in its place by one atomic step (``folder``, ``bucket``). What is
found under its name is compared before it is taken for what it should be, and what is handed out is
compared with the hash that the database has (``contents``). Trouble is said in words that name the
setting to look at (``trouble``). What older versions left is found by ``manage.py check_storage``.
"""

from annotation.storage.contents import (
    CHUNK_BYTES,
    chunks,
    delete,
    fetched,
    forget_unfinished,
    holds,
    keep,
    listdir,
    local_path,
    opened,
)
from annotation.storage.trouble import Damaged, StorageTrouble, in_words
from annotation.storage.whole_files import (
    Fingerprint,
    fingerprint_at,
    fingerprint_of,
    write_whole,
)

__all__ = [
    "CHUNK_BYTES",
    "Damaged",
    "Fingerprint",
    "StorageTrouble",
    "chunks",
    "delete",
    "fetched",
    "fingerprint_at",
    "fingerprint_of",
    "forget_unfinished",
    "holds",
    "in_words",
    "keep",
    "listdir",
    "local_path",
    "opened",
    "write_whole",
]
