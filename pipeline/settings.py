"""Settings: places and resources (environment and `.env`), and the rules' options (vars of dbt_project.yml)."""

import io
import ipaddress
import json
import os
import re
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import duckdb
import phonenumbers
import yaml
from dotenv import load_dotenv
from dotenv.parser import parse_stream
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from pipeline.yaml_files import read_yaml

PROJECT_DIR = Path(__file__).resolve().parent.parent
SHOWN_CHARACTERS = 80  # of a value that can't be used


class SettingsError(Exception):
    """A setting can't be used. The message says which, why and what would work."""


# Names that `.env` may set, beside those of credentials in sources.yml.
KNOWN_NAMES = (
    *("ENGINE", "SPARK_MASTER", "SPARK_CATALOG_URI", "SPARK_LAKE", "SPARK_JARS_DIR", "MAVEN_REPOSITORY", "JAVA_HOME"),
    *("SPARK_LARGEST_GRAPH", "SPARK_REMOTE"),
    *("LANDING_DIR", "SOURCES_FILE", "WAREHOUSE_DIR", "MEMORY_LIMIT", "THREADS", "TEMPORARY_DIR", "UNPACKED_LIMIT"),
    *("ALERT_COMMAND", "FIRST_LOAD_DAY", "DAGSTER_HOME", "LIVE_WAREHOUSE_DIR"),
    *("REPORT_HOST", "REPORT_PORT", "REPORT_NAMES", "REPORT_LANGUAGE", "REPORT_MEMORY_LIMIT", "MASK_PHONES"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
LEAST_LIKENESS = 0.8  # of a misspelled name to a known one, from 0 to 1


def load_environment(file: Path = PROJECT_DIR / ".env") -> None:
    """Loads `.env` into the environment, without overriding what is set. Raises SettingsError."""
    load_dotenv(stream=io.StringIO(_environment_text(file)))


def _environment_text(file: Path) -> str:
    """The content of `.env`, which consists of settings; empty without the file. Raises SettingsError."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{file} can't be read: {error.strerror}.") from None
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{file}, line {line}: it isn't in UTF-8; save the file as UTF-8.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise SettingsError(f"{file}, line {line}: it holds a NUL byte; save the file as UTF-8.")
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise SettingsError(f"{file}, line {binding.original.line}: it is no setting; write it as NAME=value.")
    return text


def misspelled_names(file: Path = PROJECT_DIR / ".env") -> dict[str, str]:
    """Names in `.env` that resemble a setting without being one, each with the setting. Raises SettingsError.

    Names that sources.yml mentions are of credentials.
    """
    names = [binding.key for binding in parse_stream(io.StringIO(_environment_text(file))) if binding.key]
    similar = {name: get_close_matches(name.upper(), KNOWN_NAMES, 1, LEAST_LIKENESS) for name in names}
    misspelled = {name: found[0] for name, found in similar.items() if found and name not in KNOWN_NAMES}
    mentioned = ""
    if misspelled:
        with suppress(OSError):
            mentioned = sources_file().read_text("utf-8", "replace")
    return {name: setting for name, setting in misspelled.items() if name not in re.findall(r"\w+", mentioned)}


def sources_file() -> Path:
    """The project's sources.yml, unless SOURCES_FILE names another."""
    load_environment()
    return PROJECT_DIR / (os.environ.get("SOURCES_FILE") or "sources.yml")


def _is_number(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("write a number, rather than yes or no")
    return value


# All are bounded, which excludes infinity.
Number = Annotated[float, BeforeValidator(_is_number)]
Seconds = Annotated[Number, Field(ge=0, le=1_000_000_000)]
Share = Annotated[Number, Field(ge=0, le=1)]
Count = Annotated[int, BeforeValidator(_is_number), Field(le=1_000_000_000)]


class Rules(BaseModel):
    """The rules' settings, explained in docs/rules.md. Their defaults are only in dbt_project.yml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report_timezone: str
    first_load_day: Annotated[date, Field(ge=date(1970, 1, 1))]
    contact_grace_seconds: Seconds
    history_scope: Literal["all_prior", "since_previous_contact"]
    lookback_days: Annotated[Number, Field(ge=0, le=100_000)] | None
    channel_grain: Literal["source_medium", "medium", "source", "source_medium_campaign"]
    count_direct_touches: bool
    default_phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    max_rejected_share: Share
    max_columns: Annotated[Count, Field(ge=1, le=100_000)]
    history_touch_limit: Annotated[Count, Field(ge=1)]
    chain_form: Literal["as_is", "collapsed", "unique"]
    position_based_first_share: Share
    position_based_last_share: Share
    time_decay_half_life_days: Annotated[Number, Field(gt=0, le=100_000)]
    large_client_size: Annotated[Count, Field(ge=2)]
    same_touch_seconds: Seconds | None
    same_visit_seconds: Seconds | None
    same_contact_seconds: Seconds | None
    source_precedence: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=100)]
    report_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]

    @field_validator("first_load_day", mode="before")
    @classmethod
    def is_written_as_a_day(cls, day: object) -> object:
        # Pydantic would take a number for seconds since 1970.
        if not isinstance(day, date | str) or (
            isinstance(day, str) and not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII)
        ):
            raise ValueError("write a day like 2015-01-31")
        return day

    @field_validator("first_load_day")
    @classmethod
    def has_come(cls, day: date) -> date:
        if day > datetime.now(UTC).date() + timedelta(days=1):
            raise ValueError("no day could be loaded: it is in the future")
        return day

    @field_validator("report_timezone")
    @classmethod
    def is_a_time_zone(cls, name: str) -> str:
        # Python and DuckDB both compute days, and each knows zones that the other doesn't.
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError):
            is_known = False
        else:
            is_known = name in _time_zones_of_duckdb()
        if not is_known:
            raise ValueError(f"no time zone is called {_shown(name)}; try one like Europe/Moscow")
        return name

    @field_validator("default_phone_region")
    @classmethod
    def is_a_phone_region(cls, code: str) -> str:
        if code not in phonenumbers.SUPPORTED_REGIONS:
            raise ValueError("no country has this code; write its two letters of ISO 3166, like RU")
        return code

    @field_validator("source_precedence")
    @classmethod
    def names_each_source_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for position, name in enumerate(names):
            if name in names[:position]:
                raise ValueError(f"{_shown(name)} is named twice; a source has one place")
            if ":" in name or name != name.strip():
                raise ValueError(f"no source is called {_shown(name)}: it is what stands before the first colon")
            if any(character != " " and unicodedata.category(character)[0] not in "LMNP" for character in name):
                raise ValueError(f"no source is called {_shown(name)}: write letters, digits and punctuation")
        return names

    @model_validator(mode="after")
    def leaves_a_share_to_the_middle(self) -> Self:
        if self.position_based_first_share + self.position_based_last_share > 1:
            raise ValueError("position_based_first_share and position_based_last_share are more than 1 together")
        return self

    @classmethod
    def read(cls, overrides: Mapping[str, object] | None = None) -> Self:
        """The settings of dbt_project.yml, overridden by `FIRST_LOAD_DAY` of the environment, then by `overrides`.

        Raises SettingsError.
        """
        load_environment()
        file = PROJECT_DIR / "dbt_project.yml"
        try:
            project = read_yaml(file)
        except UnicodeDecodeError:
            raise SettingsError(f"{file.name} isn't in UTF-8; save the file as UTF-8.") from None
        except (OSError, yaml.YAMLError) as error:
            raise SettingsError(f"{file.name} can't be read: {error}") from None
        settings = project.get("vars") if isinstance(project, dict) else None
        if not isinstance(settings, dict):
            raise SettingsError(f"{file.name} has no settings: they stand below `vars:`, each with its name and value.")
        try:
            return cls.model_validate(settings | _of_environment() | dict(overrides or {}))
        except ValidationError as error:
            faults = "; ".join(_fault_message(fault) for fault in error.errors())
            raise SettingsError(f"These settings can't be used: {faults}.") from None

    def as_vars(self) -> dict[str, object]:
        """The settings for dbt's --vars."""
        variables: dict[str, object] = json.loads(self.model_dump_json())
        return variables

    def today(self) -> date:
        return datetime.now(ZoneInfo(self.report_timezone)).date()

    def yesterday(self) -> date:
        """The latest day that can be loaded (R9)."""
        return self.today() - timedelta(days=1)

    def days_behind(self, data_through: date | None) -> int | None:
        """How many days behind yesterday the last loaded day is; None if no day is loaded."""
        return (self.yesterday() - data_through).days if data_through else None


def _of_environment() -> dict[str, object]:
    """Settings that differ between one project's warehouses: the demo has its own first day."""
    first_load_day = os.environ.get("FIRST_LOAD_DAY")
    return {"first_load_day": first_load_day} if first_load_day else {}


def _fault_message(fault: ErrorDetails) -> str:
    name = ".".join(map(str, fault["loc"][:1]))
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{name} is missing: give it a value"
    if fault["type"] == "extra_forbidden":
        return f"{name} = {_shown(fault['input'])}: there is no such setting; remove it, or correct its name"
    if not name:  # concerns several settings
        return message
    return f"{name} = {_shown(fault['input'])}: {message}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


@cache
def _time_zones_of_duckdb() -> frozenset[str]:
    with duckdb.connect() as connection:
        return frozenset(name for (name,) in connection.execute("select name from pg_timezone_names()").fetchall())


# A share of the machine's memory or the control group's, whichever is lower: DuckDB checks both.
DEFAULT_MEMORY_LIMIT = "50%"
MEMORY_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SMALLEST_MEMORY = 200 * 10**6
LARGEST_MEMORY = 1000 * 10**12
SMALLEST_SHARE = 0.1
DEFAULT_UNPACKED_LIMIT = "10GB"
MOST_THREADS = 1024
ENGINES = ("duckdb", "spark")


@dataclass(frozen=True)
class Settings:
    landing_dir: Path
    warehouse_dir: Path
    memory_limit: str
    threads: int
    temporary_dir: Path | None  # None: inside the warehouse's folder
    unpacked_limit: int  # most bytes of one unpacked file
    engine: str  # one of ENGINES: what builds

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project; relative paths are relative to the project.

        Raises SettingsError.
        """
        load_environment()
        temporary_dir = os.environ.get("TEMPORARY_DIR")
        return cls(
            landing_dir=PROJECT_DIR / (os.environ.get("LANDING_DIR") or "data/landing"),
            warehouse_dir=_warehouse_dir(os.environ.get("WAREHOUSE_DIR") or "data/warehouse"),
            memory_limit=_memory_limit(os.environ.get("MEMORY_LIMIT") or DEFAULT_MEMORY_LIMIT),
            threads=_threads(os.environ.get("THREADS") or str(len(os.sched_getaffinity(0)))),
            temporary_dir=PROJECT_DIR / temporary_dir if temporary_dir else None,
            unpacked_limit=_unpacked_limit(os.environ.get("UNPACKED_LIMIT") or DEFAULT_UNPACKED_LIMIT),
            engine=_engine(os.environ.get("ENGINE") or ENGINES[0]),
        )


def _engine(text: str) -> str:
    if text not in ENGINES:
        raise SettingsError(f"ENGINE = {_shown(text)}: write {' or '.join(ENGINES)}.")
    return text


def _warehouse_dir(text: str) -> Path:
    folder = PROJECT_DIR / text
    if any(character in str(folder) for character in "#?"):
        # dbt treats the path as a URL, and would cut it off at these.
        raise SettingsError(
            f"WAREHOUSE_DIR = {folder}: dbt finds no database below a name with # or ? in it; set another folder."
        )
    return folder


def _memory_limit(text: str, name: str = "MEMORY_LIMIT") -> str:
    read = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%|([KMGT])i?B?)", text.strip(), re.ASCII | re.IGNORECASE)
    if read is None:
        raise SettingsError(f"{name} = {_shown(text)}: it is no amount of memory; write it like 4GB or 60%.")
    number, unit, prefix = read.groups()
    if unit == "%":
        if not SMALLEST_SHARE <= float(number) <= 100:
            raise SettingsError(f"{name} = {_shown(text)}: a share of the memory is from {SMALLEST_SHARE}% to 100%.")
        return number + unit
    size = float(number) * MEMORY_UNITS[prefix.upper()]
    if size < SMALLEST_MEMORY:
        raise SettingsError(
            f"{name} = {_shown(text)}: too little to work with; give at least {SMALLEST_MEMORY // 10**6}MB."
        )
    if size > LARGEST_MEMORY:
        raise SettingsError(
            f"{name} = {_shown(text)}: no machine has so much; give at most {LARGEST_MEMORY // 10**12}TB."
        )
    return number + unit


def _unpacked_limit(text: str) -> int:
    read = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])i?B?", text.strip(), re.ASCII | re.IGNORECASE)
    if read is None or not 0 < float(read[1]) < 10**6:
        raise SettingsError(f"UNPACKED_LIMIT = {text!r}: it is no size of a file; write it like 500MB or 20GB.")
    return int(float(read[1]) * MEMORY_UNITS[read[2].upper()])


def _threads(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text.strip(), re.ASCII) or not 1 <= int(text) <= MOST_THREADS:
        raise SettingsError(f"THREADS = {_shown(text)}: write a whole number from 1 to {MOST_THREADS}, like 4.")
    return int(text)


# When the daily update starts, and how long it may take until the day before counts as missing.
DAILY_HOUR = 4
DAILY_UPDATE_HOURS = 2


def day_due(time_zone: str) -> date:
    """The last day that should be loaded by now."""
    return (datetime.now(ZoneInfo(time_zone)) - timedelta(hours=DAILY_HOUR + DAILY_UPDATE_HOURS)).date() - timedelta(
        days=1
    )


LANGUAGES = ("ru", "en")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True)
class ReportSettings:
    """Settings of the report, beside `Settings`."""

    host: str
    port: int
    names: tuple[str, ...]  # accepted host names; empty: any
    language: str  # unless the address says otherwise
    memory_limit: str
    mask_phones: bool

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project. Raises SettingsError."""
        load_environment()
        port, language = os.environ.get("REPORT_PORT") or "8501", os.environ.get("REPORT_LANGUAGE") or "ru"
        if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
            raise SettingsError(f"REPORT_PORT = {port!r}: write a whole number from 1 to 65535, like 8501.")
        if language not in LANGUAGES:
            raise SettingsError(f"REPORT_LANGUAGE = {language!r}: the report speaks {' and '.join(LANGUAGES)}.")
        host = os.environ.get("REPORT_HOST") or "127.0.0.1"
        if not re.fullmatch(r"[\w.-]+", host) and not _is_address(host):
            raise SettingsError(f"REPORT_HOST = {_shown(host)}: write an address like 127.0.0.1, or a host's name.")
        return cls(
            host=host,
            port=int(port),
            names=_names(os.environ.get("REPORT_NAMES", ""), host),
            language=language,
            memory_limit=_memory_limit(os.environ.get("REPORT_MEMORY_LIMIT") or "1GB", "REPORT_MEMORY_LIMIT"),
            mask_phones=_yes_or_no("MASK_PHONES"),
        )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def _names(text: str, host: str) -> tuple[str, ...]:
    """Accepted host names. On localhost, only its own names by default: any other may be DNS rebinding."""
    names = tuple(filter(None, (name.strip().lower() for name in text.split(","))))
    for name in names:
        if not re.fullmatch(r"(\*\.)?[\w.-]+|[0-9a-f:]+", name):
            raise SettingsError(
                f"REPORT_NAMES = {text!r}: write names of hosts like report.example, with commas between."
            )
    return (*names, *THIS_MACHINE) if names or host in THIS_MACHINE else ()


def _yes_or_no(name: str) -> bool:
    text = os.environ.get(name, "").strip().lower()
    if text not in YES + NO:
        raise SettingsError(f"{name} = {text!r}: write true or false.")
    return text in YES


def alert_command() -> str | None:
    """Read apart from `Settings`, as alerts must work even when these can't be used."""
    with suppress(SettingsError):
        load_environment()
    return os.environ.get("ALERT_COMMAND") or None


def main() -> None:
    """Runs the command in the arguments, with `.env` loaded into its environment."""
    try:
        load_environment()
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
