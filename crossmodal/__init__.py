"""Cross-modal search: pictures with words, captions with a picture, pictures with a picture.

The library; it knows neither Jina nor HTTP. `executors/` and `gateway/` are the shell round it.
"""

__version__ = "0.1.0"
