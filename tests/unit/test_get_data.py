"""get_data.sh, with a kaggle client that copies a small zip in the layout of the real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from crossmodal.core.types import ImageRecord
from crossmodal.datasets.folder import read_folder

SCRIPT = Path(__file__).resolve().parents[2] / "get_data.sh"
N_IMAGES = 3
TOKEN = {"KAGGLE_API_TOKEN": "not-a-token"}
LAYOUT = {
    "f8k": ("flickr8k.zip", "captions.txt"),
    "f30k": ("flickr-image-dataset.zip", "results.csv"),
}
FAKE_KAGGLE = """#!/bin/sh
# kaggle datasets download OWNER/NAME -p FOLDER
echo "$@" >> "{log}"
if [ -e "{broken}" ]; then
    printf half > "$5/${{3#*/}}.zip"
    echo "ConnectionError: no route to host" >&2
    exit 1
fi
cp "{zip}" "$5/${{3#*/}}.zip"
"""


@dataclass(frozen=True)
class Place:
    """A copy of the script with nothing round it, and what the fake client gives and notes down."""

    root: Path
    zip: Path
    log: Path
    broken: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        clean = {
            "PATH": f"{self.root / 'bin'}:/usr/bin:/bin",
            "HOME": str(self.root / "home"),
            "CROSSMODAL_EXPECTED_IMAGES": str(N_IMAGES),
        }
        command = ["bash", str(self.root / "get_data.sh"), *arguments]
        return subprocess.run(
            command, cwd=self.root / "home", env=clean | environment, capture_output=True, text=True, timeout=60
        )

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []

    def data(self, name: str) -> Path:
        return self.root / "data" / name

    def fetched(self, name: str) -> Path:
        return self.root / "data" / ".fetch" / name / LAYOUT[name][0]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, tmp_path / "remote.zip", tmp_path / "calls", tmp_path / "network-is-down")
    shutil.copy(SCRIPT, tmp_path / "get_data.sh")
    (tmp_path / "home").mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(Path(sys.executable).resolve())
    write_client(place, tmp_path / "bin" / "kaggle")
    return place


def write_client(place: Place, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FAKE_KAGGLE.format(log=place.log, zip=place.zip, broken=place.broken))
    path.chmod(0o755)


def write_zip(path: Path, name: str, n_images: int = N_IMAGES) -> None:
    """The layout of the zip on Kaggle; Flickr30k's has every picture twice."""
    names = [f"{number}.jpg" for number in range(n_images)]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        if name == "f8k":
            folders, lines, captions = ["Images"], ["image,caption"], "captions.txt"
            lines += [f"{image},A dog , number {i} ." for image in names for i in range(5)]
        else:
            folders, captions = ["flickr30k_images/flickr30k_images", "flickr30k_images"], "results.csv"
            lines = ["image_name| comment_number| comment"]
            lines += [f"{image}| {i}| A dog , number {i} ." for image in names for i in range(5)]
        for folder in folders:
            for image in names:
                archive.writestr(f"{folder}/{image}", f"the picture {image} " * 50)
        archive.writestr(f"{folders[-1]}/{captions}" if name == "f30k" else captions, "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", LAYOUT)
def test_fetches_a_set_where_the_program_looks_for_it(place: Place, name: str) -> None:
    write_zip(place.zip, name)
    done = place.run(name, **TOKEN)
    assert done.returncode == 0, done.stderr
    assert f"data/{name} is ready: {N_IMAGES} pictures" in done.stdout
    dataset = {"f8k": "adityajn105/flickr8k", "f30k": "hsankesara/flickr-image-dataset"}[name]
    assert place.calls() == [f"datasets download {dataset} -p data/.fetch/{name}"]
    assert not place.fetched(name).parent.exists()
    captions = place.data(name) / LAYOUT[name][1]
    assert sorted(p.name for p in place.data(name).iterdir()) == sorted(["images", captions.name])
    records = list(read_folder(place.data(name), captions))
    assert [type(record) for record in records] == [ImageRecord] * N_IMAGES
    assert all(len(record.captions) == 5 for record in records if isinstance(record, ImageRecord))


def test_a_whole_zip_is_not_fetched_again(place: Place) -> None:
    write_zip(place.fetched("f8k"), "f8k")
    done = place.run("f8k")  # no token is needed either
    assert done.returncode == 0, done.stderr
    assert place.calls() == []
    assert (place.data("f8k") / "captions.txt").is_file()


def test_what_an_interrupted_run_unpacked_is_unpacked_anew(place: Place) -> None:
    write_zip(place.fetched("f8k"), "f8k")
    left = place.fetched("f8k").parent / "staging" / "images" / "half.jpg"
    left.parent.mkdir(parents=True)
    left.write_text("half")
    assert place.run("f8k").returncode == 0
    assert not (place.data("f8k") / "images" / "half.jpg").exists()


