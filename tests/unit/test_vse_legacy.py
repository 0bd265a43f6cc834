"""Published checkpoints of VSE++: read as they were written in 2017, and never run.

The checkpoints here are made by a model written as the authors' was, with torchvision's nets and names, and
compared with its own encodings.
"""

import argparse
import copyreg
import io
import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossmodal.core.errors import InputError
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.encoders.vocabulary import SPECIAL_WORDS
from crossmodal.encoders.vse_legacy import load_published, read_published, read_vocabulary

prepare_torchvision()

import timm  # noqa: E402
from timm.models.vgg import VGG  # noqa: E402
from torchvision.models import resnet18  # noqa: E402

WORDS = [*SPECIAL_WORDS, "a", "dog", "été"]
JOINT, WORD = 12, 6
VGG_WIDTHS = (4, "M", 4, "M", 6, "M", 6, "M", 8, "M")
VGG_HIDDEN = 16


@pytest.fixture(autouse=True, scope="module")
def small_vgg() -> Iterator[None]:
    """A narrow VGG, known to timm as `vgg_small`; the real ones have 139 million weights."""

    def vgg_small(num_classes: int = 1000, **_: object) -> VGG:
        return VGG(list(VGG_WIDTHS), num_classes, mlp_ratio=VGG_HIDDEN / 4096)

    entries = timm.models._registry._model_entrypoints
    entries["vgg_small"] = vgg_small
    yield
    del entries["vgg_small"]


class PublishedVgg(nn.Module):
    """torchvision's VGG without its last layer, its features in a DataParallel."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in VGG_WIDTHS:
            if isinstance(width, int):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.DataParallel(nn.Sequential(*layers))
        self.classifier = nn.Sequential(
            nn.Linear(8 * 7 * 7, VGG_HIDDEN), nn.ReLU(), nn.Dropout(),
            nn.Linear(VGG_HIDDEN, 4096), nn.ReLU(), nn.Dropout(),
        )  # fmt: skip

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1))


class PublishedImageTower(nn.Module):
    def __init__(self, cnn_type: str) -> None:
        super().__init__()
        if cnn_type == "vgg_small":
            self.cnn, width = PublishedVgg(), 4096
        else:
            net = resnet18()
            net.fc = nn.Sequential()
            self.cnn, width = nn.DataParallel(net), 512
        self.fc = nn.Linear(width, JOINT)

    def forward(self, images: Tensor) -> Tensor:
        return F.normalize(self.fc(F.normalize(self.cnn(images))))


class PublishedTextTower(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(len(WORDS), WORD)
        self.rnn = nn.GRU(WORD, JOINT, 1, batch_first=True)

    def forward(self, ids: Tensor) -> Tensor:
        """One text without padding."""
        out, _ = self.rnn(self.embed(ids))
        return F.normalize(out[:, -1])


def published(cnn_type: str) -> tuple[PublishedImageTower, PublishedTextTower, dict[str, Any]]:
    """Both towers and the checkpoint the authors' code writes of them."""
    torch.manual_seed(6)
    image, text = PublishedImageTower(cnn_type).eval(), PublishedTextTower().eval()
    opt = argparse.Namespace(
        cnn_type=cnn_type, embed_size=JOINT, word_dim=WORD, num_layers=1, crop_size=224, data_name="f30k",
        margin=0.2, measure="cosine", use_abs=False, no_imgnorm=False, max_violation=True, finetune=True,
        vocab_path="./vocab/", vocab_size=len(WORDS), resume="", learning_rate=0.0002,
    )  # fmt: skip
    states = [OrderedDict(tower.state_dict()) for tower in (image, text)]
    return image, text, {"epoch": 30, "model": states, "best_rsum": 409.8, "opt": opt, "Eiters": 34000}


