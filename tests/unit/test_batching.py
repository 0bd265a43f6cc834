"""Queries of several clients that go through the Flow together."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crossmodal.core.errors import InputError, StateError
from executors.schema import MediaDoc
from serving.jina.batching import BATCH_SIZE, BatchedCalls
from serving.jina.flow_calls import FlowCalls


class SlowFlow(FlowCalls):
    """Answers each text with itself in capitals, as slowly as it is told to, and notes what came together."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_answer = asyncio.Event()

    async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
        self.batches.append([doc.text for doc in docs])
        await self.may_answer.wait()
        if any(doc.text == "bad" for doc in docs):
            raise InputError("bad is no query")
        if any(doc.text == "away" for doc in docs):
            raise StateError("the store is away")
        return [MediaDoc(id=doc.id, modality="text", text=f"{endpoint} {doc.text} {parameters}") for doc in docs]


def text(said: str) -> MediaDoc:
    return MediaDoc(modality="text", text=said)


async def asked(flow: FlowCalls, said: str, endpoint: str = "/search", top_k: int = 1) -> str:
    (answer,) = await flow([text(said)], endpoint, {"top_k": top_k})
    return answer.text


def test_what_comes_while_two_are_on_their_way_is_the_next_batch() -> None:
    async def scenario() -> tuple[list[list[str]], list[str]]:
        slow = SlowFlow()
        flow = BatchedCalls(slow)
        asking = [asyncio.create_task(asked(flow, f"q{n}")) for n in range(6)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        slow.may_answer.set()
        return slow.batches, list(await asyncio.gather(*asking))

    batches, answers = asyncio.run(scenario())
    assert sorted(query for batch in batches for query in batch) == [f"q{n}" for n in range(6)]
    assert len(batches) <= 3
    assert answers == [f"/search q{n} {{'top_k': 1}}" for n in range(6)]


def test_the_queries_of_many_clients_are_two_batches() -> None:
    """Each client asks again when it is answered, a little after the client before it."""
    running: list[int] = []
    seen: list[tuple[int, ...]] = []

    class Flow(SlowFlow):
        async def __call__(self, docs: list[MediaDoc], endpoint: str, parameters: dict[str, Any]) -> list[MediaDoc]:
            running.append(len(docs))
            seen.append(tuple(running))
            for _ in range(50):
                await asyncio.sleep(0)
            running.remove(len(docs))
            return docs

    async def scenario() -> None:
        flow = BatchedCalls(Flow())

        async def client(number: int) -> None:
            for n in range(20):
                for _ in range(number):
                    await asyncio.sleep(0)
                await asked(flow, f"q{n}")

        await asyncio.gather(*(client(number) for number in range(32)))

    asyncio.run(scenario())
    assert seen[0] == (1,)
    assert all(len(sizes) == 2 and min(sizes) > 12 for sizes in seen[20:40])


def test_other_parameters_and_other_endpoints_go_apart() -> None:
    async def scenario() -> tuple[list[list[str]], list[str]]:
        slow = SlowFlow()
        slow.may_answer.set()
        flow = BatchedCalls(slow)
        each = [asked(flow, "a"), asked(flow, "b", top_k=2), asked(flow, "c", "/encode"), asked(flow, "d", "/health")]
        return slow.batches, list(await asyncio.gather(*each))

    batches, answers = asyncio.run(scenario())
    assert sorted(batches) == [["a"], ["b"], ["c"], ["d"]]
    assert answers[1] == "/search b {'top_k': 2}"
    assert answers[3] == "/health d {'top_k': 1}"


def test_an_error_is_of_the_one_who_asked_for_it() -> None:
    async def scenario() -> list[str | BaseException]:
        slow = SlowFlow()
        flow = BatchedCalls(slow)
        asking = [asyncio.create_task(asked(flow, said)) for said in ("one", "two", "three", "bad", "four")]
        await asyncio.sleep(0)
        slow.may_answer.set()
        return list(await asyncio.gather(*asking, return_exceptions=True))

    answers = asyncio.run(scenario())
    assert isinstance(answers[3], InputError)
    assert [str(answer).split()[1] for answer in (*answers[:3], answers[4])] == ["one", "two", "three", "four"]


def test_an_error_of_the_service_is_not_asked_for_again() -> None:
    async def scenario() -> tuple[list[list[str]], list[str | BaseException]]:
        slow = SlowFlow()
        slow.may_answer.set()
        flow = BatchedCalls(slow)
        asking = [asyncio.create_task(asked(flow, said)) for said in ("one", "two", "away")]
        return slow.batches, list(await asyncio.gather(*asking, return_exceptions=True))

    batches, answers = asyncio.run(scenario())
    assert batches == [["one", "two", "away"]]
    assert {type(answer) for answer in answers} == {StateError}


def test_a_batch_has_a_largest_size_and_no_id_twice() -> None:
    async def scenario() -> list[list[str]]:
        slow = SlowFlow()
        slow.may_answer.set()
        flow = BatchedCalls(slow)
        same = MediaDoc(id="same", modality="text", text="twice")
        many = [flow([text(f"{n}a"), text(f"{n}b")], "/search", {}) for n in range(BATCH_SIZE)]
        await asyncio.gather(*many, flow([same], "/search", {}), flow([same], "/search", {}))
        return slow.batches

    batches = asyncio.run(scenario())
    assert max(map(len, batches)) <= BATCH_SIZE
    assert all(batch.count("twice") < 2 for batch in batches)
    assert sum(map(len, batches)) == 2 * BATCH_SIZE + 2


def test_who_goes_away_takes_nobody_with_him() -> None:
    async def scenario() -> str:
        slow = SlowFlow()
        flow = BatchedCalls(slow)
        asking = [asyncio.create_task(asked(flow, f"q{n}")) for n in range(4)]
        await asyncio.sleep(0)
        asking[2].cancel()
        asking[0].cancel()
        slow.may_answer.set()
        with pytest.raises(asyncio.CancelledError):
            await asking[2]
        assert await asyncio.wait_for(asked(flow, "later"), 5) == "/search later {'top_k': 1}"
        return await asyncio.wait_for(asking[3], 5)

    assert asyncio.run(scenario()) == "/search q3 {'top_k': 1}"
