"""Language codes from what data sets write: ISO 639-3 codes (Aya) and English names (WildChat, LMSYS-Chat)."""

from __future__ import annotations

import functools

_OTHER_NAMES = {
    "bengali": "bn", "bokmal": "nb", "frisian": "fy", "kirghiz": "ky", "laothian": "lo", "maori": "mi", "nynorsk": "nn",
    "oriya": "or", "panjabi": "pa", "pedi": "nso", "sesotho": "st", "sinhalese": "si", "slovene": "sl", "sotho": "st",
    "uighur": "ug",
}
"""Names that language detectors give (Lingua for WildChat, CLD2 for LMSYS-Chat) and CLDR does not, in lower case."""


@functools.lru_cache(maxsize=1024)
def language_code(name: str) -> str | None:
    """The shortest code by Unicode CLDR: `kor`, `Korean` and `ko` → `ko`; None for what names no language (`Nolang`)."""
    from babel.core import get_global

    aliases, names = get_global("language_aliases"), _english_names()
    code = names.get(name.strip().lower()) or _OTHER_NAMES.get(name.strip().lower(), name.strip().lower())
    code = aliases.get(code, code)
    return code if code in names.values() else None


@functools.cache
def _english_names() -> dict[str, str]:
    """English name in lower case → code, for all languages of CLDR."""
    from babel import Locale

    return {name.lower(): code.replace("_", "-") for code, name in Locale("en").languages.items()}
