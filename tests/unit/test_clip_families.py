"""Each CLIP family against open_clip's own: the pictures as tensors, the texts as ids, the towers.

Models are built on torch's meta device, or tiny: nothing here needs weights.
"""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures import add_architectures
from PIL import Image

from crossmodal.core.errors import InputError, StateError
from crossmodal.encoders import clip, clip_names, clip_tokens, clip_weights, hub
from crossmodal.encoders.pixels import to_tensor
from crossmodal.encoders.torchvision_guard import prepare_torchvision
from crossmodal.images.geometry import fit

prepare_torchvision()

import open_clip  # noqa: E402
import torch  # noqa: E402
from open_clip.pretrained import list_pretrained  # noqa: E402

FAMILIES = [
    "ViT-B-32/laion2b_s34b_b79k", "ViT-B-32-quickgelu/openai", "ViT-B-16-quickgelu/dfn2b", "RN50/openai",
    "ViT-L-14/laion2b_s32b_b82k", "convnext_base_w/laion2b_s13b_b82k_augreg", "coca_ViT-B-32/laion2b_s13b_b90k",
    "EVA02-B-16/merged2b_s8b_b131k", "ViT-B-16-SigLIP/webli", "ViT-B-32-SigLIP2-256/webli",
    "MobileCLIP-S1/datacompdr", "MobileCLIP2-S3/dfndr2b", "ViT-L-14-CLIPA/datacomp1b", "PE-Core-T-16-384/meta",
    "ViTamin-S/datacomp1b", "ViT-H-14-worldwide-378/metaclip2_worldwide",
]  # fmt: skip
SIZES = [(500, 375), (333, 501), (97, 640), (31, 17), (225, 224), (1, 3)]


def noise(width: int, height: int) -> Image.Image:
    rng = np.random.default_rng(width * 10_000 + height)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def open_clips_own(monkeypatch: pytest.MonkeyPatch, architecture: str, tag: str) -> Any:
    """The evaluation transform open_clip makes for published weights, with no weights behind it."""
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: "nothing")
    monkeypatch.setattr(open_clip.factory, "load_checkpoint", lambda *_, **__: {})
    with torch.device("meta"):
        return open_clip.create_model_and_transforms(architecture, tag, device="meta")[2]


def specified(weights: str) -> Any:
    architecture, _, tag = weights.partition("/")
    config = clip_names.pretrained_config(architecture, tag)
    return clip._spec(weights, "", clip_names.architecture_config(architecture), config).preprocessing


@pytest.mark.filterwarnings("ignore:QuickGELU mismatch")
@pytest.mark.parametrize("weights", FAMILIES)
def test_the_image_transform_is_open_clips_own_to_the_bit(weights: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = open_clips_own(monkeypatch, *weights.split("/")), specified(weights)
    for size in SIZES:
        picture = noise(*size)
        assert torch.equal(to_tensor(fit(picture, ours)[None], ours)[0], theirs(picture)), size


def test_every_published_entry_is_understood() -> None:
    for architecture, tag in list_pretrained():
        wanted, entry = specified(f"{architecture}/{tag}"), clip_names.pretrained_config(architecture, tag)
        assert (wanted.mean, wanted.std) == (tuple(entry["mean"]), tuple(entry["std"]))
        assert (wanted.resize, wanted.interpolation) == (entry["resize_mode"], entry["interpolation"])


def test_the_tables_are_open_clips_own() -> None:
    assert clip_names.architectures() == open_clip.list_models()
    for architecture in open_clip.list_models():
        assert clip_names.architecture_config(architecture) == open_clip.get_model_config(architecture)
        assert clip_names.tags_of(architecture) == open_clip.list_pretrained_tags_by_model(architecture)
    for architecture, tag in list_pretrained():
        assert clip_names.pretrained_config(architecture, tag) == open_clip.get_pretrained_cfg(architecture, tag)


# -- names


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ViT-B-16-SigLIP", "ViT-B-16-SigLIP/webli"), ("MobileCLIP-S1", "MobileCLIP-S1/datacompdr"),
     ("RN50x4/", "RN50x4/openai"), ("ViT-B-32/openai", "ViT-B-32/openai"), ("RN50/random", "RN50/random")],
)  # fmt: skip
def test_the_only_tag_need_not_be_named(name: str, expected: str) -> None:
    assert clip_names.with_tag(name) == expected


