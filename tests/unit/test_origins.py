"""R11: what names a touch's channel. Cases with their right outcome, and everything against a second reading of the rule."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import random
import runpy
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow
import pytest
import yaml
from reference import Seeds as ReferenceSeeds
from reference_origins import host_of, named_source_and_medium, tags_of

from pipeline.contracts import PlainMacros
from pipeline.settings import PROJECT_DIR

CASES = PROJECT_DIR / "tests" / "cases" / "channels.csv"
TAGS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")


@cache
def model() -> ModuleType:
    file = PROJECT_DIR / "models/intermediate/touches/int_origins.py"
    spec = importlib.util.spec_from_file_location("int_origins", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def relation(connection: duckdb.DuckDBPyConnection, seed: str) -> duckdb.DuckDBPyRelation:
    """A seed as a build has it."""
    described = yaml.safe_load((PROJECT_DIR / "seeds/_seeds.yml").read_text("utf-8"))["seeds"]
    types = next(each["config"]["column_types"] for each in described if each["name"] == seed)
    return connection.read_csv(str(PROJECT_DIR / "seeds" / f"{seed}.csv"), columns=types, header=True)


@cache
def seeds() -> Any:
    connection = duckdb.connect()
    names = ("widgets", "click_ids", "search_engines", "referrers")
    return model().read_seeds(*(relation(connection, name).to_arrow_table() for name in names))


@cache
def reference_seeds() -> ReferenceSeeds:
    return ReferenceSeeds.read(PROJECT_DIR / "seeds")


@cache
def widget_of_host() -> dict[str, str]:
    return {
        host: widget_id for widget_id, widget in reference_seeds().widgets.items() for host in widget.site_host.split()
    }


def named(values: Mapping[str, str | None], by: Any = None) -> Any:
    return model().name_channel(model().Origin(**values), by or seeds())


def channel(landing_page: str = "", referrer: str = "", widget_id: str | None = None, **tags: str) -> str:
    """As shown, of a touch on the demo's widget whose page it is."""
    widget_id = widget_id or widget_of_host().get(host_of(landing_page) or "")
    answer = named({"widget_id": widget_id, "landing_page": landing_page, "referrer": referrer, **tags})
    return f"{answer.source} / {answer.medium}".lower()


def cases() -> list[dict[str, str]]:
    with open(CASES, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["case"])
def test_each_case_has_its_channel(case: dict[str, str]) -> None:
    assert channel(case["landing_page"], case["referrer"]) == case["channel"]


SITE = "https://okna-stolitsa.example"


