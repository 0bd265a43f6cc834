"""Errors that a user or an operator can fix.

    CrossModalError
    ├── InputError            invalid argument, picture or request (HTTP 4xx, exit status 1)
    │   └── PictureError      one unreadable picture; the run continues without it
    │       └── TooLargeError it has too many bytes, which another attempt does not change
    └── StateError            index, model or machine is not in the required state (HTTP 503, exit status 1)
        └── NotWritableError  a file or collection is read-only; reading it still works

Catch `InputError` around one item of many and `CrossModalError` at the program's edge. A message says what failed,
for which item, what was expected, what was found, and what to do next. Any other exception is a bug.
"""


class CrossModalError(Exception):
    """Base class of all errors whose message is written for users."""


class InputError(CrossModalError):
    """The caller's input is invalid; repeating the call fails again."""


class PictureError(InputError):
    """A picture can't be read or decoded, or exceeds a limit."""


class TooLargeError(PictureError):
    """A picture has more bytes than the limit and was not read."""


class StateError(CrossModalError):
    """The index, the weights or the machine are not in the state that the call requires."""


class NotWritableError(StateError):
    """A write target is read-only, for this user or for all users."""
