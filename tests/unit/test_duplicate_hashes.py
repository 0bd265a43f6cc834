"""Hashes of pictures, their alignment, and which copy is proposed."""

from __future__ import annotations

import numpy as np
import pytest
from pictures_with_copies import cropped, marked, recompressed, scene, small
from PIL import Image, ImageEnhance

from crossmodal.duplicates.alignment import Alignments, align
from crossmodal.duplicates.hashing import (
    ORIENTATIONS,
    Orientation,
    Squares,
    distances,
    hashes_of,
    oriented,
    square_of,
    windows_of,
)
from crossmodal.duplicates.proposal import Version, propose, sharpness


def squared(*pictures: Image.Image) -> Squares:
    return np.stack([square_of(small(picture)) for picture in pictures])


PICTURES = [scene(seed) for seed in range(30)]
SQUARES = squared(*PICTURES)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_hash_of_a_turned_picture_follows_from_that_of_the_picture(orientation: Orientation) -> None:
    turned = hashes_of(np.ascontiguousarray(orientation.of(SQUARES)))
    assert distances(turned, oriented(hashes_of(SQUARES), orientation)).max() <= 1, "up to a sign of almost zero"


@pytest.mark.parametrize(
    ("transpose", "name"),
    [
        (Image.Transpose.FLIP_LEFT_RIGHT, "mirrored"),
        (Image.Transpose.ROTATE_180, "turned by 180°"),
        (Image.Transpose.ROTATE_90, "turned anticlockwise"),
        (Image.Transpose.ROTATE_270, "turned clockwise"),
    ],
)
def test_orientations_are_named_as_people_do(transpose: Image.Transpose, name: str) -> None:
    turned = squared(PICTURES[0].transpose(transpose))[0].astype(int)
    gaps = {o.name: int(np.abs(turned - o.of(SQUARES[0])).sum()) for o in ORIENTATIONS}
    assert min(gaps, key=lambda key: gaps[key]) == name


def test_hashes_of_copies_are_near_and_others_are_not() -> None:
    hashes = hashes_of(SQUARES)
    apart = distances(hashes[:, None], hashes)[np.triu_indices(len(hashes), 1)]
    assert apart.min() > 12
    copies = squared(*(recompressed(picture.resize((130, 97)), 30) for picture in PICTURES))
    assert distances(hashes, hashes_of(copies)).max() <= 6


def test_a_window_is_near_to_a_crop() -> None:
    crops = squared(*(cropped(picture, 0.12, 0, 1, 0.9) for picture in PICTURES))
    nearest = distances(windows_of(SQUARES), hashes_of(crops)[:, None]).min(axis=1)
    assert nearest.max() <= 16
    assert np.median(distances(hashes_of(SQUARES), hashes_of(crops))) > np.median(nearest)


def test_no_pictures_have_no_hashes() -> None:
    none = np.empty((0, 64, 64), np.uint8)
    assert (hashes_of(none).shape, windows_of(none).shape) == ((0,), (0, 9))


EDITS = {
    "same": lambda picture: picture,
    "resized": lambda picture: picture.resize((90, 70)),
    "recompressed": lambda picture: recompressed(picture, 20),
    "cropped": lambda picture: cropped(picture, 0.0, 0.2, 0.85, 1.0),
    "tilted": lambda picture: cropped(picture.rotate(4, Image.Resampling.BICUBIC), 0.06, 0.06, 0.94, 0.94),
    "marked": marked,
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
}


def aligned(kind: str) -> Alignments:
    return align(SQUARES, squared(*(EDITS[kind](picture) for picture in PICTURES)))


@pytest.mark.parametrize("kind", EDITS)
def test_edits_are_the_same_picture(kind: str) -> None:
    found = aligned(kind)
    assert found.are_same.all(), found.scores.min()
    if kind == "cropped":
        assert found.shares[:, 0] == pytest.approx(0.85 * 0.8, abs=0.03)
        assert found.shares[:, 1] == pytest.approx(1, abs=0.04)
    if kind == "tilted":
        assert np.median(found.degrees) == pytest.approx(4, abs=1)


def test_the_order_of_two_pictures_does_not_matter() -> None:
    crops = squared(*(cropped(picture, 0.1, 0.1, 1, 1) for picture in PICTURES))
    one, other = align(SQUARES, crops), align(crops, SQUARES)
    assert one.are_same.all()
    assert other.are_same.all()
    assert one.shares == pytest.approx(other.shares[:, ::-1], abs=0.03)


def test_different_pictures_are_not() -> None:
    ones, others = np.triu_indices(len(SQUARES), 1)
    assert align(SQUARES[ones], SQUARES[others]).scores.max() < 0.4


def test_a_small_part_is_not_the_same_picture() -> None:
    found = align(SQUARES, squared(*(cropped(picture, 0, 0, 0.5, 0.5) for picture in PICTURES)))
    assert not found.are_same.any()


@pytest.mark.parametrize(
    ("versions", "kept", "reason"),
    [
        ([Version(10, 5, "a.jpg"), Version(20, 1, "a (1).jpg")], 1, "largest"),
        ([Version(10, 5, "b.jpg"), Version(10, 9, "a-edited.jpg")], 1, "sharpest of the largest"),
        ([Version(10, 9, "copy of a.jpg"), Version(10, 8.9, "a.jpg")], 1, "its name is not that of a copy"),
        ([Version(10, 9, "a.jpg", 7.0), Version(10, 9, "b.jpg", 5.0), Version(10, 9, "c.jpg")], 1, "oldest file"),
        ([Version(10, 9, "b.jpg", 7.0), Version(10, 9, "a.jpg", 7.0)], 1, "all are alike; shortest name"),
        ([Version(10, 9, "a (1).jpg", 7.0), Version(10, 9, "a (2).jpg", 8.0)], 0, "oldest file"),
    ],
)
def test_which_version_is_kept(versions: list[Version], kept: int, reason: str) -> None:
    assert propose(versions) == (kept, reason)


def test_a_blurred_picture_is_less_sharp() -> None:
    blurred = PICTURES[0].resize((60, 45)).resize((320, 240))
    assert sharpness(small(blurred)) < 0.7 * sharpness(small(PICTURES[0]))
    assert sharpness(b"not a picture") == 0