class Python2Pickler(pickle._Pickler):  # type: ignore[misc]
    """Writes texts of ASCII letters as the byte strings of Python 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_text(self, text: str) -> None:
        if not text.isascii():
            pickle._Pickler.save_str(self, text)  # type: ignore[attr-defined]
            return
        self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode())
        self.memoize(text)

    dispatch[str] = save_text


class Python2Pickle(ModuleType):
    """What `torch.save` wants of a module for pickling."""

    Pickler = Python2Pickler

    @staticmethod
    def dump(value: object, file: Any, protocol: int) -> None:
        Python2Pickler(file, protocol).dump(value)


def save_zip(value: object, path: Path) -> None:
    torch.save(value, path)


def save_old(value: object, path: Path) -> None:
    torch.save(value, path, _use_new_zipfile_serialization=False)


def save_python_2(value: object, path: Path) -> None:
    torch.save(value, path, pickle_module=Python2Pickle("pickle"), _use_new_zipfile_serialization=False)


Save = Callable[[object, Path], None]
FORMATS: list[Save] = [save_zip, save_old, save_python_2]
both_formats = pytest.mark.parametrize("save", FORMATS[:2])


def pickled_vocabulary(words: list[str], module: str = "vocab", python_2: bool = False, protocol: int = 2) -> bytes:
    """A vocabulary as `vocab.py` of the authors pickles it."""
    made = type("Vocabulary", (), {"__module__": module})
    vocabulary = made()
    vocabulary.word2idx = {word: i for i, word in enumerate(words)}
    vocabulary.idx2word = dict(enumerate(words))
    vocabulary.idx = len(words)
    before = sys.modules.get(module)
    sys.modules[module] = ModuleType(module)
    sys.modules[module].Vocabulary = made  # type: ignore[attr-defined]
    try:
        if not python_2:
            return pickle.dumps(vocabulary, protocol)
        buffer = io.BytesIO()
        Python2Pickler(buffer, protocol).dump(vocabulary)
        return buffer.getvalue()
    finally:
        if before is None:
            del sys.modules[module]
        else:
            sys.modules[module] = before


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickled_vocabulary(WORDS))
    return path


@pytest.fixture(scope="module")
def checkpoint() -> dict[str, Any]:
    return published("vgg_small")[2]


def changed(checkpoint: dict[str, Any], **options: object) -> dict[str, Any]:
    """The checkpoint with other options."""
    return {**checkpoint, "opt": argparse.Namespace(**{**vars(checkpoint["opt"]), **options})}


# -- good files


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("cnn_type", ["vgg_small", "resnet18"])
def test_a_published_model_encodes_as_its_authors_code(
    tmp_path: Path, vocabulary: Path, cnn_type: str, save: Save
) -> None:
    image, text, checkpoint = published(cnn_type)
    save(checkpoint, tmp_path / "model_best.pth.tar")
    found = load_published(tmp_path / "model_best.pth.tar", vocabulary)
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    ids, lengths = map(torch.from_numpy, found.vocabulary.encode_batch(["a dog", "a été unknown a dog"]))
    with torch.inference_mode():
        torch.testing.assert_close(found.image_tower(images), image(images), atol=1e-6, rtol=0)
        expected = torch.cat([text(torch.tensor([row])) for row in ([1, 4, 5, 2], [1, 4, 6, 3, 4, 5, 2])])
        torch.testing.assert_close(found.text_tower(ids, lengths), expected, atol=1e-6, rtol=0)
    assert (found.config.backbone, found.config.joint_dim, found.config.word_dim) == (cnn_type, JOINT, WORD)
    assert (found.config.image_size, found.config.resize_px) == (224, 256)
    assert not found.image_tower.training


def test_the_older_names_of_vggs_layers(tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any]) -> None:
    older = {"cnn.classifier.0.": "cnn.classifier.1.", "cnn.classifier.3.": "cnn.classifier.4."}
    image, text = checkpoint["model"]
    renamed = OrderedDict((older.get(key[:17], key[:17]) + key[17:], value) for key, value in image.items())
    assert "cnn.classifier.4.bias" in renamed
    for name, state in (("new", image), ("old", renamed)):
        save_old({**checkpoint, "model": [state, text]}, tmp_path / name)
    new, old = (load_published(tmp_path / name, vocabulary).image_tower.state_dict() for name in ("new", "old"))
    assert all(torch.equal(value, old[key]) for key, value in new.items())


def test_a_resnet_from_before_batches_were_counted(tmp_path: Path, vocabulary: Path) -> None:
    _, _, checkpoint = published("resnet18")
    image, text = checkpoint["model"]
    image = OrderedDict((key, value) for key, value in image.items() if "num_batches" not in key)
    save_old({**checkpoint, "model": [image, text]}, tmp_path / "m")
    loaded = load_published(tmp_path / "m", vocabulary).image_tower.state_dict()
    assert {name: int(value) for name, value in loaded.items() if "num_batches" in name and value != 0} == {}
    assert torch.equal(loaded["fc.weight"], image["fc.weight"])


def test_options_that_are_not_there_have_the_authors_defaults(
    tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any]
) -> None:
    save_old({**checkpoint, "opt": argparse.Namespace(cnn_type="vgg_small")}, tmp_path / "m")
    config, *_ = read_published(tmp_path / "m", vocabulary)
    assert not config.absolute
    save_old(changed(checkpoint, use_abs=True), tmp_path / "m")
    assert load_published(tmp_path / "m", vocabulary).image_tower.absolute


@pytest.mark.parametrize("module", ["vocab", "__main__"])
@pytest.mark.parametrize("protocol", range(6))
def test_a_vocabulary_of_any_protocol(tmp_path: Path, module: str, protocol: int) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickled_vocabulary(WORDS, module, protocol=protocol))
    assert list(read_vocabulary(path).words) == WORDS


@pytest.mark.parametrize("protocol", [1, 2])
def test_a_vocabulary_of_python_2(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(pickled_vocabulary(WORDS, python_2=True, protocol=protocol))
    assert list(read_vocabulary(path).words) == WORDS


# -- hostile files


class Attack:
    """A pickle of this makes a file when it is read by an ordinary unpickler."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def attacks(trace: Path) -> list[object]:
    return [
        Attack(os.system, f"touch {trace}"),
        Attack(eval, f"open({str(trace)!r}, 'w')"),
        Attack(open, str(trace), "w"),
        Attack(getattr, "x", "upper"),
        Attack(Path.touch, trace),
        Attack(torch.load, str(trace)),
    ]


