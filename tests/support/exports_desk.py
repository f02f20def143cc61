"""Exports of made-up services, and a desk at which they are fetched without a warehouse around it."""

import textwrap
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import yaml

from pipeline.settings import Rules, Settings
from pipeline.warehouse import Warehouse
from sources.delivering import Fetched, delivery_file
from sources.fetching import fetch
from sources.files import Files

DAY = date(2025, 11, 20)
NEXT_DAY = date(2025, 11, 21)
Row = dict[str, str | None]

MANGO = """\
ID обращения;Дата;Время;Тип обращения;Номер клиента;Имя клиента;Город;Длительность разговора;Повторное;ClientID Яндекс;Комментарий;
1001;20.11.2025;10:00:05;Входящий звонок;8 (916) 123-45-67;;Москва;00:01:23;Нет;1700000000123;"Спросил ""Ромашку""; перезвонить";
1002;20.11.2025;10:30:00;Заказ обратного звонка;+7 916 1234568;Ёлкина Мария;не определен;--;Да;;"В две
строки";
1003;20.11.2025;11:00:00;форма;;Пётр;;;;1700000000124;;
1004;20.11.2025;11:30:00;Факс;89161234570;;;;;;;
;21.11.2025;09:00;ЗВОНОК;9161234567;;;75;;;;
1006;99.11.2025;;звонок;89161234572;;;;;;;
1007;21.11.2025;09:10:00;звонок;"8916"1234573;;;;;;;
""".replace("\n", "\r\n")

DIRECT = (
    "Отчёт по кампаниям за 20.11.2025 – 21.11.2025\n"
    "Дата;Кампания;№ кампании;Показы;Клики;Расход (руб.)\n"
    "20.11.2025;okna;111;1\u00a0234;56;1\u00a0234,50\n"
    "20.11.2025;dveri;112;17;--;0,00\n"
    "21.11.2025;okna;111;1\u202f000\u202f234;7;12 345,6\n"
    "21.11.2025;dveri;112;--;--;--\n"
    "Итого;;;1\u00a0001\u00a0485;63;13\u00a0580,10\n"
)

VK = (
    '\ufeffДата,Кампания,Показы,Клики,"Потрачено всего, ₽"\n2025-11-20,окна,"1,500",3,150.25\n20.11.2025,двери,10,1,5\n'
)

CRM = (
    "Лид №\tСоздан\tСтатус\tИсточник\tКлиент\tТелефон\tКонтакт\tФамилия\tИмя\tОтчество\tСумма сделки\r\n"
    "7\t2025-11-20T11:30:00+05:00\tНовая\tФорма на сайте\t\t\tпочта: anna@example.com\tСмирнова\tАнна\t\t1.234,56\r\n"
    "8\t1763625600\tСделка\tyes\tc-8\t8-916-123-45-67\t\t\t\t\t10,5\r\n"
    "9\t2025-11-20 12:00\tСпам\tЧат\t\t\t\t\t\t\t\r\n"
    "10\t2025-11-20 12:00\tВ работе\t1\t\tне указан\t\t\t\t\t12.5\r\n"
    "11\tвчера\tНовая\tЧто-то\t\t\t\t\t\t\t\r\n"
)

CLICKS = (
    "id,ts,ym_uid,to,referer,src,partner,mdm,bot,payload,Campaign,campaign\n"
    "c1,1763614800000,1700000000123,'https://okna.example/?a=1,2',,yandex,,cpc,no,x,A,a\n"
    "c2,1763618400500,,https://okna.example/,https://news.example/,,partner-1,,0,,,\n"
    "c3,1763618400000,,https://okna.example/,,yandex,,,YES,,,\n"
    "c4,1763618400000,,https://okna.example/,,,,,,,,\n"
    "c5,999999999999999,1700000000124,https://okna.example/,,vk,,,,,'it''s',\n"
)


