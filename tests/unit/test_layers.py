"""How the models are laid out: which layer reads which, and that each model names all that it reads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.dbt_runner import prepared_manifest
from pipeline.settings import PROJECT_DIR

LAYERS = ("staging", "changes", "identity", "touches", "multichannel", "attribution", "marts")
MANIFEST: dict[str, Any] = json.loads(prepared_manifest().read_text("utf-8"))
MODELS = {node["name"]: node for node in MANIFEST["nodes"].values() if node["resource_type"] == "model"}


def layer(name: str) -> str:
    """The folder of a model."""
    return Path(MODELS[name]["original_file_path"]).parent.name


def parents(name: str) -> set[str]:
    """The models that a model reads."""
    nodes = MODELS[name]["depends_on"]["nodes"]
    return {node.split(".")[-1] for node in nodes if node.startswith("model.")}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_reads_its_own_layer_and_those_before_it(name: str) -> None:
    later = {parent for parent in parents(name) if LAYERS.index(layer(parent)) > LAYERS.index(layer(name))}
    assert not later


@pytest.mark.parametrize("name", MODELS)
def test_a_model_names_all_that_it_reads(name: str) -> None:
    code = (PROJECT_DIR / MODELS[name]["original_file_path"]).read_text("utf-8")
    named = set(re.findall(r"""\bref\(['"](\w+)['"]\)""", code))
    named |= {
        f"{source}.{table}" for source, table in re.findall(r"""\bsource\(['"](\w+)['"], ['"](\w+)['"]\)""", code)
    }
    read = {
        ".".join(node.split(".")[2:]) if node.startswith("source.") else node.split(".")[-1]
        for node in MODELS[name]["depends_on"]["nodes"]
    }
    assert read == named


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_described_in_the_property_file_of_its_folder(name: str) -> None:
    described_in = Path(MODELS[name]["patch_path"].partition("://")[2])
    assert described_in.parent == Path(MODELS[name]["original_file_path"]).parent


def test_the_architecture_lists_every_model_with_its_group() -> None:
    document = (PROJECT_DIR / "docs/architecture.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", document, re.MULTILINE))
    assert listed == {name: layer(name) for name in MODELS}
