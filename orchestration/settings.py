"""Settings: where things are (environment and `.env`) and what the rules leave open (vars of dbt_project.yml)."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from dotenv import load_dotenv
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

PROJECT_DIR = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A setting that can't be used; the message says which, why and what would do."""


Seconds = Annotated[float, Field(ge=0, le=1_000_000_000)]


class Rules(BaseModel):
    """The rules' settings; docs/rules.md says what each means. Their defaults are in dbt_project.yml only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report_timezone: str
    first_load_day: date
    contact_grace_seconds: Annotated[float, Field(ge=0)]
    history_scope: Literal["all_prior", "since_previous_contact"]
    lookback_days: Annotated[float, Field(ge=0, le=100_000)] | None
    channel_grain: Literal["source_medium", "medium", "source", "source_medium_campaign"]
    count_direct_touches: bool
    default_phone_region: Annotated[str, Field(pattern="^[A-Z]{2}$")]
    max_rejected_share: Annotated[float, Field(ge=0, le=1)]
    max_columns: Annotated[int, Field(ge=1, le=100_000)]
    history_touch_limit: Annotated[int, Field(ge=1)]
    chain_form: Literal["as_is", "collapsed", "unique"]
    position_based_first_share: Annotated[float, Field(ge=0, le=1)]
    position_based_last_share: Annotated[float, Field(ge=0, le=1)]
    time_decay_half_life_days: Annotated[float, Field(gt=0, le=100_000)]
    large_client_size: Annotated[int, Field(ge=2)]
    same_touch_seconds: Seconds | None
    same_visit_seconds: Seconds | None
    same_contact_seconds: Seconds | None
    source_precedence: tuple[Annotated[str, Field(min_length=1)], ...]
    report_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]

    @field_validator("report_timezone")
    @classmethod
    def is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError(f"no time zone is called {name!r}; try one like Europe/Moscow") from error
        return name

    @field_validator("source_precedence")
    @classmethod
    def names_each_source_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for position, name in enumerate(names):
            if name in names[:position]:
                raise ValueError(f"{name!r} is named twice; a source has one place")
            if ":" in name or name != name.strip():
                raise ValueError(f"no source is called {name!r}: it is what stands before the first colon")
        return names

    @model_validator(mode="after")
    def leaves_a_share_to_the_middle(self) -> Self:
        if self.position_based_first_share + self.position_based_last_share > 1:
            raise ValueError("position_based_first_share and position_based_last_share are more than 1 together")
        return self

    @classmethod
    def read(cls, overrides: Mapping[str, object] | None = None) -> Self:
        """The settings of dbt_project.yml, with overrides by name. Raises SettingsError."""
        try:
            project = yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text("utf-8"))
            return cls.model_validate(project["vars"] | dict(overrides or {}))
        except yaml.YAMLError as error:
            raise SettingsError(f"dbt_project.yml is not YAML: {error}") from None
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'][:1]))} = {fault['input']!r}: {fault['msg']}"
                for fault in error.errors()
            )
            raise SettingsError(f"These settings can't be used: {faults}.") from None

    def as_vars(self) -> dict[str, object]:
        """The settings as dbt takes them by --vars."""
        variables: dict[str, object] = json.loads(self.model_dump_json())
        return variables

    def today(self) -> date:
        return datetime.now(ZoneInfo(self.report_timezone)).date()

    def yesterday(self) -> date:
        """The latest day that can be loaded (R9)."""
        return self.today() - timedelta(days=1)


# Of the machine's memory or, where it is lower, of the control group's: DuckDB asks for both.
DEFAULT_MEMORY_LIMIT = "50%"
MEMORY_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
SMALLEST_MEMORY = 200 * 10**6
MOST_THREADS = 1024


@dataclass(frozen=True)
class Settings:
    landing_dir: Path
    warehouse_dir: Path
    memory_limit: str
    threads: int
    temporary_dir: Path | None  # none: inside the warehouse's folder

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project; relative paths are relative to the project.

        Raises SettingsError.
        """
        load_dotenv(PROJECT_DIR / ".env")
        temporary_dir = os.environ.get("TEMPORARY_DIR")
        return cls(
            landing_dir=PROJECT_DIR / (os.environ.get("LANDING_DIR") or "data/landing"),
            warehouse_dir=PROJECT_DIR / (os.environ.get("WAREHOUSE_DIR") or "data/warehouse"),
            memory_limit=_memory_limit(os.environ.get("MEMORY_LIMIT") or DEFAULT_MEMORY_LIMIT),
            threads=_threads(os.environ.get("THREADS") or str(len(os.sched_getaffinity(0)))),
            temporary_dir=PROJECT_DIR / temporary_dir if temporary_dir else None,
        )


