"""torchvision beside another torch."""

import subprocess
import sys
from pathlib import Path

from crossmodal.encoders import torchvision_guard
from crossmodal.encoders.torchvision_guard import prepare_torchvision

ROOT = Path(torchvision_guard.__file__).parents[2]


def test_torchvision_and_open_clip_can_be_imported_afterwards() -> None:
    """In a new process: here they may be imported already."""
    script = (
        "from crossmodal.encoders.torchvision_guard import prepare_torchvision\n"
        "first = prepare_torchvision(); second = prepare_torchvision()\n"
        "import torchvision, open_clip\n"
        "from torchvision.transforms import Compose\n"
        "import sys; light = 'torch._dynamo' not in sys.modules\n"
        "from torchvision.ops.roi_align import is_compile_supported\n"
        "import torch; compiled = torch.compile(torch.nn.Identity(), backend='eager')(torch.ones(2)).sum() == 2\n"
        "print(first == second, len(open_clip.list_models()) > 50, light, is_compile_supported('cpu'), bool(compiled))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False, cwd=ROOT
    )
    assert found.stdout.split() == ["True"] * 5, found.stderr


def test_asking_again_is_harmless() -> None:
    assert prepare_torchvision() == prepare_torchvision()


def test_a_release_that_uses_more_of_the_compiler_fails_loudly(tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("import torch\nfrom torch._dynamo import allow_in_graph\n")
    script = "from crossmodal.encoders.torchvision_guard import prepare_torchvision as p; p()"
    found = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}"],
        capture_output=True, text=True, timeout=120, check=False, cwd=ROOT,
    )  # fmt: skip
    assert found.returncode == 1
    assert "uses more of torch._dynamo than expected (cannot import name 'allow_in_graph'" in found.stderr
