"""Settings: where things are (environment and `.env`) and what the rules leave open (vars of dbt_project.yml)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

import yaml
from dotenv import load_dotenv
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

PROJECT_DIR = Path(__file__).resolve().parent.parent


class SettingsError(Exception):
    """A setting that can't be used; the message says which, why and what would do."""


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
    history_touch_limit: Annotated[int, Field(ge=1)]
    report_currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]

    @field_validator("report_timezone")
    @classmethod
    def is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (OSError, ValueError, LookupError) as error:
            raise ValueError(f"no time zone is called {name!r}; try one like Europe/Moscow") from error
        return name

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


@dataclass(frozen=True)
class Settings:
    landing_dir: Path
    warehouse_dir: Path
    alert_command: str | None

    @classmethod
    def read(cls) -> Self:
        """From the environment, then `.env` of the project; relative paths are relative to the project."""
        load_dotenv(PROJECT_DIR / ".env")
        return cls(
            landing_dir=PROJECT_DIR / os.environ.get("LANDING_DIR", "data/landing"),
            warehouse_dir=PROJECT_DIR / os.environ.get("WAREHOUSE_DIR", "data/warehouse"),
            alert_command=os.environ.get("ALERT_COMMAND") or None,
        )