def _memory_limit(text: str, name: str = "MEMORY_LIMIT") -> str:
    read = re.fullmatch(r"(\d+(?:\.\d+)?) ?(%|([KMGT])i?B?)", text.strip(), re.ASCII | re.IGNORECASE)
    if read is None:
        raise SettingsError(f"{name} = {text!r}: it is no amount of memory; write it like 4GB or 60%.")
    number, unit, prefix = read.groups()
    if unit == "%":
        if not 0 < float(number) <= 100:
            raise SettingsError(f"{name} = {text!r}: a share of the memory is above 0% and at most 100%.")
    elif float(number) * MEMORY_UNITS[prefix.upper()] < SMALLEST_MEMORY:
        raise SettingsError(f"{name} = {text!r}: too little to work with; give at least {SMALLEST_MEMORY // 10**6}MB.")
    return number + unit


def _threads(text: str) -> int:
    if not re.fullmatch(r"\d{1,4}", text.strip(), re.ASCII) or not 1 <= int(text) <= MOST_THREADS:
        raise SettingsError(f"THREADS = {text!r}: write a whole number from 1 to {MOST_THREADS}, like 4.")
    return int(text)


# When the daily update begins, and how long after it the day before may still be missing.
DAILY_HOUR = 4
DAILY_UPDATE_HOURS = 2


def day_due(time_zone: str) -> date:
    """The day that data should reach by now."""
    return (datetime.now(ZoneInfo(time_zone)) - timedelta(hours=DAILY_HOUR + DAILY_UPDATE_HOURS)).date() - timedelta(
        days=1
    )


LANGUAGES = ("ru", "en")
YES, NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


@dataclass(frozen=True)
class ReportSettings:
    """How the report is served, beside `Settings`."""

    host: str
    port: int
    names: tuple[str, ...]  # by which hosts browsers ask for it; none: whichever
    language: str  # where an address doesn't say another
    memory_limit: str
    mask_phones: bool

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project. Raises SettingsError."""
        load_dotenv(PROJECT_DIR / ".env")
        port, language = os.environ.get("REPORT_PORT") or "8501", os.environ.get("REPORT_LANGUAGE") or "ru"
        if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65535:
            raise SettingsError(f"REPORT_PORT = {port!r}: write a whole number from 1 to 65535, like 8501.")
        if language not in LANGUAGES:
            raise SettingsError(f"REPORT_LANGUAGE = {language!r}: the report speaks {' and '.join(LANGUAGES)}.")
        return cls(
            host=os.environ.get("REPORT_HOST") or "127.0.0.1",
            port=int(port),
            names=_names(os.environ.get("REPORT_NAMES", ""), os.environ.get("REPORT_HOST") or "127.0.0.1"),
            language=language,
            memory_limit=_memory_limit(os.environ.get("REPORT_MEMORY_LIMIT") or "1GB", "REPORT_MEMORY_LIMIT"),
            mask_phones=_yes_or_no("MASK_PHONES"),
        )


THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


def _names(text: str, host: str) -> tuple[str, ...]:
    """Where only this machine is listened to, and nothing else said, another name is somebody's trick to read along."""
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
    """Apart from `Settings`, as a notice is due above all when these can't be used."""
    load_dotenv(PROJECT_DIR / ".env")
    return os.environ.get("ALERT_COMMAND") or None
