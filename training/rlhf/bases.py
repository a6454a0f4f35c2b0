"""Base models as transformers offers them: loading one, and asking it what differs by family."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.utils import logging as transformers_logging

from training.rlhf.contract import ModelSettings
from training.rlhf.errors import DataError, ModelError
from training.rlhf.library_internals import images_only, keep_gradients, takes_outside_masks
from training.rlhf.reading import document
from training.rlhf.tensors import check_whole

_NO_PICTURES = re.compile(r"Unrecognized configuration class <class '[\w.]{0,200}\.(\w{1,80})'>")
_OBJECTS = (
    *("config.json", "generation_config.json", "processor_config.json"),
    *("preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"),
    "model.safetensors.index.json",
)
"""Files of a base that hold one object each, where they are there."""
_NUMBERS = ("F64", "F32", "F16", "BF16")
_WITH_A_CLASS_TOKEN = ("clip_vision_model", "vit", "deit", "dinov2")
"""Vision towers that put a token of their own before those of the patches."""


def load(name: str, settings: ModelSettings, device: torch.device) -> tuple[Any, Any]:
    """Model and processor of a folder or hub id; ModelError says what is wrong with it.

    A quantised model is put on ``device`` here, since it cannot be moved later.
    """
    transformers_logging.disable_progress_bar()
    _check_files(name)
    # Without it, a folder's pickle would do where there are no safetensors.
    options: dict[str, Any] = {"dtype": getattr(torch, settings.dtype), "use_safetensors": True}
    try:
        if settings.quantization == "nf4":
            options["quantization_config"] = _nf4(name, options["dtype"])
            options["device_map"] = {"": device}
        with images_only():
            processor = AutoProcessor.from_pretrained(name)
        open_model: Any = AutoModelForImageTextToText.from_pretrained
        # Told of below, with their names; transformers would only point at its log.
        options["ignore_mismatched_sizes"] = True
        base, report = open_model(name, output_loading_info=True, **options)
    except ModelError:
        raise
    except Exception as error:  # configurations of other times break readers anywhere
        raise ModelError(f"base model {name!r} cannot be loaded: {_first_line(error)}") from error
    keep_gradients(base)
    _check_weights(name, report)
    _check_numbers(name, base)
    _complete(processor, base.config)
    return base, processor


def _check_files(name: str) -> None:
    """ModelError where a folder lacks what any base model has, or holds it damaged.

    Readers of these files fail in words of their own, which name no file.
    """
    folder = Path(name)
    called = folder.name or name
    if not folder.is_dir():
        if folder.is_absolute() or folder.exists():
            what = "is a file, not the folder" if folder.exists() else "is no folder"
            raise ModelError(f"base model {called!r} {what} of a model")
        return  # the id of a hub
    if not (folder / "config.json").is_file():
        adapter = (folder / "adapter_config.json").is_file()
        instead = ": it is an adapter, and the base it was trained on is wanted" * adapter
        raise ModelError(f"base model {called!r}: there is no config.json{instead}")
    for path in filter(Path.is_file, (folder / one for one in _OBJECTS)):
        try:
            found = document(path)
        except DataError as error:
            raise ModelError(f"base model {called!r}: {error}") from None
        if not isinstance(found, dict):
            raise ModelError(f"base model {called!r}: {path.name} holds no object of settings")
    quantised = bool(document(folder / "config.json").get("quantization_config"))
    tensors = sorted(folder.glob("*.safetensors"))
    if not tensors:
        pickled = any(folder.glob("*.bin"))
        instead = " (*.bin is not read: it may run a program)" * pickled
        raise ModelError(f"base model {called!r}: there are no *.safetensors{instead}")
    for path in tensors:
        try:
            check_whole(path)
            if not quantised:
                _check_kinds(path, called)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"base model {called!r}: {error}") from None


def _check_weights(name: str, report: dict[str, Any]) -> None:
    """ModelError for tensors that no file has in their shape: transformers would make them up."""
    for tensor, *shapes in sorted(report["mismatched_keys"]):
        found, wanted = (" x ".join(map(str, shape)) for shape in shapes)
        raise ModelError(
            f"base model {name!r}: {tensor} is {found} in its safetensors files, and {wanted} by "
            "config.json: they are not of one model"
        )
    missing, unused = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    if not missing:
        return
    instead = f", and has {unused[0]} instead" if unused else ""
    raise ModelError(
        f"base model {name!r}: its safetensors files lack {len(missing)} tensors of the model that "
        f"config.json describes, first {missing[0]}{instead}: it was saved by another version or "
        "program, or is not whole"
    )


def _check_numbers(name: str, base: Any) -> None:
    """ModelError for a weight that is no finite number: each run would fail, and blame a record."""
    for tensor, values in base.named_parameters():
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise ModelError(
                f"base model {name!r}: {tensor} holds numbers that are not finite: its training or "
                "conversion broke down"
            )


def _check_kinds(path: Path, called: str) -> None:
    """ModelError for weights of whole numbers or of a byte each, in a model that does not say how
    they were quantised: transformers would take them for the numbers themselves."""
    with safe_open(path, framework="pt") as file:
        for tensor in file.keys():  # noqa: SIM118  (it is no dict)
            kind = file.get_slice(tensor).get_dtype() if tensor.endswith(".weight") else "F32"
            if kind not in _NUMBERS:
                raise ModelError(
                    f"base model {called!r}: {path.name} holds {tensor} in {kind}, and config.json "
                    "has no quantization_config that says what it stands for"
                )


def _complete(processor: Any, config: Any) -> None:
    """Tell a processor of LLaVA's kind what older files leave to ``config.json``.

    How many tokens stand for an image has to follow from what the model makes of one, so the
    model's own configuration is what counts.
    """
    if not hasattr(processor, "vision_feature_select_strategy"):
        return
    vision = getattr(config, "vision_config", None)
    if getattr(processor, "patch_size", 0) is None:
        processor.patch_size = getattr(vision, "patch_size", None)
        first = getattr(vision, "model_type", "") in _WITH_A_CLASS_TOKEN
        processor.num_additional_image_tokens = int(first)
    strategy = getattr(config, "vision_feature_select_strategy", None)
    if strategy is not None:
        processor.vision_feature_select_strategy = strategy


def _first_line(error: Exception) -> str:
    said = _NO_PICTURES.search(str(error))
    if said:
        return f"config.json describes a model ({said[1]}) that takes no pictures"
    line = (str(error).strip().splitlines() or [""])[0][:300]
    if isinstance(error, KeyError | AttributeError | TypeError):
        return f"its files lack what transformers looks for ({line.strip(chr(39))})"
    return line or type(error).__name__


def language_model(base: Any) -> tuple[str, list[str]]:
    """Name of the language model inside ``base`` and the last names of its linear layers."""
    decoder = base.get_decoder()
    name = next((name for name, module in base.named_modules() if module is decoder), "")
    linear = {
        key.rpartition(".")[2]
        for key, module in decoder.named_modules()
        if isinstance(module, nn.Linear)
    }
    if not name or not linear:
        raise ModelError(f"{type(base).__name__} has no separate language model to adapt")
    return name, sorted(linear)


def layers(base: Any) -> nn.ModuleList:
    """The layers of the language model inside ``base``."""
    found = getattr(base.get_decoder(), "layers", None)
    if not isinstance(found, nn.ModuleList):
        raise ModelError(f"{type(base).__name__} has no list of layers")
    return found


def stop_ids(base: Any, tokenizer: Any) -> tuple[int, ...]:
    """All tokens that end a response, from the generation defaults and the tokenizer."""
    configured = base.generation_config.eos_token_id if base.generation_config else None
    ids = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({i for i in [*ids, tokenizer.eos_token_id] if i is not None}))


def image_token(processor: Any) -> str:
    """The text that stands for one image before the processor expands it."""
    token = getattr(processor, "boi_token", None) or getattr(processor, "image_token", None)
    if not isinstance(token, str):
        raise ModelError(f"{type(processor).__name__} names no image token")
    return token


def token_types_input(forward_inputs: set[str]) -> str | None:
    """The input by which the model is told which tokens are an image's, if it needs to know.

    Qwen places image tokens in three dimensions by it, Gemma lets them see each other. Its forward
    is asked: whether a processor makes this input has changed from version to version.
    """
    return next((n for n in ("mm_token_type_ids", "token_type_ids") if n in forward_inputs), None)


def takes_any_mask(base: Any) -> bool:
    """Whether every layer attends as a mask from outside says, and not to a window of its own."""
    config = base.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    window = getattr(config, "sliding_window", None)
    return takes_outside_masks(config) and kinds == {"full_attention"} and window is None


def attention_windows(base: Any) -> dict[str, int | None]:
    """How many columns each kind of layer sees, by transformers' name of the kind; None is all.

    Empty where layers attend otherwise than as masks from outside say. With several kinds, a mask
    for each is handed over by these names.
    """
    config = base.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    every = ["full_attention"] if window is None else []  # else one mask with a window
    kinds = getattr(config, "layer_types", None) or every
    known = {"full_attention": None, "sliding_attention": window}
    if not takes_outside_masks(config) or not known.keys() >= set(kinds):
        return {}
    return {kind: known[kind] for kind in sorted(set(kinds))}


def suppressed_ids(
    base: Any, tokenizer: Any, image_token: str, stop_ids: tuple[int, ...]
) -> list[int]:
    """Tokens that would break the next forward pass or mean nothing in a response."""
    ids = {
        tokenizer.convert_tokens_to_ids(image_token),
        getattr(base.config, "image_token_id", None),
        getattr(base.config, "video_token_id", None),
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
    }
    return sorted(i for i in ids if i is not None and i not in stop_ids)


def kept_whole(name: str) -> list[str]:
    """Linear layers of the base ``name`` outside its language model.

    They are those that 4 bits would save little of: images are encoded once, and what the eyes lose
    nothing after them can bring back (the paper kept them in bfloat16, too).
    """
    config = AutoConfig.from_pretrained(name)
    with torch.device("meta"):
        base = AutoModelForImageTextToText.from_config(config)
    decoder, _ = language_model(base)
    return [
        key
        for key, module in base.named_modules()
        if isinstance(module, nn.Linear) and not key.startswith(f"{decoder}.")
    ]


def _nf4(name: str, dtype: torch.dtype) -> Any:
    try:
        import bitsandbytes  # noqa: F401  (an extra: only here)
    except ImportError:
        raise ModelError("quantization nf4 needs the bitsandbytes package") from None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=kept_whole(name),  # which are skipped in 4 bits as well
    )