@pytest.mark.parametrize(
    ("landing_page", "tags"),
    [
        # In the query only, by the whole name in any letter case; of several the first that has a value.
        ("/?utm_source=s&utm_medium=m&utm_campaign=c&utm_term=t&utm_content=n", ("s", "m", "c", "t", "n")),
        ("/?UTM_SOURCE=Yandex&Utm_Medium=CPC", ("Yandex", "CPC")),
        ("/?my_utm_source=a&utm_source_platform=b&utm_mediums=c", ()),
        ("/?a=utm_source=b&utm_medium=c=d", (None, "c=d")),
        ("/?utm_source=b&utm_source=a", ("b",)),
        ("/?utm_source&utm_source=&utm_source=+%20%09&utm_source=%C2%A0&utm_source=a&utm_source=b", ("a",)),
        ("/#?utm_source=hash", ()),
        ("/?a=1#utm_source=hash?utm_medium=m", ()),
        ("/utm_source=path", ()),
        # Decoded as UTF-8, else as Windows-1251; as written where an escape is broken.
        ("/?utm_campaign=%D0%BE%D0%BA%D0%BD%D0%B0+%D1%81%D0%BF%D0%B1&utm_term=1%2B1%3D2%26", (None, None, "окна спб", "1+1=2&")),
        ("/?utm_campaign=окна&utm_term=%d0%be", (None, None, "окна", "о")),
        ("/?utm_campaign=%EE%EA%ED%E0+%20x", (None, None, "окна  x")),
        ("/?utm_campaign=a+%98", (None, None, "a+%98")),
        ("/?utm_campaign=a+100%", (None, None, "a+100%")),
        ("/?utm_campaign=%D0%BE%zz+%4", (None, None, "%D0%BE%zz+%4")),
        ("/?utm_term=%u043e%u043A%u043d%u0430%20%D0%BC", (None, None, None, "окна м")),
        ("/?utm_term=%uD83D%uDE00", (None, None, None, "😀")),
        ("/?utm_term=%uD83D", (None, None, None, "%uD83D")),
        ("/?utm_term=и%CC%86", (None, None, None, "й")),
        # A template that nobody filled in is no value.
        ("/?utm_source={source}&utm_source=a", ("a",)),
        ("/?utm_source=a&utm_campaign={{campaign.name}}&utm_term={keyword}_{device}", ("a",)),
        ("/?utm_source=a&utm_campaign=%campaign%&utm_term=%25term%25", ("a",)),
        ("/?utm_source=a&utm_campaign=${id}&utm_content=__CID__", ("a",)),
        ("/?utm_source=a&utm_campaign=sale_{region}", ("a", None, "sale_{region}")),
        ("/?utm_source=a&utm_campaign=50%скидка%", ("a", None, "50%скидка%")),
        # A parameter also begins behind a second question mark or a semicolon, if it is a known one.
        ("/?id=5?utm_source=vk&utm_medium=cpc", ("vk", "cpc")),
        ("/?utm_source=vk;utm_medium=cpc", ("vk", "cpc")),
        ("/?utm_term=a;b?c=d;e&utm_source=vk", ("vk", None, None, "a;b?c=d;e")),
        ("/?utm_source=vk?yclid=1", ("vk",)),
        ("/?a=b;utm_source=vk;c=d&utm_medium=m", ("vk;c=d", "m")),
        # The slash at the very end is nobody's.
        ("/?utm_source=vk&utm_medium=cpc/", ("vk", "cpc")),
        ("/?utm_source=vk/&utm_medium=cpc/#x", ("vk/", "cpc")),
        # Names in other spellings.
        ("/?utm%5Fsource=vk&utm_medium%5B%5D=cpc&+utm_term+=t", ("vk", "cpc", None, "t")),
    ],
)  # fmt: skip
def test_tags_are_read_out_of_the_query(landing_page: str, tags: tuple[str | None, ...]) -> None:
    answer = named({"landing_page": f"{SITE}{landing_page}"})
    assert answer[: len(TAGS)] == (*tags, *[None] * (len(TAGS) - len(tags)))


@pytest.mark.parametrize(
    ("column", "tag"),
    [
        ("Яндекс", "Яндекс"),
        ("a+b", "a+b"),
        ("%D0%BE%D0%BA%D0%BD%D0%B0+%D0%BC", "окна м"),
        ("скидка 50%", "скидка 50%"),
        ("{campaign}", "landing"),
        ("\u200b", "landing"),
        ("маи\u0306ский", "майский"),
    ],
)
def test_the_rows_own_tag_goes_before_the_landing_pages(column: str, tag: str) -> None:
    landing_page = f"{SITE}/?utm_campaign=landing"
    assert named({"landing_page": landing_page, "utm_campaign": column}).utm_campaign == tag


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("utm_source=yandex&yclid=1", "yandex / cpc"),
        ("utm_source=Yandex&yclid=1", "yandex / cpc"),
        ("utm_medium=CPC&gclid=1", "google / cpc"),
        ("utm_source=google&yclid=1", "google / (not set)"),
        ("utm_source=google&yclid=1&gclid=1", "google / cpc"),
        ("utm_medium=email&yclid=1", "(not set) / email"),
        ("utm_source=facebook&fbclid=1", "facebook / social"),
        ("utm_source=yandex&yclid=", "yandex / (not set)"),
        ("utm_campaign=spring&yclid=1", "yandex / cpc"),
    ],
)
def test_a_click_id_completes_the_half_that_agrees_with_it(query: str, shown: str) -> None:
    assert channel(f"{SITE}/?{query}", "https://vk.com/") == shown


