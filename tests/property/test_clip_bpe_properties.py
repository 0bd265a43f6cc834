"""CLIP's tokenizer against open_clip's."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossmodal.core.errors import InputError
from crossmodal.encoders.clip_bpe import ClipBpe, bpe_of, openai_merges
from crossmodal.encoders.clip_weights import BUNDLED_FOLDER, MERGES_NAME
from crossmodal.encoders.torchvision_guard import prepare_torchvision

prepare_torchvision()

from open_clip.tokenizer import SimpleTokenizer  # noqa: E402

OPENAI = (ClipBpe(openai_merges()), SimpleTokenizer())
SCENES = (
    ClipBpe(BUNDLED_FOLDER / MERGES_NAME, 48),
    SimpleTokenizer(str(BUNDLED_FOLDER / MERGES_NAME), context_length=48),
)

PARTS = (
    "dog", "Dogs", "DON'T", "we'll", "'s", "'ſ", "’s", "“quoted”", "3.14", "x1y2", "½", "Ⅷ", "٣", "naïve", "CAFÉ",
    "ﬁne", "ẞ", "İ", "K", "写真", "スノーボード", "한국어", "भारत", "🎈", "👩\u200d👧", "é", "&amp;", "&amp;lt;",
    "&eacute", "&#128512;", "<b>", "&", "schÃ¶n", "â€œmojibakeâ€\x9d", "<start_of_text>", "<END_OF_TEXT>", "\x1b[31m",
    "\t", "\r\n", "\u2028", "\xa0", "\x00", "\x7f", "…", "!!!", "_", "a_b", "a" * 24, "antidisestablishmentarianism",
    "extra" * 30,
)  # fmt: skip
TEXTS = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join),
    st.lists(st.sampled_from(PARTS), max_size=12).map("".join),
    st.text(max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=400),
    st.text(st.characters(categories=["L", "N", "P"]), max_size=200),
)


@pytest.mark.parametrize(("ours", "theirs"), [OPENAI, SCENES], ids=["openai", "scenes"])
@given(texts=st.lists(TEXTS, min_size=4, max_size=12))
@example(texts=["", " ", "a photo of two dogs", "long " * 100, "&amp;amp;amp;"])
@settings(max_examples=200)
def test_the_ids_are_those_of_open_clip(ours: ClipBpe, theirs: SimpleTokenizer, texts: list[str]) -> None:
    rows = [ours.encode(text) for text in texts]
    assert ours.padded(rows, ours.context_length).tolist() == theirs(texts).tolist()


@pytest.mark.parametrize("ours", [OPENAI[0], SCENES[0]], ids=["openai", "scenes"])
def test_a_long_text_keeps_its_end_token(ours: ClipBpe) -> None:
    (end,) = set(ours.encode("")[1:])
    row = ours.encode("many words " * 60)
    assert len(row) == ours.context_length
    assert row.index(end) == len(row) - 1


def test_rows_are_padded_to_the_longest() -> None:
    ids = OPENAI[0].padded([[1, 2, 3], [4]])
    assert ids.tolist() == [[1, 2, 3], [4, 0, 0]]
    assert ids.dtype == "int64"
    assert OPENAI[0].padded([]).shape == (0, 0)


@pytest.mark.parametrize(
    "text_config", [{"hf_tokenizer_name": "timm/ViT-B-16-SigLIP"}, {"tokenizer_kwargs": {"reduction_mask": "simple"}}]
)
def test_other_tokenizers_are_left_to_open_clip(text_config: dict[str, object]) -> None:
    assert bpe_of(text_config) is None


def test_a_configuration_states_the_context_length() -> None:
    for text_config, expected in (({"context_length": 32}, 32), ({}, 77)):
        tokenizer = bpe_of(text_config)
        assert tokenizer is not None
        assert len(tokenizer.encode("word " * 100)) == expected


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"#version\na b\n")[:-9], gzip.compress(b"\xff\n")],
    ids=["empty", "no gzip", "cut short", "no UTF-8"],
)
def test_damaged_merges(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bpe.txt.gz").write_bytes(content)
    if content:
        with pytest.raises(InputError, match=r"bpe\.txt\.gz can't be read or are damaged"):
            bpe_of({}, tmp_path / "bpe.txt.gz")
    with pytest.raises(InputError, match="No such file"):
        bpe_of({}, tmp_path / "none.txt.gz")


def test_an_english_text_is_encoded_without_other_packages() -> None:
    code = """
import json, sys
from crossmodal.encoders.clip_bpe import bpe_of
ids = bpe_of({}).encode("Two dogs, and a cat's ball!")
print(json.dumps([ids, [name for name in ("torch", "open_clip", "ftfy", "regex", "httpx") if name in sys.modules]]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    ids, found = json.loads(done.stdout)
    assert ids == OPENAI[0].encode("Two dogs, and a cat's ball!")
    assert found == []