@pytest.mark.parametrize("i", range(6))
@both_formats
def test_code_in_a_checkpoint_is_not_run(
    tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any], save: Save, i: int
) -> None:
    path, trace = tmp_path / "m.pth.tar", tmp_path / "trace"
    save({**checkpoint, "best_rsum": attacks(trace)[i]}, path)
    with pytest.raises(InputError, match=r"m\.pth\.tar is refused: it names .*get the file from its authors") as caught:
        load_published(path, vocabulary)
    assert "weights_only" not in str(caught.value)
    assert not trace.exists()


@pytest.mark.parametrize("i", range(6))
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_vocabulary_is_not_run(tmp_path: Path, protocol: int, i: int) -> None:
    path, trace = tmp_path / "vocab.pkl", tmp_path / "trace"
    path.write_bytes(pickle.dumps(attacks(trace)[i], protocol))
    with pytest.raises(InputError, match=r"vocab\.pkl is refused: it names .*get the file from its authors"):
        read_vocabulary(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cvocab\nVocabulary.__init__.__globals__\n.",  # a path of attributes
        b"\x80\x04\x8c\x05vocab\x8c\x19Vocabulary.__subclasses__\x93)R.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
        b"ccopy_reg\n_reconstructor\n(cvocab\nVocabulary\nc__builtin__\nobject\nI1\ntR.",
    ],
)
def test_no_way_round_the_names(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vocab.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"vocab\.pkl is refused"):
        read_vocabulary(path)


def test_a_vocabulary_can_change_neither_python_nor_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "vocab.pkl"
    for stand_in in (b"vocab\nVocabulary", b"copyreg\n_reconstructor", b"builtins\nobject"):
        path.write_bytes(b"c" + stand_in + b"\n(N}S'word2idx'\nI1\nstb.")  # sets an attribute of it
        with pytest.raises(InputError, match=r"vocab\.pkl is"):
            read_vocabulary(path)
    assert not hasattr(copyreg._reconstructor, "word2idx")  # type: ignore[attr-defined]
    path.write_bytes(pickle.dumps(None)[:2] + b"cvocab\nVocabulary\n)\x81.")
    with pytest.raises(InputError, match="is not a vocabulary"):
        read_vocabulary(path)


