"""How the published chat templates of the families write turns: what stands where, in our words.

The templates themselves are other people's files. What ``Form.jinja`` gives was compared with what
they give, for conversations of one to five rounds with an image first: llava-hf 1.5,
llava-onevision, Qwen2.5-VL, Gemma 3, Idefics3, SmolVLM (Qwen3-VL's was read only). SmolVLM's comes
with transformers and is compared in the tests.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """Texts around turns; ``end`` is empty where the template ends an answer with no token."""

    user: str
    answer: str
    image: str
    prompting: str
    begin: str = ""
    before_text: str = ""
    after_text: str = ""
    end: str = ""
    between: str = ""
    with_image: str = ""
    """How a user's turn begins that has the image, if otherwise."""

    @property
    def jinja(self) -> str:
        """A chat template that writes turns so."""
        has_image = "m['content'][0]['type'] == 'image'"
        user = _either(has_image, self.with_image or self.user, self.user)
        pictures = _each("image", self.image)
        texts = _each("text", self.before_text + "{{ c['text'] }}" + self.after_text)
        turn = _either("m['role'] == 'user'", user, self.answer) + pictures + texts
        return (
            self.begin
            + "{% for m in messages %}"
            + (turn + self.end + self.between)
            + "{% endfor %}{% if add_generation_prompt %}"
            + (self.prompting + "{% endif %}")
        )


def _either(condition: str, one: str, other: str) -> str:
    return "{% if " + condition + " %}" + one + "{% else %}" + other + "{% endif %}"


def _each(kind: str, text: str) -> str:
    """``text`` for each part of a turn that is of a kind."""
    inner = "{% if c['type'] == '" + kind + "' %}" + text + "{% endif %}"
    return "{% for c in m['content'] %}" + inner + "{% endfor %}"


_CHATML_END = "<|im_end|>"
_QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
_SYSTEM = "<|im_start|>system{n}You are a helpful assistant.<|im_end|>{n}"


def _lines(text: str) -> str:
    """Line ends that Jinja does not trim behind a block."""
    return text.replace("{n}", "{{ '\\n' }}")


def _chatml(*, image: str, begin: str = "") -> Form:
    return Form(
        begin=_lines(begin),
        user=_lines("<|im_start|>user{n}"),
        answer=_lines("<|im_start|>assistant{n}"),
        image=image,
        end=_CHATML_END,
        between=_lines("{n}"),
        prompting=_lines("<|im_start|>assistant{n}"),
    )


def _idefics(begin: str) -> Form:
    return Form(
        begin=begin,
        user="User: ",
        with_image="User:",
        answer="Assistant: ",
        image="<image>",
        end="<end_of_utterance>",
        between=_lines("{n}"),
        prompting="Assistant:",
    )


PUBLISHED: dict[str, Form] = {
    "llava": Form(
        user="USER: ",
        answer="ASSISTANT: ",
        image=_lines("<image>{n}"),
        after_text="{{ ' ' }}",
        prompting="ASSISTANT:",
    ),
    "llava_onevision": Form(
        user="<|im_start|>user ",
        answer="<|im_start|>assistant ",
        image="<image>",
        before_text=_lines("{n}"),
        end=_CHATML_END,
        prompting=_lines("<|im_start|>assistant{n}"),
    ),
    # llava-onevision-qwen2-7b-si-hf was first published with this one.
    "llava_onevision, first": _chatml(image=_lines("<image>{n}")),
    "qwen2_5_vl": _chatml(image=_QWEN_IMAGE, begin=_SYSTEM),
    "qwen3_vl": _chatml(image=_QWEN_IMAGE),
    "gemma3": Form(
        begin="{{ bos_token }}",
        user=_lines("<start_of_turn>user{n}"),
        answer=_lines("<start_of_turn>model{n}"),
        image="<start_of_image>",
        end="<end_of_turn>",
        between=_lines("{n}"),
        prompting=_lines("<start_of_turn>model{n}"),
    ),
    "idefics3": _idefics("<|begin_of_text|>"),
    "smolvlm": _idefics("<|im_start|>"),
}
