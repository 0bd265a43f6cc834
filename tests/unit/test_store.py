"""What every store does: nothing twice, nothing half, and followers hear of all."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from stores import OpenStore

from crossmodal.core.errors import InputError
from crossmodal.core.types import Document, Modality
from crossmodal.store.protocol import Store
from crossmodal.store.records import NewDocument, StoreChanges
from crossmodal.store.where import parse

DIM = 4


def changes(store: Store, modality: Modality = "text", seq: int = 0) -> StoreChanges:
    found = store.changes_after(modality, seq)
    assert found is not None
    return found


def item(name: str, modality: str = "text", **fields: object) -> NewDocument:
    vector = np.zeros(DIM, np.float32)
    vector[len(name) % DIM] = 1
    return NewDocument(Document(name, modality, **fields), vector)  # type: ignore[arg-type]


def test_put_and_read_back(open_store: OpenStore) -> None:
    document = Document(
        "id1", "image", "/pictures/ä.jpg", "image/jpeg", "", 640, 480, "",
        {"filename": "ä.jpg", "split": "test", "n": 3, "deep": {"a": [1, None]}},
    )  # fmt: skip
    with open_store(writable=True) as store:
        assert store.put([NewDocument(document, np.eye(DIM, dtype=np.float32)[0], b"jpeg", b"content")]) == ["indexed"]
        assert store.document("id1") == document
        assert store.document("id2") is None
        assert store.thumbnail("id1") == b"jpeg"
        assert set(store.thumbnails([*store.keys("image").tolist(), 99]).values()) == {b"jpeg"}
        assert store.content("id1") == b"content"
        assert store.counts() == {"image": 1, "text": 0}


def test_the_vectors_of_the_captions_of_pictures(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("p", "image"), item("q", "image"), item("aa", image_id="p"), item("bbb", image_id="p")])
        found = store.caption_vectors_of(["p", "q", "nobody", ""])
        assert {own: vectors.tolist() for own, vectors in found.items()} == {"p": [[0, 0, 1, 0], [0, 0, 0, 1]]}


def test_the_texts_of_tags(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        tags = {"a": 1, "b": True, "my tag": "it's", "c": None, "list": ["d"], "deep": {"e": "f"}, "empty": ""}
        store.put([item("p", "image", tags=tags), item("q", "image"), item("r", tags=tags)])
        p, q = store.keys("image").tolist()
        names = ["my tag", "a", "b", "c", "list", "deep", "0", "empty"]
        expected = [(p, "it's", *[None] * 6, ""), (q, *[None] * 8)]
        assert store.tag_texts("image", names) == expected


def test_the_texts_of_lists(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        lists: list[object] = [["it's", "é", 3, None], [], "text", {"0": "x"}]
        store.put([item(f"p{n}", "image", tags={"my tag": value}) for n, value in enumerate(lists)])
        store.put([item("q", "image"), item("r", tags={"my tag": ["caption"]})])
        first, second = store.keys("image").tolist()[:2]
        assert store.tag_lists("image", "my tag") == [(first, ["it's", "é"]), (second, [])]


def test_thumbnail_and_content_may_be_missing(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a", "image")])
        assert store.thumbnail("a") is None
        assert store.content("a") is None
        assert store.thumbnail("nobody") is None
        assert store.thumbnails([*store.keys("image").tolist(), 99]) == {}


def test_put_again_changes_nothing(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a"), item("bb")])
        before = changes(store)
        assert store.put([item("a"), item("bb")]) == ["unchanged", "unchanged"]
        after = changes(store)
        assert before.added.tolist() == after.added.tolist()
        assert before.vectors.tolist() == after.vectors.tolist()
        assert store.last_seq() == 2
        assert store.counts()["text"] == 2


def test_outcomes_come_in_the_order_given(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("b")])
        assert store.put([item("a"), item("b"), item("c"), item("a")]) == [
            "indexed", "unchanged", "indexed", "unchanged",
        ]  # fmt: skip
        assert store.put([]) == []


def test_what_is_said_of_a_known_document_is_refreshed(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a", "image", uri="/old.jpg", tags={"split": "train"}, width=3)])
        moved = item("a", "image", uri="/new.jpg", tags={"split": "test"}, width=3)
        assert store.put([moved]) == ["unchanged"]
        assert store.document("a") == moved.document


def test_a_failed_put_leaves_nothing(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        with pytest.raises(Exception, match=r"(?i)check constraint"):
            store.put([item("a"), item("b", "sound")])
        assert store.document("a") is None
        assert (store.last_seq(), store.behind_s()) == (0, 0)
        assert store.put([item("a")]) == ["indexed"]


def test_vectors_come_in_order_and_in_pages(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("x" * n, "text" if n % 3 else "image") for n in range(1, 11)])
        seq, pages, vectors = 0, [], []
        while True:
            found = store.changes_after("text", seq, limit=3)
            assert found is not None
            seq = found.last_seq
            pages.append(len(found.added))
            vectors.append(found.vectors)
            assert found.vectors.shape == (len(found.added), DIM)
            assert found.vectors.dtype == np.float32
            if found.is_all:
                break
        assert seq == store.last_seq() == 10
        assert pages == [3, 3, 1]
        places = np.concatenate(vectors).argmax(axis=1).tolist()
        assert places == [n % DIM for n in range(1, 11) if n % 3]


def test_vectors_after_the_last(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a")])
        found = changes(store, "image")
        assert (len(found.added), len(found.vectors), found.last_seq) == (0, 0, 1)
        assert changes(store, "text", 1).last_seq == 1


def test_documents_by_key(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        items = [item(f"id-{n}") for n in range(1_201)]
        store.put(items)
        keys = store.keys("text")
        found = store.by_keys([*keys.tolist(), -1, 10**9])
        assert [found[key] for key in keys.tolist()] == [i.document for i in items]
        assert len(found) == len(items)
        assert set(store.known([i.document.id for i in items] + ["nobody"])) == {i.document.id for i in items}
        assert store.by_keys([]) == {}
        assert store.known([]) == {}


def test_many_pictures_are_removed_with_their_captions_in_the_order_they_came(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item(f"p{n}", "image") for n in range(600)])
        store.put([item(f"c{n}", image_id=f"p{599 - n}") for n in range(600)])
        removed = [document.id for document in store.remove(["c1", *(f"p{n}" for n in range(599)), "nobody"])]
        assert removed == [*(f"p{n}" for n in range(599)), *(f"c{n}" for n in range(1, 600))]
        assert store.counts() == {"image": 1, "text": 1}
        assert len(changes(store, "text").removed) == 599


def test_captions_of_a_picture_in_the_order_they_came(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("p", "image"), item("z", image_id="p", text="one"), item("q", image_id="other")])
        store.put([item("a", image_id="p", text="two")])
        assert [d.text for d in store.captions_of(["p", "nobody"])["p"]] == ["one", "two"]
        assert store.captions_of(["nobody"]) == {}


def test_another_connection_sees_what_was_committed(open_store: OpenStore) -> None:
    with open_store(writable=True) as writer:
        writer.put([item("a")])
        with open_store() as reader:
            version = reader.data_version()
            assert reader.data_version() == version
            writer.put([item("b")])
            assert reader.data_version() != version
            assert reader.document("b") is not None
            assert reader.last_seq() == 2


def test_what_put_returned_is_there_after_reopening(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a")])
    with open_store(writable=True) as store:
        assert store.put([item("a"), item("b")]) == ["unchanged", "indexed"]
        assert store.last_seq() == 2


def test_threads_may_share_a_store(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        threads = [
            threading.Thread(target=lambda t=t: [store.put([item(f"{t}-{n}"), item("same")]) for n in range(10)])  # type: ignore[misc]
            for t in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert store.counts()["text"] == 41
        assert len(changes(store).added) == 41


def test_removed_documents_are_gone_with_all_that_was_kept_of_them(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        picture = NewDocument(Document("p", "image"), np.eye(DIM, dtype=np.float32)[0], b"jpeg", b"content")
        store.put([picture, item("t1", image_id="p"), item("t2", image_id="other"), item("t3")])
        removed = store.remove(["p", "nobody", "p"])
        assert [document.id for document in removed] == ["p", "t1"]
        assert set(store.known(["p", "t1", "t2", "t3"])) == {"t2", "t3"}
        assert (store.thumbnail("p"), store.content("p")) == (None, None)
        assert store.counts() == {"image": 0, "text": 2}
        assert store.last_seq() == 6
        assert store.remove(["p"]) == []


def test_a_removed_id_that_comes_back_has_a_new_key(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a"), item("b")])
        [_, last] = store.keys("text").tolist()
        store.remove(["b"])
        assert store.put([item("b")]) == ["indexed"]
        assert store.keys("text").tolist()[1] > last


def test_changes_tell_what_came_and_went(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a"), item("b"), item("p", "image")])
        seen = changes(store).last_seq
        [a, b] = store.keys("text").tolist()
        store.remove(["a", "p"])
        store.put([item("c"), item("d")])
        store.remove(["d"])
        found = changes(store, "text", seen)
        assert [store.by_keys([key])[key].id for key in found.added.tolist()] == ["c"]
        assert found.removed.tolist()[0] == a
        assert b not in found.removed.tolist()
        assert len(changes(store, "image", seen).removed) == 1


def test_who_has_not_heard_of_forgotten_removals_starts_over(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a"), item("b")])
        seen = store.last_seq()
        store.remove(["a"])
        store.compact()
        assert store.changes_after("text", seen) is None
        assert len(changes(store, "text", 0).added) == 1
        assert changes(store, "text", store.last_seq()).is_all


def test_who_starts_over_in_pages_comes_to_an_end(open_store: OpenStore) -> None:
    """Its sequence numbers are below those of forgotten removals until the last page."""
    with open_store(writable=True) as store:
        store.put([item(f"{n}") for n in range(9)])
        store.remove(["1", "5"])
        store.compact()
        found, seq, forgotten = [], 0, 0
        for _ in range(4):
            page = store.changes_after("text", seq, 2, forgotten=forgotten)
            assert page is not None
            found += page.added.tolist()
            seq, forgotten = page.last_seq, page.forgotten
        assert page.is_all
        assert len(found) == 7
        store.remove(["2"])
        page = store.changes_after("text", 0, 2, forgotten=forgotten)
        assert page is not None
        store.compact()  # in the middle of a pass: it may have seen what is gone now
        assert store.changes_after("text", page.last_seq, 2, forgotten=page.forgotten) is None


def test_compacting_gives_space_back(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([replace(item(f"p{n}", "image"), content=bytes(20_000)) for n in range(100)])
        store.remove([f"p{n}" for n in range(50)])
        before, after = store.compact()
        assert after < 0.6 * before
        assert store.size_bytes() == after
        assert store.counts()["image"] == 50


def test_tags_are_merged(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a", tags={"year": 2020, "place": {"city": "Oslo", "lat": 59}, "old": 1})])
        patch = {"place": {"lat": None, "country": "Norway"}, "old": None, "new": [1]}
        assert store.update([("a", patch), ("nobody", {"x": 1})]) == [True, False]
        found = store.document("a")
        assert found is not None
        assert found.tags == {"year": 2020, "place": {"city": "Oslo", "country": "Norway"}, "new": [1]}


def test_conditions_choose_documents(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item(f"d{n}", "image" if n % 2 else "text", tags={"n": n}) for n in range(10)])
        condition = parse("tags.n >= 4 and tags.n < 8")
        assert store.ids_where(condition) == ["d4", "d5", "d6", "d7"]
        chosen = store.by_keys(store.keys_where(condition, "image").tolist())
        assert sorted(document.id for document in chosen.values()) == ["d5", "d7"]


def test_what_is_remembered_follows_every_commit(open_store: OpenStore) -> None:
    def found(text: str) -> list[int]:
        keys: list[int] = reader.keys_where(parse(text), "image").tolist()
        return keys

    with open_store(writable=True) as store, open_store() as reader:
        store.put([item(f"p{n}", "image", tags={"n": n, "is": bool(n)}) for n in range(3)])
        first, second, third = reader.keys("image").tolist()
        assert found("tags.n = 1") == [second]
        assert found("tags.n = true") == []  # 1 == True in Python
        assert found("tags.is = true") == [second, third]
        assert reader.counts() == {"image": 3, "text": 0}
        store.update([("p0", {"n": 1})])
        assert found("tags.n = 1") == [first, second]
        store.remove(["p1"])
        assert found("tags.n = 1") == [first]
        assert reader.counts() == {"image": 2, "text": 0}
        for n in range(20):  # more than are remembered
            assert len(found(f"tags.n >= {n}")) == sum(value >= n for value in (1, 2))


def test_vectors_by_id(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        store.put([item("a"), item("bb")])
        found = store.vectors_of(["bb", "nobody", "a"])
        assert {name: vector.argmax() for name, vector in found.items()} == {"a": 1, "bb": 2}


def test_a_reader_cannot_write(open_store: OpenStore) -> None:
    open_store(writable=True).close()
    with open_store() as reader, pytest.raises(Exception, match=r"read-?only"):
        reader.put([item("a")])


def test_documents_of_one_id_do_not_replace_each_other(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        first = item("a", text="first")
        store.put([first])
        store.put([NewDocument(replace(first.document, text="second"), np.eye(DIM, dtype=np.float32)[3])])
        found = store.document("a")
        assert found is not None
        assert found.text == "first"
        assert changes(store).vectors.tolist() == [first.vector.tolist()]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_tags_that_are_no_json_are_refused(open_store: OpenStore, number: float) -> None:
    with open_store(writable=True) as store:
        with pytest.raises(InputError, match="NaN or Infinity"):
            store.put([item("a"), item("b", tags={"x": number})])
        assert store.counts()["text"] == 0
        assert store.put([item("a")]) == ["indexed"]


def test_random_captions_are_of_different_pictures(open_store: OpenStore) -> None:
    with open_store(writable=True) as store:
        assert store.random_captions(4) == []
        store.put([item(f"{n}", "image") for n in range(6)])
        store.put([item(f"of {n}, {m}", image_id=f"{n}") for n in range(6) for m in range(3)])
        drawn = [store.random_captions(3) for _ in range(20)]
        assert all(len({found.image_id for found in captions}) == 3 for captions in drawn)
        assert len({found.id for captions in drawn for found in captions}) > 6
        assert len(store.random_captions(20)) <= 6