# -- files that are damaged or something else


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.01, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("save", FORMATS)
def test_a_truncated_checkpoint(
    tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any], save: Save, share: float
) -> None:
    path = tmp_path / "m.pth.tar"
    save(checkpoint, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"m\.pth\.tar.*(fetch it again|get the file)"):
        load_published(path, vocabulary)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_vocabulary(vocabulary: Path, share: float) -> None:
    content = vocabulary.read_bytes()
    vocabulary.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match=r"vocab\.pkl is damaged.*fetch it again"):
        read_vocabulary(vocabulary)


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"<html>" * 99, pickle.dumps([1])]
)
def test_a_file_of_another_kind(tmp_path: Path, vocabulary: Path, content: bytes) -> None:
    path = tmp_path / "m.pth.tar"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"m\.pth\.tar.*fetch it again"):
        load_published(path, vocabulary)


@pytest.mark.parametrize("missing", ["m.pth.tar", "vocab.pkl"])
def test_a_missing_file(tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any], missing: str) -> None:
    save_old(checkpoint, tmp_path / "m.pth.tar")
    (tmp_path / missing).unlink()
    with pytest.raises(InputError, match=f"{missing} can't be read: No such file"):
        load_published(tmp_path / "m.pth.tar", vocabulary)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [1, 2],
        3,
        {"state_dict": {"a": torch.ones(1)}},
        {"opt": argparse.Namespace(cnn_type="vgg19"), "model": []},
        {"opt": argparse.Namespace(cnn_type="vgg19"), "model": [{}, {}]},
        {"opt": argparse.Namespace(cnn_type="vgg19"), "model": [{"fc.weight": 3}, {"embed.weight": 3}]},
        {"opt": {}, "model": [{}, {}]},
    ],
    ids=range(8),
)
def test_a_checkpoint_of_something_else(tmp_path: Path, vocabulary: Path, content: object) -> None:
    torch.save(content, tmp_path / "m.pth.tar")
    with pytest.raises(InputError, match=r"m\.pth\.tar is not a checkpoint of VSE\+\+"):
        load_published(tmp_path / "m.pth.tar", vocabulary)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"data_name": "f30k_precomp"}, "data_name f30k_precomp"),
        ({"num_layers": 2}, "num_layers 2"),
        ({"measure": "order"}, "measure order"),
        ({"no_imgnorm": True}, "no_imgnorm True"),
        ({"cnn_type": "alexnet"}, "cnn_type alexnet"),
    ],
)
def test_a_kind_of_training_that_is_not_ours(
    tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any], options: dict[str, object], named: str
) -> None:
    save_old(changed(checkpoint, **options), tmp_path / "m.pth.tar")
    with pytest.raises(InputError, match=rf"m\.pth\.tar was trained with {named}, which"):
        load_published(tmp_path / "m.pth.tar", vocabulary)


@pytest.mark.parametrize(("cnn_type", "named"), [("resnet18", "not a resnet18 of VSE"), ("vgg20", "unknown backbone")])
def test_another_architecture(
    tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any], cnn_type: str, named: str
) -> None:
    save_old(changed(checkpoint, cnn_type=cnn_type), tmp_path / "m.pth.tar")
    with pytest.raises(InputError, match=named):
        load_published(tmp_path / "m.pth.tar", vocabulary)


def test_a_vocabulary_of_another_model(tmp_path: Path, vocabulary: Path, checkpoint: dict[str, Any]) -> None:
    save_old(checkpoint, tmp_path / "m.pth.tar")
    vocabulary.write_bytes(pickled_vocabulary([*WORDS, "more"]))
    with pytest.raises(InputError, match=r"vocab\.pkl has 8 words.*m\.pth\.tar has 7.*CHECKPOINT:VOCABULARY"):
        read_published(tmp_path / "m.pth.tar", vocabulary)


@pytest.mark.parametrize("words", [["a", "b"], ["<pad>", "<end>", "<start>", "<unk>", "a"], []])
def test_a_vocabulary_with_other_special_words(vocabulary: Path, words: list[str]) -> None:
    vocabulary.write_bytes(pickled_vocabulary(words))
    with pytest.raises(InputError, match=r"vocab\.pkl is not a vocabulary of VSE\+\+"):
        read_vocabulary(vocabulary)
