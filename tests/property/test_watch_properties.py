"""Whatever happens to a watched folder, and whenever the program is restarted, the index ends up equal to the folder.

`WATCH_OPERATIONS` sets how many operations are tried.
"""

from __future__ import annotations

import os
import time

from watch_world import DEBOUNCE_S, RULES, Chance, WatchedFolder, unmounted, wait_until, watched

__all__ = ["watched"]

OPERATIONS = int(os.environ.get("WATCH_OPERATIONS", "150"))
ROUND = 25
"""Operations between two restarts."""


def test_the_index_follows_the_folder_through_restarts(watched: WatchedFolder) -> None:
    chance, n_rounds = Chance(watched.root, 1), 0
    (watched.root / ".crossmodalignore").write_text(RULES)

    def happens() -> None:
        at_once = chance.random.random() < 0.5
        for _ in range(ROUND):
            chance.happen()
            if not at_once:
                time.sleep(chance.random.choice((0, 0, DEBOUNCE_S / 2)))
        extra = n_rounds % 4
        if extra == 1:
            chance.burst(500 if OPERATIONS >= 1000 else 100)
        elif extra == 2:
            chance.write_slowly()
        elif extra == 3 and any(watched.root.iterdir()):
            watched.wait_until_in_step()
            check_unmounted(watched)
        if n_rounds % 3:  # every third round the program is stopped in the middle of it
            watched.wait_until_in_step()

    while chance.n_done < OPERATIONS:
        for _ in range(chance.random.randrange(8)):  # while it does not run
            chance.happen()
        watched.watch_while(happens)
        n_rounds += 1
    watched.watch_while(watched.wait_until_in_step)
    assert watched.on_disk()
    assert watched.is_in_step()


def check_unmounted(watched: WatchedFolder) -> None:
    """Nothing is removed while the folder is not there."""
    before, n_said = watched.pictures(), len(watched.log)
    with unmounted(watched.root, watched.base / "aside"):
        said = lambda: any("nothing is removed" in line for line in watched.log[n_said:])  # noqa: E731
        wait_until(said, 30, lambda: "\n".join(watched.log))
        assert watched.pictures() == before