# dbt takes files that end in .yml for its own where it looks for tests, so mappings are written down here.
MAPPINGS = {
    "crm_leads.yml": r"""
# Leads of a CRM, saved as «Unicode text» by a spreadsheet: UTF-16, tabs.
table: contacts
file: {encoding: utf-16, delimiter: "\t"}
missing: [не указан]
only: {Статус: [Новая, В работе, Сделка]}       # spam is left out
columns:
  contact_id: {from: Лид №, prefix: "lead-"}
  contacted_at: {from: Создан, format: [iso, unix_seconds]}
  contact_type: {from: Источник, words: {Форма на сайте: form, Чат: chat, Почта: email, yes: call, 1: callback}, otherwise: form}
  crm_client_id: Клиент
  phone: Телефон
  email: {from: Контакт, pattern: '(\S+@\S+)'}
  client_name: {join: [Фамилия, Имя, Отчество], separator: " "}
  value: {from: Сумма сделки, decimal: ","}
""",
    "clicks.yml": """
# Clicks of a redirector of one's own.
table: touches
file: {quote: "'"}
leave_out: {bot: [1, yes, true]}
only_with: [utm_source, referer]
told_elsewhere: [payload]
columns:
  touch_id: id
  touched_at: {from: ts, format: unix_milliseconds}
  action_type: {constant: click}
  yandex_client_id: ym_uid
  landing_page: to
  referrer: referer
  utm_source: {from: [src, partner]}
  utm_medium: {from: mdm, otherwise: referral}
""",
}


def mapping_file(folder: Path, name: str, content: str) -> Path:
    file = folder / f"{name}.yml"
    file.write_text(textwrap.dedent(content), "utf-8")
    return file


class Desk:
    """A landing folder, and what is fetched into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exports = folder / "exports"
        self.exports.mkdir(parents=True)
        self.landing = folder / "landing"
        for name, content in MAPPINGS.items():
            (folder / name).write_text(content, "utf-8")
        self.rules = Rules.read({"report_timezone": "Europe/Moscow"})

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.folder / "warehouse")

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        file = self.exports / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return file

    def mapping(self, content: str | Mapping[str, Any]) -> str:
        """A mapping file's path."""
        text = content if isinstance(content, str) else yaml.safe_dump(dict(content), allow_unicode=True)
        return str(mapping_file(self.folder, "mapping", text))

    def source(self, mapping: str, path: str = "*.csv", **settings: Any) -> Files:
        return Files.model_validate(
            {"kind": "files", "name": "exports", "path": str(self.exports / path), "mapping": mapping} | settings
        )

    def fetch(self, source: Files, *days: date) -> list[Fetched]:
        settings = Settings.read()
        settings = type(settings)(**{**settings.__dict__, "landing_dir": self.landing})
        return list(fetch(source, days or (DAY,), self.rules, settings, self.warehouse))

    def file(self, source: Files, day: date = DAY) -> Path:
        return delivery_file(self.landing, source.name, "rows", source.field_mapping.table, day)

    def version(self, source: Files, day: date = DAY) -> tuple[int, int]:
        """Another one once the delivery is written again."""
        facts = self.file(source, day).stat()
        return facts.st_ino, facts.st_mtime_ns

    def rows(self, source: Files, day: date = DAY) -> list[Row]:
        """What a delivery holds, in its own order; fields without a value left out."""
        with duckdb.connect() as connection:
            cursor = connection.execute(f"from read_parquet('{self.file(source, day)}')")
            names = [column[0] for column in cursor.description or ()]
            return [
                {name: value for name, value in zip(names, row, strict=True) if value is not None}
                for row in cursor.fetchall()
            ]

    def delivered(self, source: Files, *days: date) -> list[Row]:
        """The rows of a day that must come."""
        results = self.fetch(source, *days)
        assert {fetched.message for fetched in results} == {None}, results
        return [row for day in days or (DAY,) for row in self.rows(source, day)]

    def failure(self, source: Files, *days: date) -> str:
        """Why a day didn't come; nothing of it is there."""
        results = self.fetch(source, *days)
        assert {fetched.outcome for fetched in results} == {"failed"}, results
        assert not list(self.landing.rglob("*.parquet"))
        return " / ".join(dict.fromkeys(str(fetched.message) for fetched in results))
