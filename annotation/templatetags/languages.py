"""What scripts say, in the language of the page."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.templatetags.static import static
from django.utils.translation import get_language

register = template.Library()


@register.simple_tag
def known_languages() -> list[tuple[str, str]]:
    """Codes and names; Django's own tag would translate the names."""
    return list(settings.LANGUAGES)


@register.simple_tag
def texts_of_scripts() -> str:
    """The address of the texts that scripts of the page say; "" in English, which they speak.

    Made of the catalogues by ``make languages``.
    """
    spoken = get_language() or settings.LANGUAGE_CODE
    return "" if spoken == settings.LANGUAGE_CODE else static(f"js/texts/{spoken}.js")
