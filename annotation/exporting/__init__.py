"""What a release gives to everybody else: downloads, folders, and the data of runs.

Other apps reach the annotations through this package alone.
"""

from annotation.exporting.folders import folder_filename, stream_folder, write_folder, write_images
from annotation.exporting.formats import FORMATS
from annotation.exporting.streams import (
    FOLDER_FORMATS,
    SPLITS,
    ReleaseNotReady,
    UnknownFormat,
    content_type,
    filename,
    stream,
)
from annotation.exporting.training_data import (
    training_ids,
    write_pairs,
    write_project_prompts,
    write_prompts,
    write_training_data,
)
from annotation.releases.freezing import NothingToRelease, build, make_release, request_release
from annotation.releases.policy import BadPolicy, Policy

__all__ = [
    "FOLDER_FORMATS",
    "FORMATS",
    "SPLITS",
    "BadPolicy",
    "NothingToRelease",
    "Policy",
    "ReleaseNotReady",
    "UnknownFormat",
    "build",
    "content_type",
    "filename",
    "folder_filename",
    "make_release",
    "request_release",
    "stream",
    "stream_folder",
    "training_ids",
    "write_folder",
    "write_images",
    "write_pairs",
    "write_project_prompts",
    "write_prompts",
    "write_training_data",
]
