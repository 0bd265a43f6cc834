"""What is changed in the installed Jina, and the check that it is as these changes expect."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from crossmodal.core.errors import StateError
from serving.jina.supervisor import prepare_jina

prepare_jina()

import jina  # noqa: E402
from jina import helper  # noqa: E402
from jina.proto.serializer import DataRequestProto  # noqa: E402
from jina.serve.executors import decorators  # noqa: E402
from jina.serve.runtimes.worker.request_handling import WorkerRequestHandler  # noqa: E402
from jina.types.request.data import DataRequest  # noqa: E402
from jina_cli import lookup  # noqa: E402

from serving.jina import patches as module  # noqa: E402
from serving.jina.patches import REMOVED, TESTED_VERSION, Patch, apply_patches, check, patches  # noqa: E402

PATCHES = patches(Path("locks"))


@pytest.fixture(autouse=True)
def unpatched() -> Iterator[None]:
    """Jina as it was installed, before and after each test: other tests of this process may have started Flows."""
    _restore()
    yield
    _restore()


def _restore() -> None:
    for patch in PATCHES:
        if patch.name in module._originals:
            setattr(patch.target, patch.attribute, module._originals.pop(patch.name))


def test_the_installed_version_is_the_one_that_was_tested() -> None:
    assert jina.__version__ == TESTED_VERSION


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_the_installed_jina_is_as_each_patch_expects(patch: Patch) -> None:
    check(patch)
    assert patch.why
    assert patch.without


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_a_changed_signature_is_reported(patch: Patch) -> None:
    changed = replace(patch, signature=f"{patch.signature} -> None")
    with pytest.raises(StateError) as raised:
        check(changed)
    told = str(raised.value)
    for part in (patch.name, jina.__version__, patch.signature, changed.signature, patch.why):
        assert part in told


def test_an_attribute_that_is_gone_is_reported() -> None:
    with pytest.raises(StateError, match=r"Flow\._summary.*None, which can't be called"):
        check(replace(PATCHES[2], attribute="_summary"))


def test_nothing_is_changed_where_one_patch_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [*PATCHES[:-1], replace(PATCHES[-1], signature="()")]
    monkeypatch.setattr(module, "patches", lambda locks: rows)
    before = DataRequestProto.SerializeToString
    with pytest.raises(StateError, match="restore_status"):
        apply_patches(Path("locks"))
    assert DataRequestProto.SerializeToString is before
    assert hasattr(WorkerRequestHandler, "restore")


def test_all_are_applied_and_again_for_another_flow(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        apply_patches(tmp_path / folder)
        assert decorators._get_locks_root() == tmp_path / folder
    for patch in PATCHES:
        found = getattr(patch.target, patch.attribute, REMOVED)
        assert (found is REMOVED) == (patch.replacement is REMOVED)


@pytest.mark.parametrize("service", ["snapshot", "snapshot_status", "restore", "restore_status"])
def test_an_executor_has_no_service_that_takes_folder_names(service: str, tmp_path: Path) -> None:
    apply_patches(tmp_path)
    assert not hasattr(WorkerRequestHandler, service)


def test_messages_leave_no_trace_in_the_environment(tmp_path: Path) -> None:
    apply_patches(tmp_path)
    before = dict(os.environ)
    request = DataRequest()
    request.header.exec_endpoint = "/search"
    written = DataRequestProto.SerializeToString(request)
    passed = DataRequestProto.FromString(written)
    assert DataRequestProto.SerializeToString(passed) == written
    assert passed.header.exec_endpoint == "/search"
    assert DataRequestProto.SerializeToString(passed) == written
    assert dict(os.environ) == before


def test_no_address_is_asked_for_as_a_flow_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(*_: object) -> str:
        raise AssertionError("somebody outside was asked")

    apply_patches(tmp_path)
    monkeypatch.setattr("jina.orchestrate.orchestrator.get_internal_ip", ask)
    monkeypatch.setattr("jina.orchestrate.orchestrator.get_public_ip", ask)
    panels: list[object] = []
    jina.Flow()._get_summary_table(panels)
    assert panels == []


@pytest.mark.filterwarnings("ignore:Nesting argument groups:DeprecationWarning")
def test_only_unknown_options_are_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_patches(tmp_path)
    with pytest.warns(UserWarning, match="unknown argument: .*'--prot'"):
        helper.warn_unknown_args(["--prot"])
    monkeypatch.setattr(lookup, "_build_lookup_table", lambda: pytest.fail("the table was made"))
    helper.warn_unknown_args([])
