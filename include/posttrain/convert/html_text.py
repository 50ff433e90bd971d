"""Chat turns that were saved as HTML, as Markdown: markdownify does it, and what the chat site's buttons left in goes first."""

from __future__ import annotations

import re
from typing import Any

from posttrain.schema import UnreadableRow

_WHOLE = re.compile(r"\s*<(div|p|ul|ol|table|pre|h[1-6])\b[^>]*>.*</(div|p|ul|ol|table|pre|blockquote|h[1-6])>\s*", re.DOTALL)
_LANGUAGE = re.compile(r"language-([\w+#.-]+)")
_PAGES = re.compile(r"\A\d+ / \d+\s+")
_COPIED = re.compile(r"Copy\d+ chars / \d+ words")
"""Two buttons of a browser extension, as FastChat's clean_sharegpt.py names them."""


def looks_like_html(text: str) -> bool:
    """Whether a whole turn is HTML: it begins with a block's start tag and ends with a block's end tag.

    A turn that talks about HTML, or shows some in a code block, begins or ends with words or back-ticks.
    """
    return text.lstrip().startswith("<") and _WHOLE.fullmatch(text) is not None


def html_to_markdown(html: str) -> str:
    """The Markdown of an HTML fragment: `<p>Hi <b>you</b></p><ul><li>a</li></ul>` → `Hi **you**` and `- a`.

    Raises UnreadableRow for elements nested some hundred levels deep, through which the library cannot walk.
    """
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    try:
        return _markdown(BeautifulSoup(_COPIED.sub("", html), "html.parser"), MarkdownConverter)
    except RecursionError as error:
        raise UnreadableRow("wrong_type", "value", "HTML elements are nested too deep") from error


def _markdown(soup: Any, converter_class: Any) -> str:
    for button in soup.find_all(["button", "svg"]):
        button.decompose()
    for block in soup.find_all("pre"):
        _keep_only_code(block)
    converter = converter_class(bullets="-", heading_style="ATX", escape_asterisks=False, escape_underscores=False,
                                code_language_callback=lambda block: block.get("data-language", ""))
    markdown = converter.convert_soup(soup).replace("  \n", "\n")
    return _PAGES.sub("", re.sub(r"\n{3,}", "\n\n", markdown).strip())


def _keep_only_code(block: Any) -> None:
    """A code block without the bar above it, which holds the language's name and the words `Copy code`."""
    code = block.find("code")
    if code is None:
        return
    text = code.get_text()
    named = _LANGUAGE.search(" ".join(code.get("class") or []))
    label = block.get_text().partition(text)[0].replace("Copy code", "").strip() if text else ""
    block.string = text.strip("\n")
    block["data-language"] = named[1] if named else label if re.fullmatch(r"[\w+#.-]{1,20}", label) else ""
