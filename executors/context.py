"""Escapes texts for a Flow's YAML.

Jina replaces `$NAME` and `${{ name }}` in every text, several times, and has no way to write a literal `$`.
"""


def escaped(text: str) -> str:
    """The text without `$`; `unescaped` restores it.

    >>> escaped("/data/$HOME/100%"), unescaped(escaped("/data/$HOME/100%"))
    ('/data/%24HOME/100%25', '/data/$HOME/100%')
    """
    return text.replace("%", "%25").replace("$", "%24")


def unescaped(text: str) -> str:
    """The original of a text from `escaped`."""
    return text.replace("%24", "$").replace("%25", "%")