@pytest.mark.parametrize(
    ("query", "referrer", "shown"),
    [
        ("ymclid=1&gclid=2&yclid=3", "", "yandex / cpc"),
        ("ymclid=1&gclid=2", "", "google / cpc"),
        ("YClid=1", "", "yandex / cpc"),
        ("yclid=&YCLID=2", "", "yandex / cpc"),
        ("yclid=%20+", "", "(direct) / (none)"),
        ("yclid", "", "(direct) / (none)"),
        ("yclid={yclid}", "", "(direct) / (none)"),
        ("xyclid=1&yclid2=1", "", "(direct) / (none)"),
        ("a=yclid=1", "", "(direct) / (none)"),
        ("=yclid=1", "", "(direct) / (none)"),
        ("gclid=1", "https://yandex.ru/", "google / cpc"),
        ("gclid=1", "https://okna-stolitsa.example/", "google / cpc"),
        ("fbclid=1", "https://yandex.ru/", "yandex / organic"),
        ("fbclid=1", "https://okna-stolitsa.example/", "facebook / social"),
        ("fbclid=1&ysclid=1", "", "facebook / social"),
        ("fbclid=1&yclid=1", "https://t.me/", "yandex / cpc"),
    ],
)
def test_click_ids_of_advertising_go_before_the_referrer_and_others_after_it(
    query: str, referrer: str, shown: str
) -> None:
    assert channel(f"{SITE}/?{query}", referrer) == shown


@pytest.mark.parametrize(
    ("referrer", "shown"),
    [
        ("https://Blog.Example/post", "blog.example / referral"),
        ("https://www.blog.example/", "www.blog.example / referral"),
        ("https://user:pass@blog.example:8443/post", "blog.example / referral"),
        ("https://vk.com@evil@blog.example/", "blog.example / referral"),
        ("https://blog.example/@vk.com", "blog.example / referral"),
        ("https://blog.example/?next=@vk.com", "blog.example / referral"),
        ("https://blog.example#@vk.com", "blog.example / referral"),
        ("https://blog.example.:443/post", "blog.example / referral"),
        ("HTTPS://YANDEX.RU?text=a", "yandex / organic"),
        ("https:\\\\vk.com\\feed", "vk / social"),
        ("//vk.com/feed", "vk / social"),
        ("m.vk.com/feed", "vk / social"),
        ("https%3A%2F%2Fvk.com%2Ffeed", "vk / social"),
        ("\ufeffhttps://vk.com/", "vk / social"),
        ("https://xn--e1afmkfd.xn--p1ai/", "пример.рф / referral"),
        ("https://ПРИМЕР.РФ/", "пример.рф / referral"),
        ("tg://resolve?domain=okna", "telegram / social"),
        ("android-app://com.vkontakte.android/", "vk / social"),
        ("https://8.8.8.8/", "8.8.8.8 / referral"),
        # Nobody's.
        *(
            (referrer, "(direct) / (none)")
            for referrer in (
                "about:blank", "chrome-extension://abc/x.html", "file:///home/x", "mailto:/yandex.ru", "http://localhost:3000/",
                "http://127.0.0.1/", "http://10.0.0.1/", "http://[::1]/", "http://3232235786/", "http://crm/", "http://crm.local/",
                "(direct)", "-", "null", "yandex", "http://", "https://ex ample.com/", "android-app://com.google.android.gm/",
            )
        ),
        # A search engine stands for its search hosts alone, others for their subdomains; never for look-alikes.
        ("https://m.yandex.ru/", "yandex / organic"),
        ("https://market.yandex.ru/", "yandex_market / organic"),
        ("https://m.market.yandex.ru/", "yandex_market / organic"),
        ("https://a.b.vk.com/", "vk / social"),
        ("https://video.vk.com/", "vkvideo / social"),
        ("https://ru.search.yahoo.com/", "yahoo / organic"),
        ("https://news.yandex.ru/", "news.yandex.ru / referral"),
        ("https://notyandex.ru/", "notyandex.ru / referral"),
        ("https://vk.com.evil.example/", "vk.com.evil.example / referral"),
        ("https://evil.example/vk.com", "evil.example / referral"),
        ("https://pay.yandex.ru/", "(direct) / (none)"),
        ("https://www.tpc.googlesyndication.com/", "google / cpc"),
        ("https://yabs.yandex.kz/", "yandex / cpc"),
        # The company's own sites, and copies of them.
        ("https://balkony-prosto.example/", "(direct) / (none)"),
        ("https://m.balkony-prosto.example/", "(direct) / (none)"),
        ("https://dveri-master.example/", "dveri-master.example / referral"),
        ("https://xn----okna-stolitsa.example/", "xn----okna-stolitsa.example / referral"),
        ("https://dokna-stolitsa.example/", "dokna-stolitsa.example / referral"),
        ("https://okna--stolitsa-example.cdn.ampproject.org/c/s/okna", "(direct) / (none)"),
        ("https://m-okna--stolitsa-example.translate.goog/?_x_tr_sl=ru", "(direct) / (none)"),
        ("https://other-example.translate.goog/", "other.example / referral"),
        ("https://vk-com.translate.goog/", "vk / social"),
        ("https://x.turbopages.org/", "(direct) / (none)"),
    ],
)  # fmt: skip
def test_the_referring_host_names_the_channel(referrer: str, shown: str) -> None:
    assert channel(f"{SITE}/", referrer) == shown


