"""What the report says, in Russian and English: words, numbers, amounts of money, days and times as each language writes them."""

from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from babel import Locale
from babel.dates import format_date, format_time
from babel.numbers import format_currency, format_decimal, format_percent

NATIVE_NAMES = {"ru": "Русский", "en": "English"}


@cache
def all_words() -> dict[str, dict[str, Any]]:
    """By name and language; a text, or its forms by the number that it tells of."""
    words: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("words.yml").read_text("utf-8"))
    return words


class Words:
    """One language's words. Names that words.yml doesn't have are a KeyError: a mistake of ours, never of data."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.locale = Locale(language)

    def __call__(self, name: str, **values: Any) -> str:
        return str(all_words()[name][self.language]).format(**values)

    def of(self, kind: str, word: str | None) -> str | None:
        """The word that a mart says, in this language; as it is if it isn't known."""
        named = all_words().get(f"{kind}_{word}")
        return str(named[self.language]) if named else word

    def count(self, name: str, number: int) -> str:
        forms = all_words()[name][self.language]
        form = forms.get(self.locale.plural_form(number), forms["other"])
        return str(form).format(n=self.number(number))

    def number(self, value: float | Decimal | None, digits: int = 0) -> str:
        """With at most so many decimals; none is an empty text."""
        if value is None:
            return ""
        return format_decimal(value, format=f"#,##0.{'#' * digits}" if digits else "#,##0", locale=self.locale)

    def fixed(self, value: float | Decimal | None, digits: int) -> str:
        """With exactly so many decimals, so that they stand below one another."""
        return "" if value is None else format_decimal(value, format=f"#,##0.{'0' * digits}", locale=self.locale)

    def money(self, value: float | Decimal | None, currency: str, digits: int = 2) -> str:
        if value is None:
            return ""
        pattern = {"ru": "#,##0{} ¤", "en": "¤#,##0{}"}[self.language].format("." + "0" * digits if digits else "")
        return format_currency(value, currency, format=pattern, locale=self.locale, currency_digits=False)

    def percent(self, share: float | None) -> str:
        return (
            ""
            if share is None
            else format_percent(share, format="#,##0.0 %" if self.language == "ru" else "#,##0.0%", locale=self.locale)
        )

    def day(self, value: date | None) -> str:
        if value is None:
            return ""
        return format_date(value, "dd.MM.yyyy" if self.language == "ru" else "medium", locale=self.locale)

    def time(self, value: datetime | None) -> str:
        """A day and time of the day, which are local already."""
        return "" if value is None else f"{self.day(value.date())}, {format_time(value, 'short', locale=self.locale)}"

    def duration(self, seconds: int | None) -> str:
        """Hours, minutes and seconds, as a clock tells them."""
        if seconds is None:
            return ""
        sign, seconds = ("-" if seconds < 0 else ""), abs(seconds)
        hours, minutes = divmod(seconds // 60, 60)
        return f"{sign}{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{sign}{minutes}:{seconds % 60:02}"

    def boolean(self, value: bool | None) -> str | None:
        return None if value is None else self("yes_word" if value else "no_word")
