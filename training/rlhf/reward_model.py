"""A trained reward model: adapter, heads, wording, normalisation, and proof that they belong.

The folder also holds five golden inputs with the scores they had when it was saved. Loading scores
them again: another base model, a changed template or a damaged file is an error, not a bad reward.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from training.rlhf.contract import Record, RewardSettings, Turn
from training.rlhf.data import TokenSequence, image_path
from training.rlhf.errors import DataError, ModelError
from training.rlhf.facts import RatingTemplate
from training.rlhf.heads import spread
from training.rlhf.images import EncodedImage
from training.rlhf.models import VisionLanguageModel
from training.rlhf.prefixes import beginning_key, family_batches, hidden_behind_prefixes
from training.rlhf.processes import Processes, processes
from training.rlhf.reading import document

DESCRIPTION = "reward_model.json"
ADAPTER = "reward"
MARKS = "marks"
"""The head that says of each token of a response whether people would mark it; not all have it."""
GOLDEN_COUNT = 5
_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.15}


@dataclass(frozen=True, kw_only=True)
class Golden:
    """An input with its raw score; ``image`` is a file in the reward model's own folder, if any."""

    image: str
    more_images: tuple[str, ...] = ()
    conversation: tuple[Turn, ...]
    response: str
    captions: tuple[str, ...]
    score: float

    @property
    def images(self) -> tuple[str, ...]:
        return (self.image, *self.more_images) if self.image else ()


