"""Chat turns that were saved as HTML, as Markdown-like text: paragraphs, lists and code survive, the rest of the tags go."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = frozenset({"p", "div", "ul", "ol", "table", "tr", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6"})
_WHOLE = re.compile(r"\s*<(div|p|ul|ol|table|h[1-6])\b[^>]*>.*</(div|p|ul|ol|table|pre|blockquote|h[1-6])>\s*", re.DOTALL)


def looks_like_html(text: str) -> bool:
    """Whether a whole turn is HTML: it begins with a block's start tag and ends with a block's end tag.

    A turn that talks about HTML, or shows some in a code block, begins or ends with words or back-ticks.
    """
    return text.lstrip().startswith("<") and _WHOLE.fullmatch(text) is not None


def html_to_text(html: str) -> str:
    """The text of an HTML fragment: `<p>Hi <b>you</b></p><ul><li>a</li></ul>` → `Hi you` and `- a`."""
    parser = _TextOfHtml()
    parser.feed(html)
    parser.close()
    return re.sub(r"\n{3,}", "\n\n", "".join(parser.pieces)).strip()


class _TextOfHtml(HTMLParser):
    """Collects text. A class because HTMLParser calls methods."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "pre":
            self._preformatted += 1
            self.pieces.append("\n\n```\n")
        elif tag == "code" and not self._preformatted:
            self.pieces.append("`")
        elif tag == "li":
            self.pieces.append("\n- ")
        elif tag == "br":
            self.pieces.append("\n")
        elif tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "pre" and self._preformatted:
            self._preformatted -= 1
            self.pieces.append("\n```\n\n")
        elif tag == "code" and not self._preformatted:
            self.pieces.append("`")
        elif tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        text = data if self._preformatted else re.sub(r"\s+", " ", data)
        self.pieces.append(text if text.strip() or self._preformatted or (self.pieces and self.pieces[-1][-1:].strip()) else "")