def test_where_the_widgets_site_is_unknown_it_is_the_landing_pages() -> None:
    own = "https://shop.example/"
    assert channel(own, "https://m.shop.example/", widget_id="unknown") == "(direct) / (none)"
    assert channel(own, "https://okna-stolitsa.example/", widget_id="unknown") == "okna-stolitsa.example / referral"
    assert channel(own, own, widget_id="okna-msk") == "shop.example / referral"


def test_an_own_site_goes_before_the_known_hosts_and_shares_no_public_suffix() -> None:
    widgets = [model().Site("group", "group", "club.vk.com  shop.msk.ru"), model().Site("other", "other", "")]
    by = model().Seeds(widgets, [], {"vk.com": model().Referrer("social", "vk")})

    def told_by(referrer: str, widget_id: str = "group") -> str:
        return str(named({"widget_id": widget_id, "referrer": referrer}, by).channel_told_by)

    assert told_by("https://club.vk.com/") == told_by("https://vk.com/") == told_by("https://shop.msk.ru/") == "direct"
    assert told_by("https://other.msk.ru/") == "referring_site"
    assert told_by("https://club.vk.com/", "other") == "social_network"


def test_without_seeds_a_touch_still_has_a_channel() -> None:
    by = model().Seeds([], [], {})
    assert named({"landing_page": "/?yclid=1", "referrer": "https://yandex.ru/"}, by)[-3:] == (
        "yandex.ru",
        "referral",
        "referring_site",
    )
    assert named({}, by)[-3:] == ("(direct)", "(none)", "direct")


def test_of_a_host_in_both_seeds_the_companys_own_entry_counts() -> None:
    connection = duckdb.connect()
    referrers = "select unnest(['mail.google.com', 'google.kz']) as host, 'social' as kind, 'own' as name"
    read = [relation(connection, name) for name in ("widgets", "click_ids", "search_engines")]
    by = model().read_seeds(*(each.to_arrow_table() for each in [*read, connection.sql(referrers)]))
    assert named({"referrer": "https://mail.google.com/"}, by).source == "own"
    assert named({"referrer": "https://www.google.kz/"}, by).source == "own"
    assert named({"referrer": "https://www.google.de/"}, by).source == "google"


