"""Names of time zones in settings."""

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator


def _is_a_time_zone(name: str) -> str:
    try:
        return ZoneInfo(name).key
    except (OSError, ValueError, LookupError):
        raise ValueError("no time zone is called so; write one like Europe/Moscow") from None


TimeZoneName = Annotated[str, AfterValidator(_is_a_time_zone)]