def test_a_truncated_zip_is_fetched_again(place: Place) -> None:
    write_zip(place.zip, "f8k")
    place.fetched("f8k").parent.mkdir(parents=True)
    place.fetched("f8k").write_bytes(place.zip.read_bytes()[:-100])
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 0, done.stderr
    assert len(place.calls()) == 1
    assert len(list((place.data("f8k") / "images").iterdir())) == N_IMAGES


def test_a_zip_that_comes_damaged_is_removed(place: Place) -> None:
    write_zip(place.zip, "f8k")
    content = bytearray(place.zip.read_bytes())
    content[60] ^= 0xFF  # inside the first picture; the list of contents is sound
    place.zip.write_bytes(content)
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 1
    assert "damaged" in done.stderr
    assert not place.fetched("f8k").exists()
    assert not place.data("f8k").exists()


def test_without_a_token_it_says_what_to_do(place: Place) -> None:
    done = place.run("f8k", KAGGLE_USERNAME="only the half of a pair")
    assert done.returncode == 1
    assert "~/.kaggle/kaggle.json" in done.stderr
    assert "KAGGLE_USERNAME and KAGGLE_KEY" in done.stderr
    assert place.calls() == []


@pytest.mark.parametrize("file", [".kaggle/kaggle.json", ".config/kaggle/kaggle.json", ".kaggle/access_token"])
def test_a_token_in_a_file_is_found(place: Place, file: str) -> None:
    write_zip(place.zip, "f8k")
    token = place.root / "home" / file
    token.parent.mkdir(parents=True)
    token.write_text("not-a-token")
    assert place.run("f8k").returncode == 0


def test_a_failing_client_leaves_nothing_but_what_can_be_resumed(place: Place) -> None:
    write_zip(place.zip, "f8k")
    place.broken.touch()
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 1
    assert "no route to host" in done.stderr
    assert "again; what has come so far is kept" in done.stderr
    assert place.fetched("f8k").read_text() == "half"
    assert not place.data("f8k").exists()
    place.broken.unlink()
    assert place.run("f8k", **TOKEN).returncode == 0


def test_without_a_client_it_says_what_to_install(place: Place) -> None:
    (place.root / "bin" / "kaggle").unlink()
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 1
    assert "make setup" in done.stderr


def test_the_client_of_the_environment_comes_first(place: Place) -> None:
    write_zip(place.zip, "f8k")
    write_client(place, place.root / ".venv" / "bin" / "kaggle")
    (place.root / "bin" / "kaggle").write_text("#!/bin/sh\nexit 9\n")
    assert place.run("f8k", **TOKEN).returncode == 0


def test_a_complete_set_is_left_alone(place: Place) -> None:
    write_zip(place.zip, "f8k")
    assert place.run("f8k", **TOKEN).returncode == 0
    before = (place.data("f8k") / "captions.txt").stat().st_mtime_ns
    done = place.run("f8k")
    assert done.returncode == 0
    assert "data/f8k is complete" in done.stdout
    assert len(place.calls()) == 1
    assert (place.data("f8k") / "captions.txt").stat().st_mtime_ns == before


def test_own_files_in_the_folder_are_kept(place: Place) -> None:
    write_zip(place.zip, "f30k")
    own = place.data("f30k") / "dataset_flickr30k.json"
    own.parent.mkdir(parents=True)
    own.write_text("{}")
    done = place.run("f30k", **TOKEN)
    assert done.returncode == 0, done.stderr
    assert {p.name for p in place.data("f30k").iterdir()} == {"images", "results.csv", own.name}


def test_pictures_that_are_not_all_there_are_not_touched(place: Place) -> None:
    own = place.data("f8k") / "images" / "mine.jpg"
    own.parent.mkdir(parents=True)
    own.touch()
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 1
    assert "has 1 pictures, not 3" in done.stderr
    assert own.exists()
    assert place.calls() == []


def test_a_wrong_count_is_not_put_in_place(place: Place) -> None:
    write_zip(place.zip, "f8k", n_images=2)
    done = place.run("f8k", **TOKEN)
    assert done.returncode == 1
    assert "has 2 pictures, not 3" in done.stderr
    assert not place.data("f8k").exists()
    assert place.fetched("f8k").exists()


@pytest.mark.parametrize("arguments", [(), ("coco",), ("f8k", "f30k")])
def test_a_wrong_argument_ends_with_2_and_the_usage(place: Place, arguments: tuple[str, ...]) -> None:
    done = place.run(*arguments)
    assert done.returncode == 2
    assert "usage: ./get_data.sh f8k|f30k" in done.stderr
    assert place.calls() == []


def test_help(place: Place) -> None:
    done = place.run("-h")
    assert done.returncode == 0
    assert "usage: ./get_data.sh f8k|f30k" in done.stdout
    assert not (place.root / "data").exists()
