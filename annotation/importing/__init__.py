"""Records in: a file is taken whole, or refused whole with every fault named."""

from annotation.importing.one_import import (
    Imported,
    Options,
    import_files,
    import_records,
    nobody,
    refresh_statistics,
)

__all__ = [
    "Imported",
    "Options",
    "import_files",
    "import_records",
    "nobody",
    "refresh_statistics",
]