# Everything by both readings of the rule, and shortened as a build shortens it


def shortened(rows: Sequence[Mapping[str, str | None]]) -> list[Any]:
    """Origins as `macros/urls.sql` makes them."""
    macros = PlainMacros("urls.sql", {})
    parameters = [click_id.parameter for click_id in seeds().click_ids]
    columns = {column: pyarrow.array([row.get(column) for row in rows], pyarrow.string()) for column in model().ORIGIN}
    connection = duckdb.connect()
    connection.register("touches", pyarrow.table(columns))
    landing_page = macros.origin_of_landing_page(
        macros.short_landing_page("touches.landing_page", parameters), parameters
    )
    found = connection.sql(f"select {macros.origin('touches', landing_page)} from touches").fetchall()
    return [origin for (origin,) in found]


def by_all_readings(rows: Sequence[dict[str, str | None]]) -> None:
    for row, origin in zip(rows, shortened(rows), strict=True):
        whole = named(row)
        assert model().name_channel(model().Origin(*model().json.loads(origin)), seeds()) == whole, (row, origin)
        values = {column: value for column, value in row.items() if value} | {"widget_id": row["widget_id"] or ""}
        assert tuple(tags_of(values, reference_seeds()).values()) == whole[: len(TAGS)], row
        expected = named_source_and_medium(values, reference_seeds())
        assert expected == (whole.source.lower(), whole.medium.lower(), whole.channel_told_by), row


POSITIONS = ("first", "middle", "last", "alone")
SEPARATORS = ("&", "&amp;", "&amp;amp;", "\\u0026", ";", "?", "&&", "&;", "?&")
NAMES = ("{}", "{}[]", "%75{}", "{}%5B%5D", " {}", "+{}+")
VALUES = ("vk", "%D0%BE%D0%BA%D0%BD%D0%B0", "%EE%EA", "%u043e", "a+b", "{x}", "", "v%E2%80%8B", "v/", "a;b", "Я", "50%")


def test_every_position_separator_spelling_and_value_of_a_tag() -> None:
    rows: list[dict[str, str | None]] = []
    for position, separator, spelling, value in itertools.product(POSITIONS, SEPARATORS, NAMES, VALUES):
        name = spelling.format("tm_source" if spelling.startswith("%75") else "utm_source")
        parameter, others = f"{name}={value}", ["id=1", "page=2"]
        query = {
            "first": [parameter, *others],
            "middle": [others[0], parameter, others[1]],
            "last": [*others, parameter],
            "alone": [parameter],
        }[position]
        for wrapped in ("{}", '"{}"', "{}/"):
            landing_page = wrapped.format(f"{SITE}/path?{separator.join(query)}")
            rows.append({"widget_id": "okna-msk", "landing_page": landing_page, "referrer": "https://vk.com/"})
    by_all_readings(rows)
    read = [named(row) for row in rows]
    assert {answer.utm_source for answer in read} >= {"vk", "окна", "ок", "о", "a b", "v", "a;b", "Я", "50%", None}


