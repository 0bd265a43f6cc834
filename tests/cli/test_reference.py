"""docs/cli.md is what the commands say."""

from conftest import ROOT

from cli.reference import reference


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "cli.md").read_text("utf8") == reference(), "run `make reference`"