@pytest.mark.parametrize(
    ("name", "told"),
    [("ViT-B-32", "has several published .*openai, .*laion2b_s34b_b79k"), ("ViT-M-32", "has no published weights"),
     ("ViT-B-23", "unknown weights or architecture 'ViT-B-23'")],
)  # fmt: skip
def test_any_other_number_of_tags_is_refused(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        clip_names.with_tag(name)


@pytest.mark.parametrize(
    ("architecture", "mean", "resize", "interpolation"),
    [("ViT-L-14", 0.48145466, "shortest", "bicubic"), ("ViT-B-16-SigLIP", 0.5, "squash", "bicubic"),
     ("MobileCLIP-B", 0.0, "shortest", "bilinear"), ("ViT-L-14-CLIPA", 0.485, "squash", "bilinear")],
)  # fmt: skip
def test_a_local_file_is_prepared_for_as_its_family_is(
    tmp_path: Path, architecture: str, mean: float, resize: str, interpolation: str
) -> None:
    file = tmp_path / "mine.safetensors"
    file.touch()
    wanted = clip.resolve(f"{architecture}/{file}").preprocessing
    assert (wanted.mean[0], wanted.resize, wanted.interpolation) == (mean, resize, interpolation)


def test_weights_that_nobody_published_are_prepared_for_as_openais_are() -> None:
    wanted = clip.resolve("ViT-M-32/random").preprocessing
    assert (wanted.mean[0], wanted.resize) == (0.48145466, "shortest")


# -- tokenizers


@pytest.mark.parametrize("weights", [name for name in FAMILIES if not clip_tokens.hub_tokenizer(name.split("/")[0])])
def test_ids_are_open_clips_own(weights: str) -> None:
    architecture = weights.split("/")[0]
    texts = ["", "a dog", "Zwei Hunde; &amp; ein CAFÉ", "word " * 100]
    theirs, bpe = open_clip.get_tokenizer(architecture)(texts), clip_weights.bpe_of(weights)
    assert torch.equal(clip.tokenizer_of(weights)(texts), theirs)
    assert bpe is not None
    assert bpe.padded([bpe.encode(text) for text in texts], theirs.shape[1]).tolist() == theirs.tolist()


def test_all_other_tokenizers_are_openais() -> None:
    for architecture in open_clip.list_models():
        if not clip_tokens.hub_tokenizer(architecture):
            assert "siglip" not in architecture.lower()  # for which open_clip would take another
            assert "tokenizer_kwargs" not in clip_names.architecture_config(architecture)["text_cfg"]
    assert clip_weights.bpe_of("ViT-B-16-SigLIP/webli") is None


def test_which_families_need_the_hub_for_their_texts() -> None:
    needing = {name.split("/")[0] for name in FAMILIES if clip_tokens.hub_tokenizer(name.split("/")[0])}
    assert needing == {"ViT-B-16-SigLIP", "ViT-B-32-SigLIP2-256", "ViT-L-14-CLIPA", "ViT-H-14-worldwide-378"}


def in_cache(cache: Path, repository: str, *names: str) -> Path:
    """Files in the layout of the hub's cache."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    snapshot = folder / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    for name in names:
        (snapshot / name).write_bytes(b"{}")
    return snapshot


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stand-in for `transformers`; the sources its tokenizers were read from."""
    sources: list[str] = []

    class Tokenizer:
        def __init__(self, source: str) -> None:
            sources.append(source)

        def __call__(self, texts: list[str], max_length: int, **_: object) -> types.SimpleNamespace:
            return types.SimpleNamespace(input_ids=torch.tensor([[len(text)] * max_length for text in texts]))

    module = types.ModuleType("transformers")
    module.AutoTokenizer = types.SimpleNamespace(  # type: ignore[attr-defined]
        from_pretrained=lambda source, cache_dir=None: Tokenizer(source)
    )
    module.__spec__ = types.SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "transformers", module)
    return sources


