"""From the files of published data sets, as they are downloaded, to conversation records.

A record that cannot teach anything is left out and counted under a reason. A file that does not
have its published form is an error that names file, place and field.
"""

from __future__ import annotations

from training.rlhf.converters.aokvqa import aokvqa
from training.rlhf.converters.flickr30k import flickr30k
from training.rlhf.converters.llava import llava
from training.rlhf.converters.reading import Converter
from training.rlhf.converters.vqa_v2 import vqa_v2

CONVERTERS: dict[str, Converter] = {
    "vqa_v2": Converter(vqa_v2, files=("questions", "annotations")),
    "aokvqa": Converter(aokvqa, files=("annotations",)),
    "flickr30k": Converter(flickr30k, files=("captions",)),
    "llava": Converter(llava, files=("conversations",)),
}
"""By the name a mixture calls a format by."""
