"""The dbt models: their unit tests, their documentation, and what the Python models do."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import numpy
import pyarrow
import pytest
import yaml
from attribution_oracle import Chain, removal_effects
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ModelNode

from pipeline import dbt_runner
from pipeline.building import build
from pipeline.contracts import delivered_tables, raw_compressions
from pipeline.dbt_runner import build_of, prepared_manifest, run_dbt
from pipeline.python_models import computed_by_duckdb
from pipeline.settings import PROJECT_DIR, Rules
from pipeline.warehouse import Warehouse

# Only the unit tests of these models, if set, in a copy of a warehouse that is built already.
CHOSEN, BUILT = os.environ.get("UNIT_TESTS_OF", "").split(), os.environ.get("UNIT_TESTS_IN")
PROPERTY_FILES = sorted((PROJECT_DIR / "models").rglob("*.yml"))


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warehouse]:
    """A warehouse with all models, built from nothing."""
    folder = tmp_path_factory.mktemp("tests") / "warehouse"
    if BUILT:
        shutil.copytree(BUILT, folder)
    with Warehouse(folder).locked("tests"):
        if not BUILT:
            outcome = build(Warehouse(folder), Rules.read())
            assert outcome.is_passed, outcome.explain()
        yield Warehouse(folder)


@pytest.fixture(scope="session")
def nodes() -> dict[str, dict[str, Any]]:
    """The manifest's models, seeds and tests, by unique id."""
    manifest = json.loads(prepared_manifest().read_text("utf-8"))
    found: dict[str, dict[str, Any]] = manifest["nodes"]
    return found


# Unit tests


def defined_unit_tests() -> list[str]:
    """The unit tests of the property files, as MODEL.NAME."""
    return [
        f"{unit_test['model']}.{unit_test['name']}"
        for file in PROPERTY_FILES
        for unit_test in yaml.safe_load(file.read_text("utf-8")).get("unit_tests", [])
        if not CHOSEN or unit_test["model"] in CHOSEN
    ]


def test_unit_tests_of_the_models_all_run_and_pass(warehouse: Warehouse) -> None:
    chosen = [f"{model},test_type:unit" for model in CHOSEN] or ["test_type:unit"]
    outcome = run_dbt(warehouse.folder, ["test", "--select", *chosen], Rules.read())
    assert outcome.exception is None, outcome.exception
    results = {
        result.node.unique_id.removeprefix("unit_test.multichannel."): result
        for result in getattr(outcome.result, "results", [])
        if result.node.resource_type == "unit_test"
    }
    failures = [f"{name}: {result.message}" for name, result in results.items() if result.status != "pass"]
    assert not failures, "\n\n".join(failures)
    assert sorted(results) == sorted(defined_unit_tests())


def test_keys_that_repeat_and_columns_that_are_empty_are_found(warehouse: Warehouse) -> None:
    with warehouse.connected() as connection:
        connection.execute("insert into intermediate.int_affected_contacts values ('c1'), ('c2'), ('c3')")
        connection.execute(
            """
            insert into marts.client_history by name
            from (
                values ('c1', 'client-c1', 1), ('c2', 'client-c1', 1), ('c2', 'client-c2', null), ('c3', 'client-c3', 1),
                    ('not affected', 'client-c3', 1)
            ) as history(contact_id, client_id, contact_number)
            """
        )
        connection.execute(
            "insert into marts.client_card by name "
            "from (values ('client-c1', 'c1', 'okna'), ('client-c2', 'c2', null), ('client-c4', 'not affected', null)) "
            "as card(client_id, first_contact_id, brand_id)"
        )
    broken = broken_rules(warehouse, "test_name:rules,client_history", "test_name:rules,client_card")
    with warehouse.connected() as connection:
        for table in ("marts.client_history", "marts.client_card", "intermediate.int_affected_contacts"):
            connection.execute(f"delete from {table}")
    assert broken == {
        # c2 is there twice; client-c1 has two first contacts, and one of client-c2 has no number.
        "rules_of_client_history": "contact_id repeats: 1; client_id, contact_number repeats: 1; contact_number is null: 1; "
        "rows more or fewer than in int_journal: 4",
        "rules_of_client_card": "brand_id is null: 1; client_name is null: 2; location is null: 2; first_contact_at is null: 2; "
        "last_contact_at is null: 2; contact_count is null: 2; multichannel_contact_count is null: 2",
    }


def broken_rules(warehouse: Warehouse, *selected: str) -> dict[str, str]:
    """What the failed tests of rules say, by test."""
    outcome = build_of(run_dbt(warehouse.folder, ["test", "--select", *selected], Rules.read()))
    with warehouse.connected() as connection:
        return {
            node.name: str(connection.execute(node.broken_rules_query).fetchall()[0][0])
            for node in outcome.nodes
            if node.broken_rules_query
        }


