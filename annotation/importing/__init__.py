"""Records in: a file is taken whole, or refused whole with every fault named."""

from annotation.importing.one_import import (
    Imported,
    Options,
    Report,
    import_files,
    import_values,
    refresh_statistics,
)

__all__ = [
    "Imported",
    "Options",
    "Report",
    "import_files",
    "import_values",
    "refresh_statistics",
]