def random_url(dice: random.Random) -> str:
    hosts = [
        *(
            "okna-stolitsa.example",
            "www.okna-stolitsa.example",
            "balkony-prosto.example",
            "vk.com",
            "away.vk.com",
            "yandex.ru",
        ),
        *(
            "mail.yandex.kz",
            "www.google.com.sa",
            "sites.google.com",
            "пример.рф",
            "xn--e1afmkfd.xn--p1ai",
            "blog.example:8080",
        ),
        *(
            "localhost:3000",
            "10.1.2.3",
            "crm",
            "okna--stolitsa-example.translate.goog",
            "u:p@vk.com",
            "an.yandex.ru",
            "a_b.example",
        ),
        *("VK.com.", "%D0%BF%D1%80%D0%B8%D0%BC%D0%B5%D1%80.%D1%80%D1%84"),
    ]
    names = [
        "utm_source",
        "utm_medium",
        "utm_campaign",
        "UTM_Term",
        "utm_content[]",
        "utm%5Fsource",
        "yclid",
        "gclid",
        "fbclid",
        "x",
        "id[]",
        "",
    ]
    values = [
        "yandex",
        "Google",
        "cpc",
        "CPC",
        "social",
        "",
        "{x}",
        "%D0%BE",
        "%FF%E0",
        "%u0431",
        "50%",
        "a+b",
        "a;utm_medium=b",
        "1?gclid=2",
        "/",
        "__X__",
        "a=b",
        "«a»",
        " ",
    ]
    pairs = [f"{dice.choice(names)}={dice.choice(values)}" for _ in range(dice.randint(0, 4))]
    scheme = dice.choice(["https://"] * 8 + ["http://", "HTTPS://", "//", "", "https:\\\\", "android-app://", "ftp://"])
    query = dice.choice(["?", "?", "?", "??", "/?", "#?"]) + dice.choice(["&"] * 6 + ["&amp;", ";", "\\u0026"]).join(
        pairs
    )
    url = (
        scheme
        + dice.choice(hosts)
        + dice.choice(["", "/", "/a/b", "/a;b", "/цены", "/a%20b"])
        + (query if pairs else "")
    )
    url += dice.choice(["", "", "", "/", "#top", "#a?b", "/#x"])
    around = dice.choice(["{}"] * 8 + ['"{}"', "\ufeff{}", "{}\u200b", " {} ", "«{}»"])
    return around.format(quote(url, safe="") if dice.random() < 0.05 else url)


@pytest.mark.parametrize("seed", range(4))
def test_random_touches_have_the_same_channel_by_both_readings(seed: int) -> None:
    dice = random.Random(seed)
    tags = ["", "", "", "", "vk", "%D0%BE+a", "{x}", "a+b", " cpc ", "маи\u0306"]
    rows: list[dict[str, str | None]] = [
        {
            "widget_id": dice.choice(["okna-msk", "dveri", "unknown", None]),
            "landing_page": random_url(dice) if dice.random() < 0.9 else None,
            "referrer": random_url(dice) if dice.random() < 0.7 else dice.choice([None, "-", "about:blank"]),
            **{tag: dice.choice(tags) or None for tag in TAGS},
        }
        for _ in range(2_000)
    ]
    by_all_readings(rows)
    assert len({named(row).channel_told_by for row in rows}) >= 6


def test_the_generated_seed_is_what_its_facts_give(tmp_path: Path) -> None:
    script = runpy.run_path(str(PROJECT_DIR / "tools/search_engines.py"))
    with open(tmp_path / "seed.csv", "w", encoding="utf-8", newline="") as file:
        script["write"](file)
    assert (tmp_path / "seed.csv").read_bytes() == (PROJECT_DIR / "seeds/search_engines.csv").read_bytes()


def test_every_countrys_search_mail_and_sign_in_is_known() -> None:
    domains = [host for host in seeds().referrers if host.startswith(("google.", "yandex."))]
    assert len(domains) > 200
    for domain in domains:
        engine = domain.partition(".")[0]
        for front in ("", "www.", "m."):
            assert channel(f"{SITE}/", f"https://{front}{domain}/search") == f"{engine} / organic"
        for service in (
            "mail",
            "docs",
            "accounts" if engine == "google" else "passport",
            "drive" if engine == "google" else "disk",
        ):
            assert channel(f"{SITE}/", f"https://{service}.{domain}/") == "(direct) / (none)"
        assert channel(f"{SITE}/", f"https://sites.{domain}/") == f"sites.{domain} / referral"
