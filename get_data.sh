#!/usr/bin/env bash
# Fetches Flickr8k or Flickr30k with the kaggle client; `./get_data.sh -h` says how.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
    cat <<'HELP'
usage: ./get_data.sh f8k|f30k

Fetches a data set from Kaggle and puts it where `python app.py -t index -d f8k|f30k` looks for it:

  f8k   adityajn105/flickr8k            data/f8k/images, data/f8k/captions.txt    8091 pictures
  f30k  hsankesara/flickr-image-dataset data/f30k/images, data/f30k/results.csv  31783 pictures

A token of yours is needed: on https://www.kaggle.com/settings/api make one, then save kaggle.json as
~/.kaggle/kaggle.json, or set KAGGLE_API_TOKEN, or KAGGLE_USERNAME and KAGGLE_KEY.

Without a token: download the zip from https://www.kaggle.com/datasets/OWNER/NAME in a browser, save it as
data/.fetch/f8k/flickr8k.zip or data/.fetch/f30k/flickr-image-dataset.zip, and run this again.

Run it again after an interruption: it goes on where it was. Nothing appears in data/ until all of it is
there, and a set that is complete is left alone.

  -h, --help                    this text
  CROSSMODAL_EXPECTED_IMAGES=N  accept N pictures instead of the number above
HELP
}

fail() {
    echo "error: $*" >&2
    exit 1
}

trap 'echo "stopped: run ./get_data.sh again to go on" >&2; exit 130' INT

if [ $# -ne 1 ]; then
    usage >&2
    exit 2
fi
case "$1" in
    f8k) dataset=adityajn105/flickr8k captions=captions.txt expected=8091 ;;
    f30k) dataset=hsankesara/flickr-image-dataset captions=results.csv expected=31783 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        echo "error: '$1' is neither f8k nor f30k" >&2
        usage >&2
        exit 2
        ;;
esac
name=$1
expected=${CROSSMODAL_EXPECTED_IMAGES:-$expected}
target=data/$name
work=data/.fetch/$name  # on the same disk as the target, so that the last step is a rename
staging=$work/staging
zip=$work/${dataset#*/}.zip

count_pictures() {
    find "$1" -type f -name '*.jpg' | wc -l | tr -d ' '
}

has_token() {
    local config=${KAGGLE_CONFIG_DIR:-$HOME/.kaggle} file
    [ -n "${KAGGLE_API_TOKEN:-}" ] && return 0
    [ -n "${KAGGLE_USERNAME:-}" ] && [ -n "${KAGGLE_KEY:-}" ] && return 0
    # The last two are what newer clients keep: a token, and what `kaggle auth login` writes.
    for file in "$config/kaggle.json" "${XDG_CONFIG_HOME:-$HOME/.config}/kaggle/kaggle.json" \
        "$HOME/.kaggle/access_token" "$HOME/.kaggle/credentials.json"; do
        [ -s "$file" ] && return 0
    done
    return 1
}

# Whether a zip is all there: its list of contents, which stands at the end, and every checksum.
is_whole() {
    [ -s "$1" ] && "$python" -c \
        'import sys, zipfile; sys.exit(zipfile.ZipFile(sys.argv[1]).testzip() is not None)' "$1" 2>/dev/null
}

fetch() {
    local kaggle=.venv/bin/kaggle
    [ -x "$kaggle" ] || kaggle=$(command -v kaggle) ||
        fail "the kaggle client is not installed: run \`make setup\`, or \`pip install kaggle\`"
    has_token || fail "no Kaggle token: save yours as ~/.kaggle/kaggle.json, or set KAGGLE_API_TOKEN, or" \
        "KAGGLE_USERNAME and KAGGLE_KEY (make one on https://www.kaggle.com/settings/api;" \
        "\`./get_data.sh -h\` says how to do without)"
    echo "fetching $dataset"
    "$kaggle" datasets download "$dataset" -p "$work" ||
        fail "fetching $dataset failed, see above: check the network and the token, then run" \
            "\`./get_data.sh $name\` again; what has come so far is kept"
    [ -e "$zip" ] || fail "the kaggle client ended well but left no $zip: try a newer client"
    if ! is_whole "$zip"; then
        rm -f "$zip"
        fail "the zip that came is damaged and was removed: run \`./get_data.sh $name\` again"
    fi
}

# Pictures go into one folder whatever folders they are in; one that is in the zip twice is taken once.
unpack() {
    "$python" - "$zip" "$staging" "$captions" <<'PYTHON'
import shutil
import sys
import zipfile
from pathlib import Path, PurePosixPath

source, staging, captions = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
(staging / "images").mkdir(parents=True)
taken = set()
with zipfile.ZipFile(source) as archive:
    for member in archive.infolist():
        name = PurePosixPath(member.filename).name
        is_picture = name.lower().endswith(".jpg") and not name.startswith(".")
        if member.is_dir() or name in taken or not (is_picture or name == captions):
            continue
        taken.add(name)
        place = staging / "images" / name if is_picture else staging / name
        with archive.open(member) as content, place.open("wb") as file:
            shutil.copyfileobj(content, file, 1 << 20)
PYTHON
}

if [ -d "$target/images" ]; then
    found=$(count_pictures "$target/images")
    [ "$found" -eq "$expected" ] ||
        fail "$target/images has $found pictures, not $expected: move $target away and run this again"
    if [ -s "$target/$captions" ]; then
        echo "$target is complete: $found pictures and $captions"
        exit 0
    fi
fi

python=.venv/bin/python
[ -x "$python" ] || python=$(command -v python3) || fail "python3 is needed to unpack the zip: run \`make setup\`"
mkdir -p "$work"
if is_whole "$zip"; then
    echo "$zip is there already"
else
    fetch
fi

echo "unpacking $zip"
rm -rf "$staging"
unpack || fail "$zip could not be unpacked: see above (is the disk full?)"
found=$(count_pictures "$staging/images")
[ "$found" -eq "$expected" ] ||
    fail "$zip has $found pictures, not $expected: if it is not $dataset, remove it and run this again;" \
        "if it is, CROSSMODAL_EXPECTED_IMAGES=$found accepts it"
[ -s "$staging/$captions" ] || fail "$zip has no $captions: if it is not $dataset, remove it and run this again"

if [ -e "$target" ]; then
    # Somebody's own files are in there. The program knows the set by its caption file: that comes last.
    [ -d "$target/images" ] || mv "$staging/images" "$target/images"
    mv "$staging/$captions" "$target/$captions"
else
    mv "$staging" "$target"
fi
rm -rf "$work"
echo "$target is ready: $found pictures and $captions. Next: python app.py -t index -d $name"
