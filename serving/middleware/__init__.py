"""The middleware that a request passes before it reaches a route.

Each is an ASGI middleware in a file of its own. From the outside in, and why in this order:

    SecurityHeaders    on every answer, also on the refusals of the others and on a bug's 500
    Addresses          checks the Host and Origin headers
    CORS, Starlette's  a preflight carries no key, and a page may read a refusal only with CORS headers on it
    ApiKeys            checks the API key
    RateLimit          counts by key, so it stands behind ApiKeys
    BodyLimit          reads the whole body, so that slow senders take no slots of ConcurrencyLimit
    ConcurrencyLimit   admits as many requests as the machine can work on, and sheds the rest

A refusal is problem+json (RFC 9457), or the response that `answer` makes of the problem.
Lifespan scopes pass all middleware, WebSocket all but Addresses.
"""

from serving.middleware.addresses import Addresses
from serving.middleware.body import BodyLimit
from serving.middleware.concurrency import ConcurrencyLimit
from serving.middleware.headers import SecurityHeaders
from serving.middleware.keys import ApiKeys, KeyRecord, KeyRing, key_of, new_key, read_keys, write_keys
from serving.middleware.problem import Answer, Problem, problem_json
from serving.middleware.rate import RateLimit

__all__ = [
    "Addresses",
    "Answer",
    "ApiKeys",
    "BodyLimit",
    "ConcurrencyLimit",
    "KeyRecord",
    "KeyRing",
    "Problem",
    "RateLimit",
    "SecurityHeaders",
    "key_of",
    "new_key",
    "problem_json",
    "read_keys",
    "write_keys",
]
