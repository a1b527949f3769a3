"""Text as clients and agents mean it: their languages differ in what is white space or a character."""

from __future__ import annotations

# The characters that JavaScript's `trim` removes. Python's `strip` keeps U+FEFF and removes U+0085 and U+001C to
# U+001F, so one key would name two sessions, depending on the side that trimmed it.
_JS_WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)


def js_trim(text: str) -> str:
    return text.strip(_JS_WHITE_SPACE)


def well_formed(text: str) -> str:
    """`text` with each lone surrogate replaced by U+FFFD, so that it can be encoded.

    The halves of a pair that came as two characters become the character they stand for.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
