"""The middleware that a request passes before it reaches a route.

Each file has one ASGI middleware. From the outermost to the innermost, with the reason for the order:

    SecurityHeaders    on every answer, including refusals by the others and the 500 of a bug
    Addresses          checks the Host and Origin headers
    CORS (Starlette)   before ApiKeys: a preflight has no key, and a page can read a refusal only with CORS headers
    ApiKeys            checks the API key
    RateLimit          after ApiKeys, because it counts by key
    BodyLimit          reads the whole body, so that slow senders take no slots of ConcurrencyLimit
    ConcurrencyLimit   admits as many requests as the machine can process, and rejects the rest
    PrivateLocation    after ApiKeys; it changes the answers of routes

A refusal is problem+json (RFC 9457), or the response that `answer` returns for the problem.
Lifespan scopes pass all middleware, WebSocket all but Addresses.
"""

from serving.middleware.addresses import Addresses
from serving.middleware.body import BodyLimit
from serving.middleware.concurrency import ConcurrencyLimit
from serving.middleware.headers import SecurityHeaders
from serving.middleware.keys import ApiKeys, KeyRecord, KeyRing, key_of, new_key, read_keys, write_keys
from serving.middleware.private_location import PrivateLocation
from serving.middleware.problem import Problem, Responder, problem_json
from serving.middleware.rate import RateLimit

__all__ = [
    "Addresses",
    "ApiKeys",
    "BodyLimit",
    "ConcurrencyLimit",
    "KeyRecord",
    "KeyRing",
    "PrivateLocation",
    "Problem",
    "RateLimit",
    "Responder",
    "SecurityHeaders",
    "key_of",
    "new_key",
    "problem_json",
    "read_keys",
    "write_keys",
]