def test_each_broken_rule_is_named(warehouse: Warehouse, nodes: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    shutil.copytree(warehouse.folder, tmp_path / "broken")
    broken = Warehouse(tmp_path / "broken")
    tests = {
        node["name"]: node
        for node in nodes.values()
        if node["resource_type"] == "test"
        and node["test_metadata"]["name"] == "rules"
        and not (node["attached_node"] or "").startswith("seed.")
    }
    assert len(tests) > 25
    expected: dict[str, set[str]] = {}
    with broken.locked("test"):
        with broken.connected() as connection:
            connection.execute("insert into intermediate.int_affected_contacts values ('c1')")
            for number, (name, node) in enumerate(tests.items()):
                arguments = node["test_metadata"]["kwargs"]
                break_rows(connection, nodes.get(node["attached_node"], {}), arguments, number + 2)
                expected[name] = rules_declared(arguments)
        said = broken_rules(broken, "test_name:rules")
    assert {name: {rule.rpartition(":")[0] for rule in text.split("; ")} for name, text in said.items()} == expected


def break_rows(
    connection: duckdb.DuckDBPyConnection, model: dict[str, Any], arguments: dict[str, Any], row_count: int
) -> None:
    """Adds so many rows without values, so that all tables have different numbers of rows, and as many with values that aren't accepted."""
    table = f"{model['schema']}.{model['name']}" if model else "raw.loads"
    if model and model["config"]["materialized"] == "view":
        connection.execute(f"drop view {table} cascade")
        columns = ", ".join(f"{column['name']} {column['data_type']}" for column in model["columns"].values())
        connection.execute(f"create table {table} ({columns})")
    if table == "raw.loads":
        connection.execute("alter table raw.loads alter load_id drop not null")
    affected = {arguments["affected_by"]: "c1"} if "affected_by" in arguments else {}
    for values in (affected, dict.fromkeys(arguments.get("accepted_values", ()), "nonsense") | affected):
        columns = ", ".join(f"'{value}' as {column}" for column, value in values.items()) or "null as {}".format(
            next(iter(model["columns"])) if model else "load_id"
        )
        connection.execute(f"insert into {table} by name select {columns} from range({row_count})")


def rules_declared(arguments: dict[str, Any]) -> set[str]:
    """The rules that a test's arguments declare, in the words in which it says that they are broken."""
    keys = [key if isinstance(key, list) else [key] for key in arguments.get("keys", [])]
    unique = [key if isinstance(key, list) else [key] for key in arguments.get("unique", [])]
    not_null = {column for key in keys for column in key} | set(arguments.get("not_null", ()))
    return {
        *(f"{', '.join(key)} repeats" for key in keys + unique),
        # A row without the contact that it is found by isn't one of this build's.
        *(f"{column} is null" for column in not_null - {arguments.get("affected_by")}),
        *(
            f"{column} is none of {', '.join(values)}"
            for column, values in arguments.get("accepted_values", {}).items()
        ),
        *([f"rows more or fewer than in {arguments['row_count_of'][5:-2]}"] if "row_count_of" in arguments else []),
    }


def test_macros_that_are_called_are_left_in() -> None:
    manifest = dbt_runner._manifest(Rules.read())
    assert "macro.dbt.dateadd" not in manifest.macros
    callers = (*manifest.nodes.values(), *manifest.unit_tests.values(), *manifest.macros.values())
    assert {name for caller in callers for name in caller.depends_on.macros} <= set(manifest.macros)


def test_unit_tests_say_which_rule_they_are_about() -> None:
    for file in PROPERTY_FILES:
        for unit_test in yaml.safe_load(file.read_text("utf-8")).get("unit_tests", []):
            assert unit_test["description"].startswith(("R", "Attribution", "Deliveries", "Marts")), unit_test["name"]


# Documentation


def test_documented_columns_are_the_real_ones(warehouse: Warehouse, nodes: dict[str, dict[str, Any]]) -> None:
    with warehouse.connected() as connection:
        real: dict[str, dict[str, str]] = {}
        for schema, table, column, data_type in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns() where not internal"
        ).fetchall():
            real.setdefault(f"{schema}.{table}", {})[column] = data_type
        documented = {
            f"{node['schema']}.{node['name']}": {
                column["name"]: full_name_of_type(connection, column["data_type"])
                for column in node["columns"].values()
            }
            for node in nodes.values()
            if node["resource_type"] in ("model", "seed")
        }
    assert documented == {table: columns for table, columns in real.items() if not table.startswith("raw.")}