def test_without_transformers_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(StateError, match=r"ViT-B-16-SigLIP needs the package transformers.*pip install"):
        clip_tokens.tokenizer_for("ViT-B-16-SigLIP")


@pytest.mark.usefixtures("hub_cache", "transformers")
def test_a_tokenizer_that_is_not_here_is_named() -> None:
    with pytest.raises(StateError, match=r"timm/ViT-B-16-SigLIP, the tokenizer of ViT-B-16-SigLIP,.*no way out"):
        clip_tokens.tokenizer_for("ViT-B-16-SigLIP")


def test_a_cached_tokenizer_is_read_without_the_hub(hub_cache: Path, transformers: list[str]) -> None:
    snapshot = in_cache(hub_cache, "timm/ViT-B-16-SigLIP", hub.TOKENIZER_MARK)
    tokenizer = clip_tokens.tokenizer_for("ViT-B-16-SigLIP")
    assert transformers == [str(snapshot)]
    # SigLIP's context is 64, and its texts are lower-cased and stripped of punctuation before.
    assert tokenizer(["A dog, two!"]).tolist() == [[len("a dog two")] * 64]


@pytest.mark.usefixtures("transformers")
def test_weights_and_tokenizer_from_the_cache_need_no_hub(hub_cache: Path) -> None:
    snapshot = in_cache(hub_cache, "timm/ViT-B-16-SigLIP", hub.FILE_NAMES[0], hub.TOKENIZER_MARK)
    spec = clip.resolve("ViT-B-16-SigLIP")
    assert (spec.weights, spec.dim, spec.preprocessing.size_px) == ("ViT-B-16-SigLIP/webli", 768, 224)
    assert clip.fetch("ViT-B-16-SigLIP") == [snapshot / hub.FILE_NAMES[0], *sorted(snapshot.iterdir())]


# -- towers


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`tiny-coca` and `tiny-sigmoid`."""
    vision = {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    coca = {
        "embed_dim": 16, "custom_text": True, "vision_cfg": {**vision, "attentional_pool": True, "output_tokens": True},
        "text_cfg": {**text, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1,
                           "attn_pooler_heads": 2},
    }  # fmt: skip
    siglip = {
        "embed_dim": 16, "custom_text": True, "init_logit_bias": -10, "init_logit_scale": 2.0,
        "vision_cfg": vision, "text_cfg": {**text, "no_causal_mask": True, "pool_type": "last"},
    }  # fmt: skip
    add_architectures(monkeypatch, tmp_path, {"tiny-coca": coca, "tiny-sigmoid": siglip})


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize("name", ["tiny-coca/random", "tiny-sigmoid/random"])
@pytest.mark.parametrize("tower", ["image", "text"])
def test_one_tower_of_another_family_encodes_as_both_do(name: str, tower: str) -> None:
    both, one = clip.load(clip.resolve(name)), clip.load(clip.resolve(name), (tower,))  # type: ignore[arg-type]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    if tower == "image":
        np.testing.assert_allclose(one.encode_images(pixels), both.encode_images(pixels), atol=1e-6)
    else:
        np.testing.assert_allclose(one.encode_texts(["a", "b c"]), both.encode_texts(["a", "b c"]), atol=1e-6)
    assert not hasattr(one._model, "text_decoder")


@pytest.mark.usefixtures("tiny")
def test_the_sigmoid_of_siglip() -> None:
    sigmoid, coca = (clip.load(clip.resolve(f"tiny-{name}/random")) for name in ("sigmoid", "coca"))
    assert sigmoid.logit_bias == pytest.approx(-10)
    assert sigmoid.logit_scale == pytest.approx(np.exp(2.0))
    assert coca.logit_bias is None
    assert coca.logit_scale == pytest.approx(1 / 0.07, rel=1e-4)