class RewardModel:
    """Scores responses with the ``reward`` adapter and head of a vision-language model."""

    def __init__(
        self,
        model: VisionLanguageModel,
        template: RatingTemplate,
        *,
        max_length: int,
        mean: float = 0.0,
        deviation: float = 1.0,
        offsets: Sequence[float] = (),
    ) -> None:
        """``offsets`` are what each head's own mean is above that of all; none are zeros."""
        self.model = model
        self.template = template
        self.max_length = max_length
        self.mean = mean
        self.deviation = deviation
        self.offsets = tuple(offsets)

    @classmethod
    def fresh(cls, model: VisionLanguageModel, settings: RewardSettings) -> RewardModel:
        """An untrained one: a new adapter and random heads, each drawn for itself.

        Behind a head of zeros nothing would reach the adapter until the head has grown.
        """
        model.add_adapter(ADAPTER, settings.lora)
        model.add_head(ADAPTER, zero=False, form=settings.head, count=settings.ensemble)
        if settings.token_coefficient > 0:
            model.add_head(MARKS, zero=False)
        template = RatingTemplate.from_settings(settings)
        return cls(model, template, max_length=settings.max_length)

    def sequences(
        self,
        conversation: Sequence[Turn],
        image: EncodedImage,
        responses: Sequence[str],
        captions: Sequence[str] = (),
    ) -> list[TokenSequence]:
        """Prompt, response and rating prompt as one sequence per response; rewards are read last.

        A response that does not fit ``max_length`` text tokens is cut at its end, so that the
        rating prompt always stands. DataError when the rest alone does not fit.
        """
        chat, template = self.model.chat, self.template
        prompt = chat.prompt(conversation, image, addition=template.before_response(captions))
        rating = chat.following_ids(conversation, template.after_response(captions))
        rating += chat.response_ids(template.rating_prefix) if template.rating_prefix else []
        room = self.max_length - chat.text_length(prompt) - len(rating)
        if room < 1:
            raise DataError(
                f"prompt, facts and rating prompt leave no room for a response in "
                f"{self.max_length} tokens (settings.max_length)"
            )
        answers = [chat.response_ids(response)[:room] for response in responses]
        return [
            TokenSequence(prompt.ids + ids + rating, image, len(prompt), response=len(ids))
            for ids in answers
        ]

    @property
    def knows_marks(self) -> bool:
        """Whether it has learnt which words people mark."""
        return MARKS in self.model.heads

    @property
    def heads(self) -> int:
        """How many heads rate a response."""
        return self.model.head_count(ADAPTER)

    def raw_rewards(self, sequences: Sequence[TokenSequence]) -> Tensor:
        """Mean of the heads' values at the last token of each sequence, ``[batch]``."""
        return self.rewards_by_head(sequences).mean(-1)

    def rewards_by_head(self, sequences: Sequence[TokenSequence]) -> Tensor:
        """Head values at the last token of each sequence, ``[batch, heads]``.

        With gradient if enabled. Image, question and facts that several sequences begin with are
        computed once.
        """
        hidden, lengths = self._hidden(sequences)
        return self._last(hidden, lengths)

    def rewards_and_marks(self, sequences: Sequence[TokenSequence]) -> tuple[Tensor, Tensor]:
        """``rewards_by_head`` and, of each token of the responses, the log-odds of a mark.

        The latter are ``[batch, longest response]``, of no meaning behind a shorter one.
        """
        hidden, lengths = self._hidden(sequences)
        rows = [
            # all of the sequence is there, or only what stands behind its shared beginning
            states[sequence.shared if int(length) == len(sequence) else 0 :][: sequence.response]
            for sequence, states, length in zip(sequences, hidden, lengths, strict=True)
        ]
        logits = self.model.head_values(MARKS, pad_sequence(rows, batch_first=True))
        return self._last(hidden, lengths), logits

    def _hidden(self, sequences: Sequence[TokenSequence]) -> tuple[Tensor, Tensor]:
        keys = [beginning_key(sequence) for sequence in sequences]
        with self.model.using(ADAPTER):
            return hidden_behind_prefixes(self.model, sequences, keys)

    def _last(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        rows = torch.arange(len(hidden), device=hidden.device)
        return self.model.values_by_head(ADAPTER, hidden[rows, lengths - 1])

    def score(
        self, sequences: Sequence[TokenSequence], *, batch_size: int, shared: bool = False
    ) -> Tensor:
        """Raw rewards of many sequences, ``[count]`` on the CPU, in their order.

        With ``shared`` the processes divide them up; all must call it then.
        """
        return self.score_by_head(sequences, batch_size=batch_size, shared=shared).mean(-1)

    @torch.no_grad()
    def score_by_head(
        self,
        sequences: Sequence[TokenSequence],
        *,
        batch_size: int,
        tokens: int = 0,
        shared: bool = False,
    ) -> Tensor:
        """As ``score``, what each head says: ``[count, heads]``.

        ``tokens`` bounds a batch beside ``batch_size`` (``rows_within``).
        """
        scores = torch.zeros(len(sequences), self.heads)

        def put(rows: list[int]) -> None:
            scores[rows] = self.rewards_by_head([sequences[row] for row in rows]).cpu()

        everyone = processes() if shared else Processes()
        self._in_batches(sequences, put, (batch_size, tokens), everyone, scores)
        return scores

    @torch.no_grad()
    def score_tokens(
        self, sequences: Sequence[TokenSequence], *, batch_size: int, tokens: int = 0
    ) -> tuple[Tensor, Tensor]:
        """``score_by_head`` of all processes together, and the chance of a mark on each token.

        The latter is ``[count, longest response]``, 0 behind a shorter one, on the CPU.
        """
        scores = torch.zeros(len(sequences), self.heads)
        chances = torch.zeros(len(sequences), max(sequence.response for sequence in sequences))

        def put(rows: list[int]) -> None:
            part = [sequences[row] for row in rows]
            rewards, logits = self.rewards_and_marks(part)
            scores[rows] = rewards.cpu()
            for row, sequence, found in zip(rows, part, logits.sigmoid().cpu(), strict=True):
                chances[row, : sequence.response] = found[: sequence.response]

        self._in_batches(sequences, put, (batch_size, tokens), processes(), scores, chances)
        return scores, chances

    def _in_batches(
        self,
        sequences: Sequence[TokenSequence],
        put: Callable[[list[int]], None],
        most: tuple[int, int],
        everyone: Processes,
        *found: Tensor,
    ) -> None:
        """Calls ``put`` with the rows of each batch, and puts together what all have ``found``.

        A batch has at ``most`` so many rows and tokens.
        """
        keys, lengths = [beginning_key(s) for s in sequences], [len(s) for s in sequences]
        size = everyone.part_size(most[0], len(sequences))
        for rows in everyone.share([*family_batches(keys, lengths, size, most[1])]):
            self.model.fit("scoring").in_parts(rows, put)
        everyone.sum_(*found)

    def normalised(self, raw: Tensor) -> Tensor:
        """Raw rewards shifted and scaled as found after training."""
        return (raw - self.mean) / self.deviation

    def normalise(self, by_head: Tensor) -> None:
        """Find shift and scale on raw rewards ``[..., heads]``: the mean of the heads has mean 0
        and deviation 1 there, and each head its own mean at 0."""
        self.mean = float(by_head.mean())
        self.deviation = max(float(by_head.mean(-1).std(correction=0)), 1e-6)
        self.offsets = tuple((by_head.flatten(0, -2).mean(0) - by_head.mean()).tolist())

    def spread(self, by_head: Tensor) -> Tensor:
        """How far the heads are apart about each response, in the unit of normalised rewards.

        ``by_head`` are raw rewards ``[..., heads]``; returns ``[...]``. A head that is higher than
        others about everything says nothing by it, so its offset does not count.
        """
        return spread(by_head - torch.tensor(self.offsets or 0.0)) / self.deviation

    def save(
        self, folder: Path, *, golden: Sequence[tuple[Record, str]] = (), images: Path | None = None
    ) -> None:
        """Write adapter, heads and description; ``golden`` are records with a response each."""
        self.model.save_adapter(ADAPTER, folder)
        self.save_heads(folder)
        examples = [] if images is None else self._golden(folder, golden[:GOLDEN_COUNT], images)
        description = {
            "template": asdict(self.template),
            "template_sha256": self.template.sha256,
            "max_length": self.max_length,
            "mean": self.mean,
            "deviation": self.deviation,
            **({"offsets": list(self.offsets)} if self.heads > 1 else {}),
            "golden": [asdict(example) for example in examples],
        }
        (folder / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False))

    @classmethod
    def load(cls, model: VisionLanguageModel, folder: Path, *, batch_size: int = 8) -> RewardModel:
        """Read a saved reward model onto ``model``; ModelError when it is not what it was."""
        try:
            description = document(folder / DESCRIPTION)
            template = RatingTemplate(**description["template"])
            golden = [_golden_from_json(example) for example in description["golden"]]
            reward_model = cls(
                model,
                template,
                max_length=description["max_length"],
                mean=description["mean"],
                deviation=description["deviation"],
                offsets=[float(one) for one in description.get("offsets", ())],
            )
        except DataError as error:
            raise ModelError(f"{folder.name} is not a reward model: {error}") from None
        except KeyError as error:
            lacks = f"{DESCRIPTION} lacks {error.args[0]!r}"
            raise ModelError(f"{folder.name} is not a reward model: {lacks}") from None
        except (ValueError, TypeError):
            other = f"{DESCRIPTION} has another form than this engine writes"
            raise ModelError(f"{folder.name} is not a reward model: {other}") from None
        if template.sha256 != description.get("template_sha256"):
            raise ModelError(f"{folder.name}: the rating template was changed after training")
        model.load_adapter(ADAPTER, folder)
        reward_model.load_heads(folder)
        if len(reward_model.offsets) not in (0, reward_model.heads):
            raise ModelError(
                f"{folder.name}: {DESCRIPTION} has {len(reward_model.offsets)} offsets for "
                f"{reward_model.heads} heads"
            )
        reward_model._check(golden, folder, batch_size)
        return reward_model

    def mark_parameters(self) -> dict[str, nn.Parameter]:
        """Those of the head for marks, by a name that never changes."""
        if not self.knows_marks:
            return {}
        return {f"{MARKS}.{name}": p for name, p in self.model.heads[MARKS].named_parameters()}

    def save_heads(self, folder: Path) -> None:
        self.model.save_head(ADAPTER, folder)
        if self.knows_marks:
            self.model.save_head(MARKS, folder / MARKS)

    def load_heads(self, folder: Path) -> None:
        """Those that were saved; ModelError for one that does not fit."""
        self.model.load_head(ADAPTER, folder)
        if (folder / MARKS).is_dir():
            self.model.load_head(MARKS, folder / MARKS)

    def _golden(
        self, folder: Path, golden: Sequence[tuple[Record, str]], images: Path
    ) -> list[Golden]:
        examples = []
        (folder / "golden").mkdir(exist_ok=True)
        for number, (record, response) in enumerate(golden):
            names = []
            for place, source in enumerate(images / name for name in record.images):
                names.append(f"golden/{number}{f'-{place}' if place else ''}{source.suffix}")
                shutil.copyfile(source, folder / names[-1])
            [image] = self.model.encode_images([tuple(folder / name for name in names)])
            sequences = self.sequences(record.conversation, image, [response], record.captions)
            examples.append(
                Golden(
                    image=names[0] if names else "",
                    more_images=tuple(names[1:]),
                    conversation=record.conversation,
                    response=response,
                    captions=record.captions,
                    score=float(self.score(sequences, batch_size=1)[0]),
                )
            )
        return examples

    def _check(self, golden: Sequence[Golden], folder: Path, batch_size: int) -> None:
        if not golden:
            return
        images = self.model.encode_images(
            [tuple(image_path(folder, name) for name in g.images) for g in golden]
        )
        sequences = [
            sequence
            for example, image in zip(golden, images, strict=True)
            for sequence in self.sequences(
                example.conversation, image, [example.response], example.captions
            )
        ]
        scores = self.score(sequences, batch_size=batch_size).tolist()
        dtype = self.model.base.get_input_embeddings().weight.dtype
        tolerance = _TOLERANCE.get(dtype, 0.15) * max(self.deviation, 0.1)
        for number, (example, score) in enumerate(zip(golden, scores, strict=True)):
            if abs(score - example.score) > tolerance:
                raise ModelError(
                    f"{folder.name}: golden input {number} scores {score:.4f}, "
                    f"but scored {example.score:.4f} when the reward model was saved; "
                    "it belongs to another base model, was trained with other model settings "
                    "(dtype, quantization, pad_images_to_square, max_pixels), or a file was changed"
                )


def _golden_from_json(data: dict[str, object]) -> Golden:
    turns = data["conversation"]
    captions, more = data["captions"], data.get("more_images", [])
    assert isinstance(turns, list) and isinstance(captions, list) and isinstance(more, list)
    return Golden(
        image=str(data["image"]),
        more_images=tuple(more),
        conversation=tuple(Turn(**turn) for turn in turns),
        response=str(data["response"]),
        captions=tuple(captions),
        score=float(str(data["score"])),
    )
