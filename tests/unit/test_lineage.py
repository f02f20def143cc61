"""Column lineage of what no build would leave behind."""

import shutil
from pathlib import Path

import pytest

from pipeline import lineage
from pipeline.dbt_runner import Build, NodeResult, prepared_manifest


def test_sql_that_cannot_be_read_has_no_origins_and_other_sql_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = Path(shutil.copy(prepared_manifest(), tmp_path))
    monkeypatch.setattr(lineage, "prepared_manifest", lambda _: manifest)

    def origins(sql: str) -> lineage.Origins:
        node = NodeResult("model.multichannel.journal", "model", "marts", "journal", True, False, "", 0, 0.1, sql)
        return lineage.column_lineage(Build(True, (node,)))[node.unique_id]

    assert origins("select select") == {}
    assert origins("select contact_id as id from intermediate.int_journal") == {
        "id": [("intermediate", "int_journal", "contact_id")]
    }