@pytest.mark.parametrize("table", delivered_tables())
def test_raw_columns_are_compressed_as_said(table: str, tmp_path: Path) -> None:
    said = {column for name, column in raw_compressions() if name == table}
    columns = delivered_tables()[table].column_names
    values = ", ".join(f"'{column} ' || number as {column}" for column in columns)
    created = Warehouse(tmp_path)
    with created.locked("test"), created.connected() as connection:
        connection.execute(f"insert into raw.{table} by name select {values} from range(5000) as numbers (number)")
        connection.execute("checkpoint")
        stored = connection.execute(
            f"select distinct column_name, compression from pragma_storage_info('raw.{table}') where segment_type = 'VARCHAR'"
        ).fetchall()
    assert {column for column, compression in stored if compression == "ZSTD"} == said


def test_long_texts_of_many_rows_are_compressed() -> None:
    assert {table for table, _ in raw_compressions()} == {"touches", "contacts"}


def full_name_of_type(connection: duckdb.DuckDBPyConnection, data_type: str) -> str:
    row = connection.execute(f"select typeof(cast(null as {data_type}))").fetchone()
    assert row is not None
    return str(row[0])


def test_models_and_columns_are_described(nodes: dict[str, dict[str, Any]]) -> None:
    for node in nodes.values():
        if node["resource_type"] in ("model", "seed"):
            assert "One row" in node["description"], node["name"]
            for column in node["columns"].values():
                assert column["description"], f"{node['name']}.{column['name']}"


# Phones: R14


def python_model(name: str) -> ModuleType:
    (path,) = (PROJECT_DIR / "models").rglob(f"{name}.py")
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("spelling", "region", "number"),
    [
        ("8 (900) 123-45-67", "RU", "+79001234567"),
        ("+7 900 123 45 67", "RU", "+79001234567"),
        ("9001234567", "RU", "+79001234567"),
        ("7 900 123-45-67", "RU", "+79001234567"),
        ("tel:+7-900-123-45-67", "RU", "+79001234567"),
        ("＋７９００１２３４５６７", "RU", "+79001234567"),
        ("8 (495) 123-45-67 доб. 890", "RU", "+74951234567"),
        ("+7 495 123-45-67 ext. 5", "RU", "+74951234567"),
        ("+7 495 123-45-67 #12", "RU", "+74951234567"),
        # Vietnam's code is 84, Moscow's 499 is dialled as 8 499.
        ("+84 24 3825 2916", "RU", "+842438252916"),
        ("8 499 123-45-67", "RU", "+74991234567"),
        ("84991234567", "RU", "+74991234567"),
        ("+1 650-253-0000", "RU", "+16502530000"),
        ("(650) 253-0000", "US", "+16502530000"),
        ("030 901820", "DE", "+4930901820"),
        ("8 (900) 123-45-67", "US", None),
        ("+7 900 123-45-67", "US", "+79001234567"),
        ("112", "RU", None),
        ("8 (900) 123-45", "RU", None),
        ("8 (900) 123-45-678", "RU", None),
        ("+7 100 000-00-00", "RU", None),
        ("+999 123456789", "RU", None),
        ("нет", "RU", None),
        ("-", "RU", None),
        ("", "RU", None),
    ],
)
def test_a_phone_is_read_by_its_region(spelling: str, region: str, number: str | None) -> None:
    assert python_model("stg_phones").valid_number(spelling, region) == number


class StubConfig:
    """What a Python model asks of its config."""

    def __init__(self, **meta: Any) -> None:
        self.meta_get = meta.get

    def __call__(self, **options: Any) -> None:
        assert options == {"materialized": "incremental", "incremental_strategy": "append"}


class StubDbt:
    """What a Python model asks of dbt."""

    def __init__(self, relations: dict[str, duckdb.DuckDBPyRelation], this: str | None = None, **meta: Any) -> None:
        self.ref = relations.__getitem__
        self.source = lambda _, name: relations[name]
        self.this = this
        self.is_incremental = this is not None
        self.config = StubConfig(**meta)


def phones_model(
    connection: duckdb.DuckDBPyConnection, contacts: str, ignored: str, this: str | None = None, region: str = "RU"
) -> pyarrow.Table:
    relations = {
        "contacts": connection.sql(f"select * from (values {contacts}) as contacts (load_id, phone)"),
        "ignored_identifiers": connection.sql(
            f"select * from (values {ignored}) as ignored (identifier_kind, identifier)"
        ),
        "stg_changed_loads": connection.sql("select 2 as load_id"),
    }
    model = python_model("stg_phones").model
    return computed_by_duckdb(model(StubDbt(relations, this, default_phone_region=region), connection))


