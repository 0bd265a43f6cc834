"""Texts that a Flow's YAML hands to its Executors as they are.

Jina replaces `$NAME` and `${{ name }}` in every text on its way, several times, and knows no way to write a `$` that
stays one.
"""


def escaped(text: str) -> str:
    """The text without `$`, for `unescaped` to put back.

    >>> escaped("/data/$HOME/100%"), unescaped(escaped("/data/$HOME/100%"))
    ('/data/%24HOME/100%25', '/data/$HOME/100%')
    """
    return text.replace("%", "%25").replace("$", "%24")


def unescaped(text: str) -> str:
    """The text that was given to `escaped`."""
    return text.replace("%24", "$").replace("%25", "%")
