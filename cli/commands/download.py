"""crossmodal download."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from cli.commands import Command
from cli.completion import complete_weights
from cli.options import JsonOptions
from cli.parameters import flag, option
from cli.printing import say_result


@dataclass(frozen=True, kw_only=True)
class DownloadOptions(JsonOptions):
    """Options of `download`."""

    weights: str | None = option(
        "--weights",
        argument="WEIGHTS",
        sparse_envvar="IMAGE_EMBEDDING_MODEL_PATH",
        shell_complete=complete_weights,
        help="Name of weights of the family.",
    )
    model: str | None = option("-m", "--model", help="Model family: clip, vse or timm.  [default: clip]")
    compiles: bool = flag("--compile", help="Also convert the model for the engine that this machine would choose.")


def run(options: DownloadOptions) -> int:
    """Prints the path, the size and the SHA-256 of each file, and the engine with `--compile`."""
    from cli.download import run as download

    found = download(options.settings(), compiles=options.compiles)
    files: list[dict[str, Any]] = [file.to_dict() for file in found.files]
    lines = [f"{file.sha256}  {file.path}  ({file.n_bytes:,} bytes)" for file in found.files]
    if found.engine is None:
        return say_result(files, lines, as_json=options.as_json)
    lines.append(f"engine: {found.engine}" + (f"; {found.agreement}" if found.agreement else ""))
    agreement = asdict(found.agreement) if found.agreement else None
    result = {"files": files, "engine": asdict(found.engine), "agreement": agreement}
    return say_result(result, lines, as_json=options.as_json)


COMMAND = Command(
    DownloadOptions,
    run,
    "Download weights ahead of their first use.",
    (
        ("ViT-B-32/laion2b_s34b_b79k", "a CLIP with its tokenizer"),
        ("resnet101 -m timm", "a backbone"),
        ("resnet101 -m timm --compile", "and converts it, which the first use would do"),
    ),
)