def test_phones_are_the_spellings_of_contacts_and_of_ignored_identifiers() -> None:
    contacts = "(1, '8 900 123-45-67'), (2, '8 900 123-45-67'), (1, '112'), (1, null)"
    ignored = "('phone', '89000000000'), (null, '+7 900 000-00-00'), (null, '112'), ('visitor_id', '89001111111')"
    connection = duckdb.connect()
    assert phones_model(connection, contacts, ignored).to_pylist() == [
        {"phone": "+7 900 000-00-00", "number": "+79000000000"},
        {"phone": "112", "number": None},
        {"phone": "8 900 123-45-67", "number": "+79001234567"},
        {"phone": "89000000000", "number": "+79000000000"},
    ]
    elsewhere = phones_model(connection, contacts, ignored, region="US")
    assert [row["number"] for row in elsewhere.to_pylist()] == ["+79000000000", None, None, None]


def test_only_new_spellings_of_changed_loads_are_judged_again() -> None:
    connection = duckdb.connect()
    connection.execute("create table judged as select '112' as phone, null::varchar as number")
    contacts = "(1, '8 900 123-45-67'), (2, '112'), (2, '8 900 123-45-68')"
    assert phones_model(connection, contacts, "('phone', '112')", this="judged").to_pylist() == [
        {"phone": "8 900 123-45-68", "number": "+79001234568"}
    ]


def test_without_phones_there_are_still_both_columns() -> None:
    connection = duckdb.connect()
    phones = phones_model(connection, "(1, null::varchar)", "('visitor_id', 'robot')")
    assert phones.num_rows == 0
    assert duckdb_types(connection, phones) == {"phone": "VARCHAR", "number": "VARCHAR"}


def test_the_region_of_phones_is_the_setting(tmp_path: Path) -> None:
    outcome = run_dbt(tmp_path, ["parse"], Rules.read({"default_phone_region": "DE"}))
    assert isinstance(outcome.result, Manifest)
    phones = outcome.result.nodes["model.multichannel.stg_phones"]
    assert isinstance(phones, ModelNode)
    assert phones.config.meta["default_phone_region"] == "DE"


# Components of ties: R13

# The record that stands for an identity, and an identifier that it ties to its others.
Tie = tuple[int, int]


def components(ties: Sequence[Tie]) -> pyarrow.Table:
    """Of identifiers as nodes, with gaps between their numbers."""
    firsts: dict[int, int] = {}
    for record_number, node in ties:
        firsts[record_number] = min(node, firsts.get(record_number, node))
    columns = {
        "node": pyarrow.array([node for _, node in ties], pyarrow.int64()),
        "first_node": pyarrow.array([firsts[record_number] for record_number, _ in ties], pyarrow.int64()),
    }
    return python_model("int_identity_components").components(pyarrow.table(columns))


def grouped(ties: Sequence[Tie]) -> list[list[int]]:
    """The identifiers that are tied, directly or through others."""
    groups: dict[int, list[int]] = {}
    for row in components(ties).to_pylist():
        groups.setdefault(row["component"], []).append(row["node"])
    return sorted(sorted(group) for group in groups.values())


def duckdb_types(connection: duckdb.DuckDBPyConnection, table: pyarrow.Table) -> dict[str, str]:
    relation = connection.from_arrow(table)
    return dict(zip(relation.columns, map(str, relation.types), strict=True))


def test_identifiers_are_tied_through_others() -> None:
    assert grouped([(90, 1), (90, 2), (91, 2), (91, 3), (92, 3), (92, 4), (93, 5), (93, 6)]) == [[1, 2, 3, 4], [5, 6]]


def test_one_record_makes_two_groups_one() -> None:
    apart: list[Tie] = [(90, 1), (90, 2), (91, 3), (91, 4)]
    assert len(grouped(apart)) == 2
    assert len(grouped([*apart, (92, 2), (92, 3)])) == 1


def test_an_identity_ties_all_its_identifiers() -> None:
    assert grouped([(90, 4), (90, 1), (90, 3), (90, 2)]) == [[1, 2, 3, 4]]


def test_numbers_of_nodes_may_have_gaps() -> None:
    assert grouped([(90, 2**40), (90, 7), (91, 2**33), (91, 2**33 + 1)]) == [[7, 2**40], [2**33, 2**33 + 1]]


def test_a_long_chain_is_one_group() -> None:
    ties: list[Tie] = [(10_000 + number, number + step) for number in range(1000) for step in (0, 1)]
    assert [len(group) for group in grouped(ties)] == [1001]


