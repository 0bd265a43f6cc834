"""The errors a user or an operator can do something about.

    CrossModalError
    ├── InputError        the caller's fault: bad argument, bad picture, bad request (HTTP 4xx, exit 1)
    │   └── PictureError  one picture that can't be read; the run goes on without it
    └── StateError        index, model or machine is not in the state asked for (HTTP 503, exit 1)
        └── NotWritableError  what may only be read; reading it goes on

Catch `InputError` around one item of many, `CrossModalError` at the edge. A message says what, which
item, what was expected, what was found, and the next step. Anything else that is raised is a bug.
"""


class CrossModalError(Exception):
    """Base of all errors whose message is meant for a person."""


class InputError(CrossModalError):
    """What the caller gave is wrong; the same call again fails again."""


class PictureError(InputError):
    """A picture that can't be read, decoded or accepted."""


class StateError(CrossModalError):
    """The index, the weights or the machine are not in the state the call needs."""


class NotWritableError(StateError):
    """What was to be written to may only be read, by this user or by everybody."""
