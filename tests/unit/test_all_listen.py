"""The wait of the gateway for its Executors."""

import asyncio
import socket

from serving.jina.pool import all_listen
from serving.jina.ports import reserve_port_pair


def test_it_ends_when_the_last_one_listens() -> None:
    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = reserve_port_pair()
            addresses = {"a": [f"grpc://127.0.0.1:{first.getsockname()[1]}"], "b": [f"grpc://127.0.0.1:{port}"]}
            waiting = asyncio.create_task(all_listen(addresses, lambda: False))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            with socket.create_server(("127.0.0.1", port)):
                await asyncio.wait_for(waiting, 5)

    asyncio.run(scene())


def test_it_ends_when_the_start_is_given_up() -> None:
    asked: list[bool] = []

    def is_given_up() -> bool:
        asked.append(len(asked) >= 2)
        return asked[-1]

    asyncio.run(asyncio.wait_for(all_listen({"a": [f"grpc://127.0.0.1:{reserve_port_pair()}"]}, is_given_up), 5))
    assert asked == [False, False, True]