def test_without_ties_there_are_no_components() -> None:
    nothing = components([])
    assert nothing.num_rows == 0
    assert duckdb_types(duckdb.connect(), nothing) == {"node": "BIGINT", "component": "BIGINT"}


# Runs models as in a full build and as in any other. Prints those that gave no values, and whether pandas was imported.
RUN_PYTHON_MODELS = """
import runpy, sys
from types import SimpleNamespace
import duckdb
from pipeline.python_models import computed_by_duckdb

connection = duckdb.connect()
tables = {
    "contacts": "select 1 as load_id, '8 900 123-45-67' as phone, 'anna@mail.ru' as email",
    "ignored_identifiers": "select null::varchar as identifier_kind, 'robot' as identifier",
    "stg_changed_loads": "select 1 as load_id",
    "widgets": "select 'w1' as widget_id, 'okna' as brand_id, 'okna.example' as site_host",
    "click_ids": "select 1 as click_id_order, 'yclid' as parameter, 'yandex' as source, 'cpc' as medium, true as is_advertising",
    "search_engines": "select 'ya.ru' as host, 'search' as kind, 'yandex' as name",
    "referrers": "select 'vk.com' as host, 'social' as kind, 'vk' as name",
    "int_touch_values": "select to_json(['w1', 'https://okna.example', 'https://ya.ru', null, null, null, null, null])::varchar as origin",
    "int_identity_ties": "select unnest([0, 1, 1]) as node, unnest([0, 0, 1]) as first_node",
    "int_chain_steps": "select 'b' as brand_id, unnest([null, 'c']) as from_channel, unnest(['c', null]) as to_channel, 1 as contact_count, 0 as other_count",
}
config = lambda **options: None
config.meta_get = {"default_phone_region": "RU"}.get
for number, path in enumerate(sys.argv[1:]):
    model = runpy.run_path(path)["model"]
    dbt = SimpleNamespace(
        ref=lambda name: connection.sql(tables[name]),
        source=lambda _, name: connection.sql(tables[name]),
        config=config,
        this=f"known_{number}",
    )
    for dbt.is_incremental in (False, True):
        made = computed_by_duckdb(model(dbt, connection))
        if made.column(made.num_columns - 1).null_count == made.num_rows:
            print(path)
        if not dbt.is_incremental:
            connection.from_arrow(made).limit(0).create(dbt.this)
print("pandas" in sys.modules)
"""


def test_models_do_not_import_pandas() -> None:
    """It takes longer to import than the models of a small build take, and pyarrow does so unasked."""
    models = sorted(map(str, (PROJECT_DIR / "models").rglob("*.py")))
    assert len(models) == 5
    done = subprocess.run([sys.executable, "-c", RUN_PYTHON_MODELS, *models], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stdout + done.stderr


def steps_of(chains: Sequence[Chain], channels: list[str]) -> tuple[numpy.ndarray, ...]:
    """From, to, chains that led to a contact, all chains: as `removal_effects` takes them."""
    counts: dict[tuple[int, int], list[int]] = {}
    for chain in chains:
        numbers = [channels.index(name) for name, _ in groupby(chain.channels)]
        for step in pairwise([-1, *numbers, -1]):
            counted = counts.setdefault(step, [0, 0])
            counted[0] += chain.count if chain.is_contact else 0
            counted[1] += chain.count
    steps = sorted(counts)
    return (
        *(numpy.array([step[end] for step in steps]) for end in (0, 1)),
        *(numpy.array([float(counts[step][which]) for step in steps]) for which in (0, 1)),
    )


@pytest.mark.parametrize("largest_dense", [5_000, 1])
@pytest.mark.parametrize("seed", range(8))
def test_removal_effects_are_the_oracles(seed: int, largest_dense: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way walks among channels are worked out; some channels are on no way back, some on none to a contact."""
    model = python_model("int_removal_effects")
    monkeypatch.setattr(model, "LARGEST_DENSE", largest_dense)
    dice = random.Random(seed)
    names = [f"channel {number}" for number in range(dice.randint(1, 7))]
    chains = [
        Chain(tuple(dice.choices(names, k=dice.randint(1, 5))), dice.random() < 0.4, dice.randint(1, 3))
        for _ in range(dice.randint(1, 15))
    ]
    channels = sorted({name for chain in chains for name in chain.channels})
    effects = model.removal_effects(*steps_of(chains, channels), len(channels))
    expected = removal_effects(chains)
    assert dict(zip(channels, effects, strict=True)) == {
        name: pytest.approx(float(effect), abs=1e-12) for name, effect in expected.items()
    }
