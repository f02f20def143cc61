"""Breaks one line of a rule at a time, in a copy of the project, and looks whether the fast tests notice.

`make mutants` runs all; `python tools/mutants.py R8 R11` only those of some rules. MUTANT_WORKERS sets how many at once.
Ends with 0 only if every breakage still applies and is caught.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent
COPIED = (
    "dbt_project.yml",
    "profiles.yml",
    "pyproject.toml",
    "models",
    "macros",
    "seeds",
    "data_tests",
    "tests",
    "cli",
    "demo",
    "orchestration",
    "pipeline",
    "sources",
    "report",
    "tools",
    ".streamlit",
)
# The cheapest first; a breakage that one stage catches is not shown to the next.
FAST_TESTS = (
    ("tests/end_to_end/test_models.py",),
    ("tests/end_to_end/test_bad_input.py",),
    ("tests/end_to_end/test_golden.py",),
)
# Of the models alone that are broken, in a warehouse that is built already.
UNIT_TESTS = ("tests/end_to_end/test_models.py", "-k", "unit_tests_of_the_models")


@dataclass(frozen=True)
class Mutant:
    rule: str
    file: str
    line: str
    broken: str
    tests: tuple[tuple[str, ...], ...] = FAST_TESTS


# What changed and must be worked out anew is for whole histories to tell, whatever else might notice.
HISTORIES = (("tests/campaigns/test_torture_histories.py",),)
# The few histories that are tried here have one setting each, and no build of a part.
TESTS_OF_CHANGES = (("tests/end_to_end/test_changes.py",),)

# Tables that a full build makes in parts.
PARTS_OF_BUILDS = (("tests/acceptance/test_capacity.py", "-k", "in_parts"),)

# Generations that are made of a copy of the one before.
COPIES = (("tests/end_to_end/test_publishing.py", "-k", "copy or copied or in_order or marts_by_day"), *HISTORIES)
REPLACING = "pipeline/publishing/replacing.py"

# The report: what it asks, and what is seen of it in a browser.
QUESTIONS, PAGES = (("tests/acceptance/test_report_questions.py",),), (("tests/acceptance/test_report.py",),)
# What is hidden, cut or refused, without any data.
MASKS = (("tests/unit/test_report_masking.py",),)

SUMMARY = (("tests/unit/test_summary.py",),)
ATTRIBUTIONS = (("tests/end_to_end/test_attribution.py",),)

# Sources asked by HTTP, in this process; and the commands and jobs that ask them.
HTTP, JOURNAL = (("tests/acceptance/test_sources_http.py",),), (("tests/acceptance/test_sources_journal.py",),)


def exports(about: str) -> tuple[tuple[str, ...], ...]:
    """The tests of exports that a name chooses."""
    return (("tests/acceptance/test_exports.py", "-k", about),)


# Where answers of sources end, and what of them is kept within bounds.
ENDS = (("tests/unit/test_sources_ends.py",), ("tests/acceptance/test_sources_http.py",))


SETTINGS = "pipeline/settings.py"
OF_SETTINGS = (("tests/acceptance/test_settings.py", "-k", "(used_or or reported or an_env_file or amounts or set_to_nothing) and not commands and not command_line"),)  # fmt: skip
DAMAGE, PUBLICATIONS, CRASHES = (
    (("tests/acceptance/test_damage.py",),),
    (("tests/end_to_end/test_publishing.py",),),
    (("tests/acceptance/test_crashes.py",),),
)
RULES_OF_MODELS, COUNTS_OF_RULES = "data_tests/generic/rules.sql", "macros/rules.sql"
BROKEN_RULES = (("tests/end_to_end/test_models.py", "-k", "broken_rule_is_named or columns_that_are_empty"),)
CUT_SHORT = (("tests/end_to_end/test_attribution.py", "-k", "killed or cut_short or fail_their_own"),)
COMMANDS = (("tests/end_to_end/test_command_line.py", "-k", "makes_nothing or changes_nothing or status_is_shown"),)
# What names a channel, without a build.
CHANNELS = (("tests/unit/test_origins.py",),)
SPELLINGS = (("tests/end_to_end/test_identifiers.py", "-k", "not worked_cases"),)

# Numbers in JSON lines.
IDENTIFIERS, JSON_NUMBERS = (
    (("tests/end_to_end/test_identifiers.py", "-k", "not worked"),),
    (("tests/end_to_end/test_bad_input.py", "-k", "number"),),
)


def model(name: str) -> str:
    """The file of a dbt model."""
    (file,) = (path for path in (PROJECT_DIR / "models").rglob(f"{name}.*") if path.suffix in (".sql", ".py"))
    return file.relative_to(PROJECT_DIR).as_posix()


SAME_EVENTS = model("int_same_events")
READING, CHANGES = "macros/reading.sql", "macros/changes.sql"
DUCKDB = "macros/engine/duckdb.sql"
CHANNEL_WORDS, COUNTING, IDENTIFIER_WORDS = "macros/channels.sql", "macros/counting.sql", "macros/identifiers.sql"
LISTS, EVENT_WORDS, CLIENT_WORDS = "macros/lists.sql", "macros/same_events.sql", "macros/clients.sql"
PHONES, EMAILS = model("stg_phones"), model("stg_emails")
ATTRIBUTION = "macros/attribution.sql"
ORIGINS = model("int_origins")
CLIENT, MAPPINGS = "sources/http_client.py", "sources/mappings/"

MANY_FILES = (("tests/acceptance/test_many_files.py",),)
BAD_BYTES = (("tests/end_to_end/test_bad_input.py", "-k", "utf8"),)
BAD_CSV_HEADERS = (("tests/end_to_end/test_bad_input.py", "-k", "header"),)
# Files of many parts, what a file may have, files of the same rows, links.
PARTS, LIMITS, DOUBLED, LINKS = (
    (("tests/end_to_end/test_bad_input.py", "-k", words),)
    for words in (
        "many_chunks or record_numbers",
        "as_many or unpacks or header_over or takes_more",
        "costs_are or same_rows",
        "link_in_place or lock_that",
    )
)

MUTANTS = (
    Mutant("R2", model("int_contact_touch_ranges"), "order by happened_at, client_touch_count\n            rows between unbounded preceding and current row\n        ) as touches_before,",
           "order by happened_at, client_touch_count desc\n            rows between unbounded preceding and current row\n        ) as touches_before,"),
    Mutant("R2", COUNTING, "{{ moved(contacted_at, var('contact_grace_seconds') ~ ' * 1000000') }}", "{{ contacted_at }}"),
    Mutant("R3", model("int_records"), "order by loads.load_day desc, repeated", "order by loads.load_id desc, repeated"),
    Mutant("R3", model("int_records"), "load_day desc, repeated_versions.record_number desc",
           "load_day desc, repeated_versions.record_number"),
    Mutant("R3", model("stg_loads"), "outcome = 'loaded' and superseded_by is null", "outcome = 'loaded'"),
    Mutant("R3", model("stg_loads"), "outcome = 'loaded' and superseded_by is null", "superseded_by is null"),
    Mutant("R4", model("int_contact_verdicts"), "ranges.touch_count >= 2 and coalesce(channels.channel_count, 0) >= 2",
           "ranges.touch_count >= 2"),
    Mutant("R4", model("int_contact_verdicts"), "coalesce(channels.channel_count, 0) >= 2", "coalesce(channels.channel_count, 0) > 2"),
    Mutant("R5", model("int_client_touches"), "order by touches.touched_at, touches.touch_id",
           "order by touches.touched_at, touches.touch_id desc"),
    Mutant("R5", model("int_contact_verdicts"), "' > ', 'touch_rank'", "' > ', 'channel'"),
    Mutant("R6", model("int_journal"), "when contact_counts.touch_count > 0 then 'single_channel'",
           "when contact_counts.touch_count > 1 then 'single_channel'"),
    Mutant("R7", COUNTING, "{%- do bounds.append(previous_contact_at) -%}", "{%- do bounds.append(contacted_at) -%}"),
    Mutant("R7", COUNTING, "'greatest(' ~ bounds", "'least(' ~ bounds"),
    Mutant("R7", model("int_contact_clients"), "lag(contacted_at) over (partition by client_cluster order by contacted_at)",
           "contacted_at"),
    Mutant("R7", model("int_contact_touch_ranges"), "bounds.touches_before_start + 1 as bigint", "bounds.touches_before_start as bigint"),
    Mutant("R8", COUNTING, "* 86400000000", "* 86399999999"),
    Mutant("R8", COUNTING, "{%- if var('lookback_days') is not none -%}", "{%- if false -%}"),
    Mutant("R7", model("int_contact_channels"), "contact_id is not null and latest_touch_number > first_touch_number", "contact_id is not null"),
    Mutant("R9", model("int_records"), "newest_versions.record_date <= data_through.data_through",
           "newest_versions.record_date < data_through.data_through"),
    Mutant("R9", model("int_records"), "inner join data_through on newest_versions.record_date <= data_through.data_through",
           "cross join data_through"),
    Mutant("R9", model("int_records"), "inner join loads on repeated_versions.load_id = loads.load_id",
           "inner join loads on repeated_versions.load_id = loads.load_id and repeated_versions.record_date <= (select data_through from {{ ref('stg_data_through') }})"),
    Mutant("R15", model("int_records"), "then newest_versions.record_kind = 'contact'", "then false"),
    Mutant("R9", "macros/builds.sql", "max(case when table_name in", "min(case when table_name in"),
    Mutant("R9", "macros/builds.sql", "case when table_name in ('touches', 'contacts') then load_day end", "load_day"),
    Mutant("R9", model("stg_costs"), "on versions.cost_date <= data_through.data_through", "on versions.cost_date <= data_through.data_through + 1"),
    Mutant("R10", DUCKDB, "cast(timezone('{{ time_zone }}', {{ instant }}) as date)", "cast({{ instant }} as date)"),
    Mutant("R10", READING, "then {{ local_instant(\"try_cast(\" ~ column ~ \" as timestamp)\") }}",
           "then timezone('UTC', try_cast({{ column }} as timestamp))"),
    Mutant("R11", ORIGINS, 'return own or next(filter(None, map(value_of, parameters)), None)',
           'return next(filter(None, map(value_of, parameters)), own)', CHANNELS),
    Mutant("R11", ORIGINS, 'url.partition("#")[0].partition("?")', 'url.partition("?")', CHANNELS),
    Mutant("R11", ORIGINS, 'query.removesuffix("/")', "query", CHANNELS),
    Mutant("R11", ORIGINS, "re.split(r\"([&?;])\"", "re.split(r\"([&?])\"", CHANNELS),
    Mutant("R11", ORIGINS, "            values[-1] += sign + piece\n", "            pass\n", CHANNELS),
    Mutant("R11", ORIGINS, ').lower().removesuffix("[]")', ').removesuffix("[]")', CHANNELS),
    Mutant("R11", ORIGINS, ').lower().removesuffix("[]")', ").lower()", CHANNELS),
    Mutant("R11", ORIGINS, 'unquote(text.replace("+", " "))', "text", CHANNELS),
    Mutant("R11", ORIGINS, 'url.replace("\\\\u0026", "&")', "url", CHANNELS),
    Mutant("R11", ORIGINS, "        url = unquote(url).strip(around)\n", "        pass\n", CHANNELS),
    Mutant("R11", ORIGINS, "around = WHITE_SPACE + INVISIBLE + QUOTES", "around = WHITE_SPACE + INVISIBLE", CHANNELS),
    Mutant("R11", ORIGINS, 'return encoded.decode("windows-1251")', "raise", CHANNELS),
    Mutant("R11", ORIGINS, 'return text.replace("+", plus)', "return text", CHANNELS),
    Mutant("R11", ORIGINS, 'decoded_escape, text.replace("+", plus)', "decoded_escape, text", CHANNELS),
    Mutant("R11", ORIGINS, 'unicodedata.normalize("NFC", text)', "text", CHANNELS),
    Mutant("R11", ORIGINS, "return None if is_template else text or None", "return text or None", CHANNELS),
    Mutant("R11", ORIGINS, "    if source and medium:\n", "    if source or medium:\n", CHANNELS),
    Mutant("R11", ORIGINS, 'next(((each.source, each.medium, "click_id") for each in click_ids if each.is_advertising), None)',
           'next(((each.source, each.medium, "click_id") for each in click_ids), None)', CHANNELS),
    Mutant("R11", ORIGINS, 'sort_by("click_id_order")', 'sort_by([("parameter", "descending")])', CHANNELS),
    Mutant("R11", ORIGINS, 'below in ([], ["www"], ["m"])', "True", CHANNELS),
    Mutant("R11", ORIGINS, 'referrer.kind != "search" or', "True or", CHANNELS),
    Mutant("R11", ORIGINS, "return host in own or (domain is not None and domain in map(registrable_domain, own))", "return host in own", CHANNELS),
    Mutant("R11", ORIGINS, "    if widget_id not in seeds.widgets_with_site:\n", "    if True:\n", CHANNELS),
    Mutant("R11", ORIGINS, "return readable_host(host) if is_public(host) else None", "return readable_host(host)", CHANNELS),
    Mutant("R11", ORIGINS, "return readable_host(host) if is_public(host) else None", "return host if is_public(host) else None", CHANNELS),
    Mutant("R11", ORIGINS, 'host and referrer and referrer.kind == "copy"', "False", CHANNELS),
    Mutant("R11", ORIGINS, "for hosts in (search_engines, referrers)", "for hosts in (referrers, search_engines)", CHANNELS),
    Mutant("R11", "macros/urls.sql", "(?:[A-Za-z0-9]|[^&]+)", "[A-Za-z0-9]", CHANNELS),
    Mutant("R11", "macros/urls.sql", "[^&;?#", "[^&?#", CHANNELS),
    Mutant("R11", "macros/urls.sql", "{{ joined(kept, \"'&'\") }} || '&'", "{{ joined(kept, \"'&'\") }}", CHANNELS),
    Mutant("R11", model("int_typed_touches"), "{{ lower_case('origins.source') }} as source", "origins.source as source"),
    Mutant("R11", model("int_typed_touches"), "{{ lower_case('origins.medium') }} as medium", "origins.medium as medium"),
    Mutant("R11", model("stg_costs"), "{{ one_form('delivered_costs.campaign') }} as campaign", "delivered_costs.campaign"),
    Mutant("R3", model("stg_unknown_sites"), "order by loads.load_day desc, delivered_touches.record_number desc",
           "order by delivered_touches.record_number desc"),
    Mutant("R9", model("stg_unknown_sites"), "on versions.touch_date <= data_through.data_through", "on true"),
    Mutant("R13", model("stg_unknown_sites"), "where versions.version_rank = 1 and versions.widget_id in (select widget_id from unknown_sites)", "where versions.version_rank = 1"),
    Mutant("R11", DUCKDB, "'(^|[^\\p{L}\\p{N}])' ||", "'' ||"),
    Mutant("R11", model("int_channel_names"), "where is_enabled", "where true"),
    Mutant("R11", model("int_channel_names"), "order by channel_rules.rule_order\n", "order by channel_rules.rule_order desc\n"),
    Mutant("R12", CHANNEL_WORDS, "{{ source }} = '(direct)' and {{ medium }} = '(none)'", "{{ source }} = '(direct)' and {{ medium }} = 'none'"),
    Mutant("R12", model("int_client_touches"), "partition by client_clusters.client_id, touches.is_counted", "partition by client_clusters.client_id"),
    Mutant("R13", IDENTIFIER_WORDS, "key_of(\"concat('\" ~ identifier_kind ~ \" ', length(\"", "key_of(\"concat(length(\""),
    Mutant("R13", IDENTIFIER_WORDS, "length(\" ~ brand_id ~ \"), ' ', \" ~ brand_id ~ \", ' ', \" ~ identifier ~ \")\")", "\" ~ identifier ~ \")\")"),
    Mutant("R13", model("stg_touch_keys"), "'google_client_id', 'crm_client_id']) }} as identifier_keys", "'google_client_id']) }} as identifier_keys"),
    Mutant("R13", model("stg_contact_keys"), "'phone', 'email']) }} as identifier_keys", "'phone']) }} as identifier_keys"),
    Mutant("R13", model("int_identity_components"), "(first_positions, positions)", "(positions, positions)"),
    Mutant("R13", model("int_identity_ties"), "min(nodes.node) over (partition by edges.record_number)", "nodes.node"),
    Mutant("R13", model("int_record_clusters"), "coalesce(tied_identifiers.cluster_key, records.smallest_identifier_key)", "tied_identifiers.cluster_key"),
    Mutant("R14", model("stg_contact_keys"), "identifying('phone', 'phones.number',", "identifying('phone', 'contacts.phone',"),
    Mutant("R14", PHONES, 'if not phonenumbers.is_valid_number(parsed):', 'if not phonenumbers.is_possible_number(parsed):', SPELLINGS),
    Mutant("R14", PHONES, 'if MOBILE.fullmatch(number) else None', 'if number else None', SPELLINGS),
    Mutant("R14", PHONES, 'text = html.unescape(html.unescape(spelling))\n    return unquote', 'text = spelling\n    return unquote', SPELLINGS),
    Mutant("R14", PHONES, 'return unquote(text) if', 'return text if', SPELLINGS),
    Mutant("R14", PHONES, 'if category == "Nd":', 'if False:', SPELLINGS),
    Mutant("R14", PHONES, 'if category == "Cf" or category.startswith("M"):', 'if category.startswith("M"):', SPELLINGS),
    Mutant("R14", PHONES, 'if category == "Pd" or', 'if', SPELLINGS),
    Mutant("R14", PHONES, 'text = re.sub(r"(?<!\\d)\\d(?:[.,]\\d+)?[eе][+-]?\\d{1,2}(?!\\d)", "\\n", text, flags=re.IGNORECASE)', 'pass', SPELLINGS),
    Mutant("R14", PHONES, 'text = re.sub(r"(\\d{7})[.,]0+(?![\\d.,])", r"\\1", text)', 'pass', SPELLINGS),
    Mutant("R14", PHONES, 'text = re.sub(r"@\\S*", "\\n", text)', 'pass', SPELLINGS),
    Mutant("R14", PHONES, 'text = re.sub(r"\\+ *([08])(?=\\D)", r" \\1", text)', 'pass', SPELLINGS),
    Mutant("R14", PHONES, 'return re.sub(r"((?:\\d[^\\d\\n+]{0,3}){10,})(?=\\()", "\\\\1\\n", text)', 'return text', SPELLINGS),
    Mutant("R14", PHONES, '    if len(parts) > 1:\n', '    if False:\n', SPELLINGS),
    Mutant("R14", PHONES, '    yield number_of_any_country(run)\n    for part', '    for part', SPELLINGS),
    Mutant("R14", PHONES, 'digits.startswith(("8", "0"))', 'False', SPELLINGS),
    Mutant("R14", PHONES, 're.sub(r"^(?:00|810)", "", digits)', 'digits', SPELLINGS),
    Mutant("R14", PHONES, '    if len(digits) < LEAST_DIGITS_WITHOUT_REGION:\n        return None', '    if len(digits) < 10:\n        return None', SPELLINGS),
    Mutant("R14", PHONES, 'if len(spelling) > MOST_CHARACTERS:', 'if False:', SPELLINGS),
    Mutant("R14", EMAILS, 'if len(spelling) > MOST_CHARACTERS:', 'if False:', SPELLINGS),
    Mutant("R14", EMAILS, '("." in domain or not needs_point)', 'True', SPELLINGS),
    Mutant("R14", EMAILS, '"@" not in domain and', 'True and', SPELLINGS),
    Mutant("R14", EMAILS, '{name.lower()}@', '{name}@', SPELLINGS),
    Mutant("R14", EMAILS, 'text = html.unescape(html.unescape(spelling))', 'text = spelling', SPELLINGS),
    Mutant("R14", EMAILS, 'if unicodedata.category(character) != "Cf"', 'if True', SPELLINGS),
    Mutant("R14", EMAILS, 'return re.sub(r"(@[^@\\s/?&=#]+)[/?&=#]", r"\\1,", text)', 'return text', SPELLINGS),
    Mutant("R14", EMAILS, 'if all("@" in word for word in found):', 'if True:', SPELLINGS),
    Mutant("R14", EMAILS, 'word = word.lstrip(BEFORE_AN_ADDRESS)', 'pass', SPELLINGS),
    Mutant("R14", EMAILS, 'if label.isascii() and not label.startswith("xn--"):', 'if True:', SPELLINGS),
    Mutant("R14", EMAILS, 'domain.lower()', 'domain', SPELLINGS),
    Mutant("R14", model("int_contacts"), 'emails.address as valid_email', 'contacts.email as valid_email'),
    Mutant("R15", model("stg_ignored_identifiers"), "coalesce(emails.address, {{ lower_case('ignored_kinds.identifier') }})", "{{ lower_case('ignored_kinds.identifier') }}"),
    Mutant("R15", model("stg_ignored_identifiers"), "{{ google_client_id('ignored_kinds.identifier') }}", 'ignored_kinds.identifier'),
    Mutant("R13", IDENTIFIER_WORDS, "if identifier_kind == 'google_client_id' else identifier -%}", 'if true else identifier -%}'),
    Mutant("R15", READING, '"[^a-z1-9]*",', '"[^a-z0-9]*",', SPELLINGS),
    Mutant("R15", READING, '(?:ga\\\\d+\\\\.[\\\\d-]+\\\\.)?', '', SPELLINGS),
    Mutant("R15", READING, '(?:[.,]0+)?', '(?:[,]0+)?', SPELLINGS),
    Mutant("R15", READING, '        "#[a-z]+/[a-z]+",\n', '', SPELLINGS),
    Mutant("R15", READING, '[0-9]{0,3}[^0-9]*"', '[0-9]*[^0-9]*"', SPELLINGS),
    Mutant("R15", READING, '        "\\\\{+[0-9]\\\\}+",\n', '', SPELLINGS),
    Mutant("R15", READING, '        "__+" ~ name ~ "__+",\n', '', SPELLINGS),
    Mutant("R15", READING, '        "&lt;" ~ name ~ "&gt;",\n', '', SPELLINGS),
    Mutant("R15", READING, '(?:%[57]b)+', '(?:%[7]b)+', SPELLINGS),
    Mutant("R15", READING, "\"[^\\\\P{L}a-z]\", \"a\")", "\"[^\\\\P{L}a-z]\", \"1\")", SPELLINGS),
    Mutant("R15", READING, "\"[^\\\\P{N}0-9]\", \"1\")", "\"[^\\\\P{N}0-9]\", \"\")", SPELLINGS),
    Mutant("R15", READING, '        "[$%:]{1,2}[a-z_.]+",\n', '', SPELLINGS),
    Mutant("R15", READING, "split(bare, '.')", "list_of([bare])", SPELLINGS),
    Mutant("R15", READING, "and not contains({{ identifier }}, '.') then {{ lower_case", "then {{ lower_case", SPELLINGS),
    Mutant("R13", READING, "\"(?s)^GA\\\\d+\\\\.[\\\\d-]+\\\\.(.+)\\\\z\"", "\"(?s)^GA\\\\d+\\\\.\\\\d+\\\\.(.+)\\\\z\""),
    Mutant("Deliveries", "pipeline/reading/json_lines.py", "left(regexp_replace({line}, '{element}', {marked}, -3)", "{line}", JSON_NUMBERS),
    Mutant("Deliveries", "pipeline/reading/json_lines.py", "then regexp_replace({line}, '{member}', {marked}", "then {line}", JSON_NUMBERS),
    Mutant("Deliveries", "pipeline/reading/json_lines.py", "(?:0|[1-9]\\d*)", "\\d+", JSON_NUMBERS),
    Mutant("Deliveries", "pipeline/reading/json_lines.py", 'if column.type in ("seconds", "whole_number", "money"):', "if False:", JSON_NUMBERS),
    Mutant("R15", IDENTIFIER_WORDS, ", \"identifier_kind = '\" ~ identifier_kind ~ \"'\")", ")"),
    Mutant("R15", model("stg_ignored_identifiers"), "coalesce(ignored.identifier_kind, kinds.identifier_kind) = kinds.identifier_kind",
           "ignored.identifier_kind = kinds.identifier_kind"),
    Mutant("R15", model("stg_ignored_identifiers"), "coalesce(phones.number, ignored_kinds.identifier)", "ignored_kinds.identifier"),
    Mutant("R15", model("int_contact_clients"), "'contact ' || contact_id)", "'contact')"),
    Mutant("R16", model("int_client_touches"), "inner join client_clusters", "left join client_clusters"),
    Mutant("R17", model("client_card"), "                contacts.contact_type <> 'call',\n", ""),
    Mutant("R17", model("client_card"), "                contacts.valid_phone is null,\n", ""),
    Mutant("R18", model("client_card"), "min(touched_at) as first_touch_at", "max(touched_at) as first_touch_at"),
    Mutant("R19", model("client_card"), "max(case when contact_number = 1 then client_name end)", "max(client_name)"),
    Mutant("R19", model("client_card"), "max(case when contact_number = 1 then location end)", "max(location)"),
    Mutant("R19", model("int_contact_clients"), "            order by contact_clusters.contacted_at, contact_clusters.contact_id\n",
           "            order by contact_clusters.contact_id\n"),
    Mutant("R20", model("interaction_history"), "    where is_multichannel\n", ""),
    Mutant("R21", model("client_history"), "case when is_multichannel then 'green' end", "case when touch_count > 0 then 'green' end"),
    Mutant("R25", READING, "\"\\\\d+(\\\\.0+)?\"", "\"-?\\\\d+(\\\\.0+)?\""),
    Mutant("R25", "pipeline/rejecting.py", "> {latest} ", ">= {latest} "),
    Mutant("R25", "pipeline/rejecting.py", "date '{day}' + 1", "date '{day}'"),
    Mutant("R25", "models/staging/_sources.yml", ", setting: report_currency", ""),
    Mutant("R25", "models/staging/_sources.yml", "words: [call, form, callback, email, chat]", "words: [call, form, callback, email, chat, visit]"),
    Mutant("R26", "pipeline/rejecting.py", "counts.rejected <= rules.max_rejected_share * counts.delivered",
           "counts.rejected < rules.max_rejected_share * counts.delivered"),
    Mutant("R26", "pipeline/rejecting.py", "SMALLEST_JUDGED_FILE = 20", "SMALLEST_JUDGED_FILE = 21"),
    Mutant("R26", "dbt_project.yml", "max_rejected_share: 0.5", "max_rejected_share: 0.9"),
    # Older versions of what changed are forgotten.
    Mutant("R27", model("int_changed_versions"), "where record_key_prefix in (select record_key_prefix from changed_prefixes)",
           "where false", HISTORIES),
    # A version that was chosen before is chosen still.
    Mutant("R27", CHANGES, "where record_key in (select record_key from {{ changed_records }})", "where false", HISTORIES),
    # What a load replaced doesn't count as changed.
    Mutant("R27", model("stg_changed_loads"), " or loads.superseded_by > last_publication.last_load_id)", ")", HISTORIES),
    # The last loaded day moves on, and what it uncovers is overlooked.
    Mutant("R27", model("int_changed_records"), "where record_date in (select record_date from days_that_have_come)", "where false", HISTORIES),
    # A build that was begun and killed is taken for one that was published.
    Mutant("R27", model("stg_last_publication"), "where published_at is not null", "where build_id <> '{{ invocation_id }}'", HISTORIES),
    # Nothing but the changed identifiers themselves is affected.
    Mutant("R27", model("int_affected_edges"), "identifier_bucket in (select identifier_bucket from changed_buckets)",
           "false", HISTORIES),
    # Of a group, only what was asked for is taken; or it stays beside what is built anew; or it goes by several numbers.
    Mutant("R27", model("int_affected_edges"), "where cluster_number in (select cluster_number from affected_clusters)",
           "where identifier_bucket in (select identifier_bucket from changed_buckets)", HISTORIES),
    Mutant("R27", CHANGES, "where cluster_number in (select cluster_number from {{ affected_edges }})", "where false", HISTORIES),
    Mutant("R27", model("int_identifier_clusters"), "max(record_number) over (partition by cluster_key)", "record_number", TESTS_OF_CHANGES),
    # What tied the affected before is forgotten.
    Mutant("R27", model("int_affected_identities"), "    union all\n    select\n        {{ identity_key('identifier_keys') }} as identity_key,\n        identifier_keys\n    from identities_of_edges\n", "", HISTORIES),
    # A card is looked for under the name that its client has now.
    Mutant("R27", model("client_card"), "'first_contact_id'", "'client_id'", HISTORIES),
    # Contacts that are no more stay.
    Mutant("R27", model("int_affected_contacts"), "where contacts.record_number in (select record_number from changed_versions)", "where false", HISTORIES),
    # A newer version elsewhere isn't seen.
    Mutant("R27", CHANGES, "where record_key in (\n", "where identity_key in (select identity_key from {{ affected_identities }}) and record_key in (\n", HISTORIES),
    # What has no identifiers is never looked at again.
    Mutant("R27", model("int_records"), "where identity_key is null", "where false", HISTORIES),
    # Who only lies where an affected one lies in another table is taken for affected.
    Mutant("R27", CHANGES, "\n    and identity_bucket is not null", "", HISTORIES),
    Mutant("R27", model("int_records"), "or affected_identities.identity_key is not null", "or true", TESTS_OF_CHANGES),
    # Replaced versions are dropped before a publication knows.
    Mutant("R27", CHANGES, "where loads.superseded_by <= (select last_load_id from {{ last_publication }})", "where loads.superseded_by is not null", HISTORIES),
    # What is delivered again as it was counts as corrected.
    Mutant("R27", model("int_record_changes"), "from touch_contents\n    group by record_key\n    having count(*) > 1", "from touch_contents\n    group by record_key\n    having count(*) > 0"),
    Mutant("R27", model("int_record_changes"), "from contact_contents\n    group by record_key\n    having count(*) > 1", "from contact_contents\n    group by record_key\n    having count(*) > 0"),
    Mutant("R27", model("int_record_changes"), "or record_key in (select record_key from corrected_contacts)",
           "or previous_record_number <> record_number"),
    # Of what a change of identifiers may be due to, only what carries all of them still.
    Mutant("R27", model("int_contact_changes"), "coalesce(changed_versions.identifier_keys, \" ~ list_of(['changed_versions.identity_key']) ~ \")\"", "\" ~ list_of(['changed_versions.identity_key']) ~ \"\"", TESTS_OF_CHANGES),
    # A full build that was killed is forgotten.
    Mutant("R27", "pipeline/building.py", 'if last_full_outcome not in (None, "passed") else None', "if False else None", TESTS_OF_CHANGES),
    # New spellings of phones aren't judged.
    Mutant("R27", model("stg_phones"), 'changed_loads, "load_id", how="semi"', 'changed_loads, "load_id", how="anti"', HISTORIES),
    # Other settings are taken for the same.
    Mutant("R27", "pipeline/building.py", "    if previous != current:\n", "    if False:\n", TESTS_OF_CHANGES),
    # Of the files of a delivery, the first is the newest.
    Mutant("R3", "pipeline/loading/storing.py", "record_count += file.counts.delivered_count", "record_count -= file.counts.delivered_count", HISTORIES),
    Mutant("R28", SAME_EVENTS, "having min(delivered_by) <> max(delivered_by)", "having count(*) > 100"),
    Mutant("R28", SAME_EVENTS, "having count(*) > 1", "having min(delivered_by) <> max(delivered_by)"),
    Mutant("R28", SAME_EVENTS, "'touch_id', ['cluster_key', 'widget_id'], 'same_touch_seconds') }} as touch_before",
           "'touch_id', ['cluster_key'], 'same_touch_seconds') }} as touch_before"),
    Mutant("R28", SAME_EVENTS, "'touch_id', ['cluster_key', 'widget_id'], 'same_touch_seconds') }} as touch_before",
           "'touch_id', ['widget_id'], 'same_touch_seconds') }} as touch_before"),
    Mutant("R28", SAME_EVENTS, "'touch_id', ['cluster_key', 'widget_id'], 'same_touch_seconds') }} as touch_after",
           "'touch_id', ['cluster_key', 'widget_id'], 'same_visit_seconds') }} as touch_after"),
    Mutant("R28", SAME_EVENTS, "            {{ if_higher('touch_after', 'precedence') }},\n", ""),
    Mutant("R28", SAME_EVENTS, "            {{ if_higher('visit_before', 'precedence') }},\n", ""),
    Mutant("R28", SAME_EVENTS, "'source', 'medium'], 'same_visit_seconds') }} as visit_before", "'source'], 'same_visit_seconds') }} as visit_before"),
    Mutant("R28", SAME_EVENTS, "'source', 'medium'], 'same_visit_seconds') }} as visit_after", "'medium'], 'same_visit_seconds') }} as visit_after"),
    Mutant("R28", SAME_EVENTS, "    from {{ ref('int_touches') }} as touches\n    inner join sites_of_several_sources as sites\n"
           "        on touches.cluster_key = sites.cluster_key and touches.widget_id = sites.widget_id\n    where touches.delivered_by is not null\n",
           "    from {{ ref('int_touches') }} as touches\n    inner join sites_of_several_sources as sites\n"
           "        on touches.cluster_key = sites.cluster_key\n    where touches.delivered_by is not null\n"),
    Mutant("R28", SAME_EVENTS, "'contact_type'], 'same_contact_seconds') }} as contact_before", "'widget_id'], 'same_contact_seconds') }} as contact_before"),
    Mutant("R28", SAME_EVENTS, "['widget_id', 'identifier_kind', 'identifier', 'contact_type'], 'same_contact_seconds') }} as contact_after",
           "['identifier_kind', 'identifier', 'contact_type'], 'same_contact_seconds') }} as contact_after"),
    Mutant("R28", SAME_EVENTS, "['widget_id', 'identifier_kind', 'identifier'], 'same_contact_seconds', ", "['identifier_kind', 'identifier'], 'same_contact_seconds', "),
    Mutant("R28", SAME_EVENTS, "\"contact_type = 'callback'\"", "\"contact_type in ('callback', 'form')\""),
    Mutant("R28", SAME_EVENTS, "min(case when contact_type = 'call' then ", "min(case when contact_type <> 'callback' then "),
    Mutant("R28", SAME_EVENTS, "coalesce(same_contact, same_callback).id", "coalesce(same_callback, same_contact).id"),
    Mutant("R28", SAME_EVENTS, "    where delivered_by is not null and identifying_email is not null", "    where false"),
    Mutant("R28", SAME_EVENTS, "identifying_phone as identifier", "valid_phone as identifier"),
    Mutant("R28", SAME_EVENTS, "order by {{ source_position('delivered_by') }}, delivered_by", "order by delivered_by"),
    Mutant("R28", SAME_EVENTS, "order by {{ source_position('delivered_by') }}, delivered_by", "order by {{ source_position('delivered_by') }}, delivered_by desc"),
    Mutant("R28", EVENT_WORDS, "split_part({{ delivered_by }}, ':', 1)", "{{ delivered_by }}"),
    Mutant("R28", EVENT_WORDS, "then {{ var('source_precedence') | length + 1 }}", "then 0"),
    Mutant("R28", EVENT_WORDS, "{{ source | replace(\"'\", \"''\") }}", "{{ source }}"),
    Mutant("R28", EVENT_WORDS, "{%- set period = (var(setting) | float * 1000000) | round | int -%}", "{%- set period = (var(setting) | float * 1000000) | round | int - 1 -%}"),
    Mutant("R28", EVENT_WORDS, "{%- set period = (var(setting) | float * 1000000) | round | int -%}", "{%- set period = (var(setting) | float * 1000000) | round | int + 1 -%}"),
    Mutant("R28", EVENT_WORDS, "{%- if var(setting) is none -%}", "{%- if false -%}"),
    Mutant("R28", EVENT_WORDS, "when {{ first }}.precedence < {{ precedence }}", "when {{ first }}.precedence <= {{ precedence }}"),
    Mutant("R28", EVENT_WORDS, "'-moment', id", "'moment', id"),
    Mutant("R28", EVENT_WORDS, "'abs(abs(' ~ first ~ '.nearness) - moment)'", "'0'"),
    Mutant("R28", model("int_contact_clients"), "where left_out_contacts.id = contacts.contact_id", "where false"),
    Mutant("R28", model("int_contact_clients"), "    where kind = 'contact'\n", ""),
    Mutant("R28", model("int_client_touches"), "where left_out_touches.id = touches.touch_id", "where false"),
    Mutant("R28", model("int_chains_delta"), "where left_out_touches.id = touches.touch_id", "where false"),
    Mutant("R28", model("client_card"), "    from all_contacts\n", "    from contacts\n"),
    Mutant("R28", model("int_left_out_events"), "    where contact_number = 1\n", ""),
    # What is left out no more stays told.
    Mutant("R28", model("int_left_out_events"), "drop_affected_contacts(this, 'first_contact_id',", "drop_affected_contacts(this, 'client_id',", HISTORIES),
    # A contact that gives way, or comes back, is said to have been delivered or removed.
    Mutant("R28", "pipeline/publishing/sql/_changes.sql", "and not contact_changes.is_changed then", "and false then", TESTS_OF_CHANGES),
    Mutant("R28", "pipeline/publishing/sql/_changes.sql", "when compared.change = 'new' and not contact_changes.is_corrected", "when compared.change = 'new'", TESTS_OF_CHANGES),
    Mutant("R28", "pipeline/publishing/sql/_changes.sql", "when compared.change = 'removed' and not contact_changes.is_corrected", "when compared.change = 'removed'", TESTS_OF_CHANGES),
    Mutant("Deliveries", model("stg_costs"), "order by load_day desc", "order by load_day"),
    Mutant("Deliveries", model("stg_costs"), "{{ lower_case(one_form('delivered_costs.source')) }}", "delivered_costs.source"),
    Mutant("Deliveries", model("stg_costs"), "{{ lower_case(one_form('delivered_costs.medium')) }}", "delivered_costs.medium"),
    Mutant("Deliveries", model("stg_costs"), "group by load_day, ", "group by load_day, clicks, "),
    Mutant("Deliveries", model("stg_costs"), "partition by cost_date, source, medium, campaign, widget_id", "partition by cost_date, source, medium, campaign, widget_id, term"),
    Mutant("Deliveries", model("stg_costs"), "rank() over (", "row_number() over ("),
    Mutant("Deliveries", model("stg_costs"), "{{ one_form('delivered_costs.term') }} as term", "delivered_costs.term"),
    Mutant("Deliveries", DUCKDB, "try_cast(sum({{ number }})", "cast(sum({{ number }})"),
    Mutant("Marts", model("int_contact_touches"), "{{ var('history_touch_limit') }} + 1)", "{{ var('history_touch_limit') }})"),
    Mutant("Marts", model("int_contact_verdicts"), "touch_chain,\n", "unused_chain,\n    chains.kept_chain as touch_chain,\n"),
    Mutant("R23", model("int_contact_touches"), "touches.previous_touch_number < kept_numbers.first_kept_number", "touches.previous_touch_number < 1"),
    Mutant("R23", model("int_contact_touches"), "kept_numbers.touch_number = kept_numbers.first_kept_number\n    or ", ""),
    Mutant("R23", model("touch_chains"), "    where touch_count > 0\n", ""),
    Mutant("R6", model("contact_counts"), "icon = 'single_channel'", "icon <> 'multichannel'"),
    Mutant("R23", model("channel_steps"), "where next_channel is null or next_channel <> channel\n", ""),
    Mutant("R23", model("channel_steps"), "    where touch_id is not null\n", ""),
    Mutant("R24", model("int_contact_channels"), "case when touch_rank = 1 then", "case when touch_rank <= 2 then"),
    Mutant("R24", model("int_contact_channels"), "touch_rank > 1 and touch_rank < touch_count", "touch_rank < touch_count"),
    Mutant("R24", model("int_contact_channels"), "touch_rank > 1 and touch_rank < touch_count", "touch_rank > 1"),
    Mutant("R24", model("int_contact_channels"), "where ranges.touch_count <= {{", "where ranges.touch_count < {{"),
    Mutant("R24", model("int_contact_channels"), "    where touch_count > {{", "    where touch_count > 1 + {{"),
    Mutant("R24", model("int_contact_channels"), "latest_touch_number > first_touch_number", "latest_touch_number >= first_touch_number"),
    Mutant("R24", model("int_participation"), "contact_touches.touch_rank > 1 and contact_touches.touch_rank < journal.touch_count",
           "contact_touches.touch_rank < journal.touch_count"),
    Mutant("R24", model("int_participation"), "where (contact_channels.is_opening and kept_channels.is_opening is not true)\n        or ", "where "),
    Mutant("R24", model("channel_participation"), "    group by contact_id, widget_id, contact_date, channel\n", "    group by contact_id, widget_id, contact_date, channel, campaign\n"),
    Mutant("Why", model("int_contact_touch_ranges"), "coalesce(max(case when bound = 'start' then client_touches_before end), 0)", "0"),
    Mutant("Why", model("client_card"), "where carried_identifiers.record_count > 1", "where true"),
    Mutant("Why", model("int_contacts"), "{{ identifying('phone', 'phones.number', 'ignored') }} as identifying_phone", "phones.number as identifying_phone"),
    Mutant("Attribution", ATTRIBUTION, "touch_position = coalesce(last_non_direct_position, kept_touch_count)", "touch_position = last_non_direct_position"),
    Mutant("Attribution", ATTRIBUTION, "greatest(kept_touch_count - 2, 1)\"\n            \" when touch_position = kept", "1\"\n            \" when touch_position = kept", ATTRIBUTIONS),
    Mutant("Attribution", ATTRIBUTION, "power(0.5, half_lives_before_last)", "power(0.4, half_lives_before_last)"),
    Mutant("Attribution", ATTRIBUTION, "case when touch_position = kept_touch_count then \"", "case when touch_position = 1 then \""),
    Mutant("Attribution", ATTRIBUTION, "else {{ whole_division(parts_of_one(), 'kept_touch_count') }}", "else 0"),
    Mutant("Attribution", model("int_touch_credits"), "/ {{ var('time_decay_half_life_days') }}", "/ 8"),
    Mutant("Attribution", model("int_chains_delta"), "clients.counting_ends_at <= client_touches.touched_at", "clients.counting_ends_at < client_touches.touched_at"),
    Mutant("Attribution", model("int_chains_delta"), "where touch_count > 1\n", "where touch_count > 2\n"),
    Mutant("Attribution", "macros/changes.sql", "count(*) as change", "1 as change"),
    Mutant("Attribution", model("int_chains_delta"), "max(contacts.counting_ends_at)", "min(contacts.counting_ends_at)"),
    Mutant("Attribution", model("int_chains_delta"), "where is_counted\n        and not exists", "where\n        not exists"),
    Mutant("R11", model("int_prospect_touches"), "{{ lower_case('source') }} as source", "source"),
    Mutant("R11", "macros/urls.sql", "=[A-Za-z0-9])[A-Za-z0-9_-]*", "=[A-Za-z0-9])[^&]*", CHANNELS),
    Mutant("Attribution", model("int_chains_delta"), "            or touch_number = touch_count - {{ var('history_touch_limit') }} + 1\n", ""),
    Mutant("Attribution", model("int_shapley_values"), "((contact_count + other_count) * '", "(contact_count * '"),
    Mutant("Attribution", model("int_path_credits"), "steps.brand_id = shapley_values.brand_id and ", ""),
    Mutant("Attribution", model("int_removal_effects"), "visits / expected_visits(matrix) * leads_to_contact / rate", "visits * leads_to_contact / rate", ATTRIBUTIONS),
    Mutant("Attribution", model("int_removal_effects"), "contact_count + other_count, size", "other_count, size", ATTRIBUTIONS),
    Mutant("Attribution", model("channel_credits"), "count(distinct contact_id)", "count(contact_id)"),
    Mutant("Attribution", model("channel_credits"), "coalesce(credited_value, 0)", "credited_value"),
    Mutant("R11", model("unmapped_sources"), "where channel_rule_order is null\n        and", "where"),
    Mutant("R11", model("unmapped_sources"), " or medium = '(not set)'", ""),
    Mutant("R11", model("unmapped_sources"), "count(distinct contact_id)", "count(contact_id)"),
    Mutant("R11", model("unmapped_sources"), "count(distinct touch_id)", "count(touch_id)"),
    Mutant("R13", model("unmapped_sources"), "where widgets.widget_id is null", "where true"),
    Mutant("Performance", model("channel_performance"), "    from costs\n\n),\n\ndays as", "    from costs\n    where false\n\n),\n\ndays as"),
    Mutant("Performance", model("channel_performance"), "from credits_and_costs\n", "from credits_and_costs\n    where campaign is not null\n"),
    Mutant("Attribution", model("touch_credits"), " and touches.touch_position = path_credits.touch_position", ""),
    Mutant("Attribution", model("int_touch_credits"), "when histories.kept_touch_count > 1\n", "when histories.kept_touch_count > 2\n"),
    Mutant("Attribution", IDENTIFIER_WORDS, "key_of(set_key(brand_id, channels))", "key_of(joined(channels, \"' '\"))", ATTRIBUTIONS),
    # Of chains that changed, what they were stays counted; or they stay.
    Mutant("R27", model("int_chain_changes"), "-1 as change\n    from {{ previous(source('previous', 'int_chains')) }} as previous_chains\n    where contact_id", "0 as change\n    from {{ previous(source('previous', 'int_chains')) }} as previous_chains\n    where contact_id", HISTORIES),
    Mutant("R27", model("int_chain_changes"), "-1 as change\n    from {{ previous(source('previous', 'int_chains')) }} as previous_chains\n    where cluster_key", "0 as change\n    from {{ previous(source('previous', 'int_chains')) }} as previous_chains\n    where cluster_key", HISTORIES),
    Mutant("Attribution", model("int_path_credits"), "steps.brand_id = removal_effects.brand_id and ", ""),
    Mutant("R27", CHANGES, "\n        or cluster_key in (select identity_key from {{ affected_identities }})", "", HISTORIES),
    # Whose contact is removed is no prospect.
    Mutant("R27", model("int_touch_values"), "where is_prospect\n        or not exists", "where\n        not exists", ATTRIBUTIONS),
    # Generations that are made of a copy.
    Mutant("R27", REPLACING, '    connection.execute(f"delete from {published} where rowid', '    (f"delete from {published} where rowid', COPIES),
    Mutant("R27", REPLACING, '        {_differing(previous_credits, credits, "contact_date")}\n        union\n', "", COPIES),
    Mutant("R27", REPLACING, '        {_differing("published.channel_costs", "marts.channel_costs", "cost_date")}\n        union\n', "", COPIES),
    Mutant("R27", REPLACING, 'COUNTED_BY_NO_DAY = (', 'COUNTED_BY_NO_DAY = ("touch_count", "touch_chain", "icon", "value", ', COPIES),
    Mutant("R27", REPLACING, 'from ({query}) where {data_driven}")', 'from ({query}) where {data_driven} and {changed}")', COPIES),
    Mutant("R27", REPLACING, "having difference <> 0", "having difference > 0", COPIES),
    Mutant("R27", REPLACING, 'if meta["fingerprint"] != build["fingerprint"]:', "if False:", COPIES),
    Mutant("R27", REPLACING, "and not bool_or(builds.is_full)", "", COPIES),
    Mutant("R27", REPLACING, "published.build_id = $previous and", "", COPIES),
    # Of contacts that stay as they are, only sums are audited.
    Mutant("R27", "pipeline/publishing/sql/audit.sql", "    from credits_of_paths\n", "    from credits_of_paths\n    where false\n", COPIES),
    # Counts of a build that was cut short are believed.
    Mutant("R27", CHANGES, "found | length > 0 and found[0][0] == 'passed'", "true", ATTRIBUTIONS),
    Mutant("Report", "report/queries.py", "{sorted_by} {comparison}= $after_value", "{sorted_by} {comparison} $after_value", QUESTIONS),
    Mutant("Report", 'report/queries.py', 'digits.removeprefix(within)}"', 'digits.lstrip(within)}"', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'said.append("starts_with(journal.phone, $dialled)")', 'pass', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'said.append("starts_with(journal.phone, $dialled)")', 'said = ["starts_with(journal.phone, $dialled)"]', QUESTIONS),
    Mutant("Report", 'report/queries.py', "contains(regexp_replace(journal.phone, '[^0-9]', '', 'g'), $search)", "starts_with(regexp_replace(journal.phone, '[^0-9]', '', 'g'), $search)", QUESTIONS),
    Mutant("Report", 'report/queries.py', "greatest(date_trunc('{part_of_time(asked)}', contact_date)::date, $first_day)", "date_trunc('{part_of_time(asked)}', contact_date)::date", QUESTIONS),
    Mutant("Report", 'report/queries.py', '"day" if days <= 92', '"day" if days < 92', QUESTIONS),
    Mutant("Report", 'report/queries.py', '"day" if days <= 92', '"day" if days <= 93', QUESTIONS),
    Mutant("Report", 'report/queries.py', '"week" if days <= 730', '"week" if days < 730', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'and contact_number < $number and is_multichannel', 'and contact_number <= $number and is_multichannel', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'and contact_number < $number and is_multichannel', 'and contact_number < $number', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'limit {size:d} offset {first:d}', 'limit {size:d} offset {first + 1:d}', QUESTIONS),
    Mutant("Report", 'report/queries.py', '{"and client_history.is_multichannel" if is_multichannel else ""}', '', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'arg_max(widget_name, last_day)', 'arg_min(widget_name, last_day)', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'said = [f"{day} between $first_day and $last_day"]', 'said = [f"{day} >= $first_day and {day} < $last_day"]', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'said.append("is_multichannel")', 'said.append("touch_count > 1")', QUESTIONS),
    Mutant("Report", 'report/queries.py', '"multichannel_contact_count > 0"', '"true"', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'order by contacts desc, {showing.in_order("chain")}', 'order by contacts, {showing.in_order("chain")}', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'having steps > 0 order by steps desc', 'having steps > 0 order by channel, steps desc', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'having took_part > 0', 'having true', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'sum(clicks)::bigint as clicks, sum(credited_contacts)', 'sum(clicks)::bigint as clicks, avg(credited_contacts)', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'contact_id, touch_rank\n    """', 'contact_id, touched_at desc\n    """', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'return f"hash({text}, \'{self.key}\')" if self.mask_phones else text', 'return f"hash({text})" if self.mask_phones else text', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'return f"regexp_replace({text}, \'\\\\pN\', \'\', \'g\')" if self.mask_phones else text', 'return text', QUESTIONS),
    Mutant("Report", 'report/queries.py', 'return ["false" if has_digits(search) else', 'return ["false" if False else', QUESTIONS),
    Mutant("Report", 'report/card.py', 'max(start for start in starts if start <= place)', 'max(start for start in starts if start < max(place, 1))', MASKS),
    Mutant("Report", 'report/card.py', 'range(0, count, size)', 'range(0, count + 1, size)', MASKS),
    Mutant("Report", 'report/published.py', 'self.mask.asked(value) for name', 'value for name', QUESTIONS),
    Mutant("Report", 'report/reporting.py', 'if not PHONE_SEARCHES.is_allowed():', 'if False:', QUESTIONS),
    Mutant("Report", 'report/reporting.py', 'if phone is None:', 'if False:', QUESTIONS),
    Mutant("Report", 'report/masking.py', 'if len(self._times) >= self.most', 'if len(self._times) > self.most', MASKS),
    Mutant("Report", 'report/masking.py', 'bisect_right(parts, (first, len(text)))', 'bisect_right(parts, (first, last))', MASKS),
    Mutant("R14", model("stg_phones"), "    yield first_of_two_numbers(run, region)\n", "", SPELLINGS),
    Mutant("R14", model("stg_phones"), "for end in ends(part):", "for end in []:", SPELLINGS),
    Mutant("R14", model("stg_phones"), 'return run.startswith("+") and len', 'return False and len', SPELLINGS),
    Mutant("R14", model("stg_phones"), 'return run.startswith("+") and len(digits_of(run)) <= MOST_DIGITS_WITH_COUNTRY', 'return run.startswith("+")', SPELLINGS),
    Mutant("R25", "pipeline/reading/json_lines.py", '|[\\s{{\\[,:]"\\s*:)', ')', (("tests/end_to_end/test_bad_input.py", "-k", "looks_like_a_number"),)),
    Mutant("Sources", "sources/mapping.py", "return list(dict.fromkeys(fields))", "return fields", (("tests/acceptance/test_sources_files.py", "-k", "cant_be_read_are_reported"),)),
    Mutant("Report", 'report/masking.py', 'return HIDDEN + value[-SHOWN_DIGITS:] if column in PHONES else self.text(value)', 'return self.text(value)', MASKS),
    Mutant("Report", 'report/masking.py', '        return self.text(value)\n\n    def _is_hidden_id', '        return value\n\n    def _is_hidden_id', MASKS),
    Mutant("Report", 'report/masking.py', 'spans += _grown_together(text, parts, region)', 'pass', MASKS),
    Mutant("Report", 'report/masking.py', 'ESCAPES_WITHIN_ESCAPES = 3', 'ESCAPES_WITHIN_ESCAPES = 1', MASKS),
    Mutant("Report", 'report/masking.py', 'if part[1] - part[0] >= LONG:', 'if False:', MASKS),
    Mutant("Report", 'report/origins.py', '(page.hostname, page.port or usual) == (server.hostname, server.port or usual)', 'page.hostname == server.hostname', MASKS),
    Mutant("Report", 'report/origins.py', '(not names or any(_is_named(page.hostname or "", name) for name in names))', 'True', MASKS),
    Mutant("Report", 'report/exports.py', '[: 2 * LONGEST_CELL]', '[: 4 * LONGEST_CELL]', MASKS),
    Mutant("Report", 'report/parts.py', 'if len(text) <= LONGEST_TEXT:', 'if True:', MASKS),
    Mutant("Report", "report/queries.py", "sum(spend)::double / nullif(if(sum(spend) = 0, null, sum(credited_contacts)), 0)", "avg(cost_per_contact)", QUESTIONS),
    Mutant("Report", "report/published.py", '    "enable_external_access": "false",\n', "", QUESTIONS),
    Mutant("Report", "report/elements.js", "document.createTextNode(child)", "document.createRange().createContextualFragment(child)", PAGES),
    Mutant("Report", "report/exports.py", """f"{found[0][:-1]}'{found[0][-1]}\"""", "found[0]", PAGES),
    Mutant("Report", "report/state.py", "generation.data_through < due", "generation.data_through > due", PAGES),
    Mutant("Report", "report/card.py", 'row["highlight"]', '(None if row["highlight"] else "green")', PAGES),
    Mutant("Report", "report/card.py", '("touch_page_hash", touch["page_hash"]),', "", PAGES),
    Mutant("Report", "report/elements.css", "--soft: color-mix(in srgb, var(--st-text-color) 72%", "--soft: color-mix(in srgb, var(--st-text-color) 40%", PAGES),
    Mutant("Sources", CLIENT, "follow_redirects=False", "follow_redirects=True", HTTP),
    Mutant("Sources", CLIENT, "        spellings.add(base64.b64encode(plain.encode()).decode())\n", "", HTTP),
    # Cut first, a credential's beginning isn't recognized.
    Mutant("Sources", CLIENT, "content[:LOOKED_AT_BYTES]", "content[:SHOWN_CHARACTERS]", HTTP),
    Mutant("Sources", CLIENT, "_AgainError(self.hidden(_trouble(error)))", "_AgainError(_trouble(error))", HTTP),
    Mutant("Sources", CLIENT, 'raise RefusedError(\n                f"{self.url}{path} refuses', 'raise SourceError(\n                f"{self.url}{path} refuses', HTTP),
    Mutant("Sources", CLIENT, "if wait is not None and wait > LONGEST_WAIT_SECONDS:", "if False:", HTTP),
    Mutant("Sources", CLIENT, "return True if error.wait_seconds is None else error.wait_seconds", "return True", HTTP),
    Mutant("Sources", CLIENT, 'headers["If-Range"] = tag', "pass", HTTP),
    Mutant("Sources", CLIENT, "(never_changes and size)", "never_changes", HTTP),
    Mutant("Sources", CLIENT, "if answer.status_code == 416:", "if False:", HTTP),
    Mutant("Sources", CLIENT, "int(found[1]) == begun and ", "", HTTP),
    Mutant("Sources", CLIENT, "if SUSPICIOUS_ESCAPE.search(content):", "if False:", HTTP),
    Mutant("Sources", CLIENT, "if not isinstance(parsed, tuple(kinds)):", "if False:", HTTP),
    Mutant("Sources", CLIENT, "if not credential.isprintable():", "if False:", HTTP),
    Mutant("Sources", CLIENT, "if time.monotonic() > deadline:", "if False:", HTTP),
    Mutant("Sources", "sources/http_source.py", 'parts.hostname in ("127.0.0.1", "localhost")', 'url.startswith(("http://127.0.0.1", "http://localhost"))', HTTP),
    Mutant("Sources", "sources/http_source.py", 'if "@" in parts.netloc or parts.query or parts.fragment:', "if False:", HTTP),
    Mutant("Sources", "sources/mango.py", "days_per_request: ClassVar = 30", "days_per_request: ClassVar = 31", HTTP),
    Mutant("Sources", "sources/mango.py", 'in_header = self.authorization == "header"', "in_header = True", HTTP),
    Mutant("Sources", "sources/calltouch.py", "readings: ClassVar = 3", "readings: ClassVar = 1", HTTP),
    Mutant("Sources", "sources/calltouch.py", "<> {sql.literal(self.site_id)}", "<> '' and false", HTTP),
    Mutant("Sources", "sources/metrica.py", "header != _header(files[0]) or ", "", HTTP),
    Mutant("Sources", "sources/metrica.py", "isinstance(most_days, int) and most_days > 0 else asked", "isinstance(most_days, int) else asked", HTTP),
    Mutant("Sources", "sources/metrica.py", 'UNREADABLE = re.compile(r"[\\0\\1]")', 'UNREADABLE = re.compile(r"[\\0]")', HTTP),
    Mutant("Sources", "sources/metrica.py", "case when trim({records.fields['visitID']}) <> ''", "case when true", HTTP),
    Mutant("Sources", "sources/metrica.py", "total_is_sure=False", "total_is_sure=True", HTTP),
    Mutant("Sources", "sources/records.py", "record ->> {sql.literal(pointer(key))}", "record ->> {sql.literal('$.' + key)}", HTTP),
    Mutant("Sources", "sources/delivering.py", " and not source.deliver_despite_difference", "", HTTP),
    Mutant("Sources", "sources/fetching.py", "if day > failed)", "if False)", HTTP),
    Mutant("Sources", "sources/fetching.py", "failures >= MOST_FAILURES_IN_A_ROW", "failures >= 9", HTTP),
    Mutant("Sources", MAPPINGS + "mango_calls.yml", "phone: [callerNumber, callerNumer]", "phone: callerNumber", HTTP),
    Mutant("Sources", MAPPINGS + "mango_calls.yml", ', "%d-%m-%YT%H:%MZ"', "", HTTP),
    Mutant("Sources", MAPPINGS + "calltouch_calls.yml", 'missing: ["<не указано>", "<не заполнено>"]\n', "", HTTP),
    Mutant("Sources", "sources/delivering.py", "return file.stat().st_mtime >= end_of_day.timestamp()", "return True", JOURNAL),
    Mutant("Sources", "sources/delivering.py", 'file.with_name(f".{file.name}.part")', 'file.with_name(f"{file.name}.parquet")', JOURNAL),
    Mutant("Sources", "sources/configuration.py", "else f\"source number {number}\"", "else name", JOURNAL),
    Mutant("Sources", "sources/configuration.py", 'messages = [message.replace(part, "…") for message in messages]', "pass", JOURNAL),
    Mutant("Sources", "cli/load.py", "    except (Problem, *EXPLAINED, ValueError) as error:\n", "    except Problem as error:\n", JOURNAL),
    Mutant("Sources", "orchestration/source_assets.py", "days &= set(due_days_of_run(source, rules, settings.landing_dir, pipeline.warehouse))", "pass", JOURNAL),
    Mutant("Sources", "orchestration/assets.py", "describe_failures(failed, _failed_fetches(context))", "describe_failures(failed, [])", JOURNAL),
    Mutant("Sources", "sources/mapping.py", "return str(self.macros(self.time_zone).google_client_id(f\"({value})\"))", "pass", JOURNAL),
    # Exports: times, days, numbers, headers, escapes, words and sheets.
    Mutant("Exports", "sources/mapping.py", ">= timestamp '1000-01-01'", ">= timestamp '0001-01-01'", exports("four_digits or short_years")),
    Mutant("Exports", "sources/mapping.py", 'dict.fromkeys((*mapped.format, ISO)):', "mapped.format or (ISO,):", exports("a_csv_of_the_same or readable_value")),
    Mutant("Exports", "sources/mapping.py", "            elif is_utc(written):", "            elif written.endswith('Z'):", exports("word_utc")),
    Mutant("Exports", "sources/mapping.py", "(?:UTC|GMT)\\)?|", "(?:UTC|GMT)|", exports("formats_that_are_utc")),
    Mutant("Exports", "sources/mapping.py", "(?<![^\\W\\d_])(?:UTC", "(?:UTC", exports("formats_that_are_utc")),
    Mutant("Exports", "sources/mapping.py", "            if without_year:", "            if False:", exports("without_a_year")),
    Mutant("Exports", "sources/mapping.py", "greatest(length({digits}), {places + 1})", "greatest(length({digits}), {places})", exports("divided")),
    Mutant("Exports", "sources/mapping.py", 're.fullmatch("10+", str(divisor))', 're.fullmatch("10*", str(divisor))', exports("powers_of_ten")),
    Mutant("Exports", "sources/mapping.py", "            self.divide_by,\n", "", exports("micros_are")),
    Mutant("Exports", "sources/mapping.py", "no_value - {word.lower() for word in column.words}", "no_value", exports("gives_way")),
    Mutant("Exports", "sources/mapping.py", 'if column.type != "text":', "if False:", exports("words_for_no_value")),
    Mutant("Exports", "sources/mapping.py", "return placeholders() - words_of_tags()", "return placeholders()", exports("stay_tags")),
    Mutant("Exports", "sources/mapping.py", "regexp_full_match(lower({place})", "regexp_full_match({place}", exports("words_for_no_value")),
    Mutant("Exports", "sources/mapping.py", "longest, words = max(", "longest, words = min(", exports("words_for_no_value")),
    Mutant("Exports", "sources/mapping.py", "map(re.escape, sorted(no_value))", "sorted(no_value)", exports("words_for_no_value")),
    Mutant("Exports", "sources/delivering.py", "case when told_day in ({listed}) then told_day end as asked_day", "told_day as asked_day", exports("cant_be_read")),
    Mutant("Exports", "sources/delivering.py", "if previous_row_count and unreadable and day not in readable_days:", "if False:", exports("keeps_what_it_held")),
    Mutant("Exports", "sources/delivering.py", "if previous_row_count and unreadable and day not in readable_days:", "if previous_row_count and unreadable:", exports("keeps_what_it_held")),
    Mutant("Exports", "sources/delivering.py", "        log.warning(\"%s, %s: %s: delivered, to be rejected\", source.name, extract.dataset, unreadable)\n", "        pass\n", exports("micros_are")),
    Mutant("Exports", "sources/delivering.py", "group by file_number having not bool_or(is_readable)", "having not bool_or(is_readable)", exports("readable_value")),
    Mutant("Exports", "sources/delivering.py", "    if extract.mapping_name:\n", "    if False:\n", exports("short_years")),
    Mutant("Exports", "sources/delivering.py", "(row_count and not extract.is_of_its_day)", "row_count", exports("nothing_but_a_total")),
    Mutant("Exports", "sources/delivering.py", "(kept_count or (row_count and not extract.is_of_its_day))", "kept_count", exports("maps_nothing")),
    Mutant("Exports", "sources/delivering.py", "largest is None or not are_whole or", "largest is None or", exports("look_like_micros")),
    Mutant("Exports", "sources/delivering.py", "if click_count else are_millions", "if click_count else False", exports("look_like_micros")),
    Mutant("Exports", "sources/delivering.py", "amount >= {ABSURD_COST} and ", "", exports("look_like_micros")),
    Mutant("Exports", "sources/delivering.py", "ABSURD_COST_PER_CLICK = 100_000", "ABSURD_COST_PER_CLICK = 10_000", exports("look_like_micros")),
    Mutant("Exports", "sources/fetching.py", "rules.first_load_day <= day <= last)", "rules.first_load_day <= day)", exports("files_hold")),
    Mutant("Exports", "sources/fetching.py", "if day in due or day not in delivered", "if day in due", exports("files_hold")),
    Mutant("Exports", "sources/files.py", " and first.takes_rows_of(second)", "", (("tests/acceptance/test_sources_files.py", "-k", "two_sources"),)),
    Mutant("Exports", "cli/fetch.py", "shared_file_warnings(sources.values(), names or sources)", "shared_file_warnings(sources.values(), [])", (("tests/acceptance/test_sources_files.py", "-k", "two_sources"),)),
    Mutant("Exports", "sources/files.py", "if any(is_complete(file.name) for file in self._files(self.path.replace(DAY, day)))", "if True", exports("files_hold")),
    Mutant("Exports", "sources/export_text.py", "starts = [expected, *starts]", "starts = [expected]", exports("any_title")),
    Mutant("Exports", "sources/export_text.py", "self.hint = self._otherwise_written(text, starts, line_end)", "pass", exports("delimiter_is_said or instead_is_said")),
    Mutant("Exports", "sources/export_text.py", "for quote in dict.fromkeys((self.how.quote, '\"')):", "for quote in (self.how.quote,):", exports("in_quotes")),
    Mutant("Exports", "sources/export_text.py", "for _ in range(MOST_HEADER_LINES):", "for _ in range(1):", exports("several_lines")),
    Mutant("Exports", "sources/export_text.py", ".replace(b\"\\0\", b\"\")", "", exports("pages_are_no")),
    Mutant("Exports", "sources/export_text.py", "if chunk and open_count % 2:", "if False:", exports("cut_in_two")),
    Mutant("Exports", "sources/export_text.py", '({} if how.quote else {"n": "\\n", "r": "\\r", "t": "\\t"})', '{"n": "\\n", "r": "\\r", "t": "\\t"}', exports("letters_are")),
    Mutant("Exports", "sources/excel.py", "if len(fitting) > 1:", "if False:", exports("the_sheet_is")),
    Mutant("Exports", "sources/excel.py", "left({column}, 4) <= '1903' then {clock}", "left({column}, 4) <= '1899' then {clock}", exports("a_csv_of_the_same")),
    Mutant("Exports", "sources/excel.py", "if not time_count or time_count == length_count else column", "", exports("a_csv_of_the_same")),
    Mutant("Exports", "sources/excel.py", "set {field} = replace({field}, '.', ',')", "set {field} = {field}", exports("a_csv_of_the_same")),
    Mutant("Exports", "sources/excel.py", "            if found:\n", "            if False:\n", exports("lost_digits")),
    Mutant("Exports", "sources/excel.py", "and abs(try_cast({field} as double)) > {LARGEST_WHOLE_NUMBER}", "", exports("lost_digits")),
    Mutant("Exports", "sources/excel.py", "and position in (select position from {sheet} where {field} is not null)\n                order", "order", exports("lost_digits")),
    Mutant("Exports", "sources/excel.py", "> MOST_UNPACKED_BYTES:", "> 10**12:", exports("unpacks_to_too_much")),
    Mutant("Exports", MAPPINGS + "yandex_direct_api_costs.yml", ", divide_by: 1000000}", "}", exports("micros_are")),
    # Files of many parts; what a file may have; the same rows twice; links.
    Mutant("R3", "pipeline/reading/text_files.py", "select {line_count} + generate_subscripts(chunk_lines, 1)", "select {line_count} + len(chunk_lines) - generate_subscripts(chunk_lines, 1)", PARTS),
    Mutant("R3", "pipeline/reading/text_files.py", "line_count += chunk.count(b\"\\n\") + 1", "line_count += chunk.count(b\"\\n\")", PARTS),
    Mutant("R3", "pipeline/reading/text_files.py", "line_count += chunk.count(b\"\\n\") + 1", "line_count = chunk.count(b\"\\n\") + 1", PARTS),
    Mutant("R25", "pipeline/reading/text_files.py", "chunk = (chunk + content.readline(LONGEST_LINE_BYTES + 1)).removesuffix(b\"\\n\")", "chunk = (chunk + content.readline(LONGEST_LINE_BYTES + 1))", PARTS),
    Mutant("R3", "pipeline/reading/json_lines.py", "select row_number() over (order by line_number) as row_number, line\n            from lines", "select row_number() over (order by line_number % 10, line_number) as row_number, line\n            from lines", PARTS),
    Mutant("R3", "pipeline/reading/json_lines.py", "select row_number() over (order by line_number) as row_number, line\n            from lines", "select row_number() over (order by cast(line_number as varchar)) as row_number, line\n            from lines", PARTS),
    Mutant("R3", "pipeline/reading/csv_files.py", "select row_number() over (order by record_number) as row_number, line, is_unclosed", "select row_number() over (order by cast(record_number as varchar)) as row_number, line, is_unclosed", PARTS),
    Mutant("R25", "pipeline/reading/csv_files.py", "string_agg(line, chr(10) order by line_number)", "string_agg(line, chr(10) order by cast(line_number as varchar))", PARTS),
    Mutant("R25", "pipeline/updating.py", "            loads.append(load)\n", ""),
    Mutant("R3", "pipeline/loading/storing.py", "record_count += file.counts.delivered_count", "record_count += file.counts.loaded_count", PARTS),
    Mutant("R3", "pipeline/loading/storing.py", "record_count += file.counts.delivered_count", "record_count += 1", PARTS),
    Mutant("R3", "pipeline/loading/storing.py", "records_before[file.number] = str(record_count)", "records_before[file.number] = str(RECORDS_PER_LOAD * (load.load_id or 0))", PARTS),
    Mutant("R3", "pipeline/reading/many_csv_files.py", "{place} > faults.good_before", "{place} >= faults.good_before", MANY_FILES),
    Mutant("R3", "pipeline/reading/many_csv_files.py", "line_number - 1, line", "line_number, line", MANY_FILES),
    Mutant("R3", "pipeline/reading/many_csv_files.py", " or _has_blank_lines(files[number])", "", MANY_FILES),
    Mutant("R3", "pipeline/reading/many_csv_files.py", " and good.last - good.first + 1 == good.count", "", MANY_FILES),
    Mutant("R25", "pipeline/reading/many_csv_files.py", "delimiter_count == of_bytes.delimiter_count and ", "", MANY_FILES),
    Mutant("R25", "pipeline/reading/many_csv_files.py", " and not found.may_be_misread", "", MANY_FILES),
    Mutant("R26", "pipeline/reading/csv_files.py", "if quote and re.search(b\"\\n *%b\" % re.escape(quote), after_last_delimiter):", "if False:", MANY_FILES),
    Mutant("R26", "pipeline/reading/csv_files.py", "after_last_delimiter + chunk if last < 0 else ", "", MANY_FILES),
    Mutant("R25", "pipeline/reading/many_csv_files.py", "line_count == 1 and ", "", BAD_CSV_HEADERS),
    Mutant("R25", "pipeline/reading/many_csv_files.py", "or not is_of_fields ", "", BAD_BYTES),
    Mutant("R25", "pipeline/rejecting.py", "as {data_type}[])[file_number + 1]", "as {data_type}[])[1]", MANY_FILES),
    Mutant("R26", "pipeline/loading/storing.py", "if load.outcome == \"loaded\" and file.number in rows.file_numbers", "if load.outcome == \"loaded\"", MANY_FILES),
    Mutant("R26", "pipeline/loading/judging.py", "            if number in read.file_numbers:\n", "            if number is not None:\n", MANY_FILES),
    Mutant("R26", "pipeline/loading/batches.py", "                yield from _load_alone(", "                _load_alone(", MANY_FILES),
    Mutant("R25", "pipeline/reading/parquet_files.py", 'str(schema).partition("\\n")[2]', 'str(pyarrow.parquet.read_schema(file).types)', MANY_FILES),
    Mutant("R26", "pipeline/reading/rows.py", "if len(names) > reading.limits.columns:", "if len(names) >= reading.limits.columns:", LIMITS),
    Mutant("R26", "pipeline/reading/json_lines.py", "key_count > {reading.limits.columns} order", "key_count >= {reading.limits.columns} order", LIMITS),
    Mutant("R26", "pipeline/reading/json_lines.py", "strlen(line) > 5 * {reading.limits.columns}", "strlen(line) > 50 * {reading.limits.columns}", LIMITS),
    Mutant("R26", "pipeline/reading/text_files.py", "if copy and unpacked_bytes > reading.limits.unpacked_bytes:", "if copy and len(chunk) < 0:", LIMITS),
    Mutant("R26", "pipeline/reading/parquet_files.py", "if (at_most or 0) <= limit:", "if (encoded or 0) <= limit:", LIMITS),
    Mutant("R26", "pipeline/reading/parquet_files.py", "sizes.append(f\"sum(strlen(cast(to_json({column}) as varchar)))\")", "sizes.append(\"count(*) * 8\")", LIMITS),
    Mutant("R27", "pipeline/publishing/generations.py", "if checksum.read_text(\"utf-8\") != checksum_of(self.file(number)):", "if False:", COPIES),
    Mutant("R27", "pipeline/publishing/generations.py", "if not self._checksum_file(number).exists():", "if False:", COPIES),
    Mutant("R27", DUCKDB, "{{ bucket }} % {{ parts_of_build() | length }} =", "{{ bucket }} % 3 =", PARTS_OF_BUILDS),
    Mutant("R27", DUCKDB, "and {{ load_id }} < getvariable", "and {{ load_id }} <= getvariable", PARTS_OF_BUILDS),
    Mutant("R27", "pipeline/building.py", "firsts = [0, *(int(load_id)", "firsts = [2, *(int(load_id)", PARTS_OF_BUILDS),
    Mutant("R26", "pipeline/reading/csv_files.py", "if left <= 0:", "if left < -10**9:", LIMITS),
    Mutant("R26", "pipeline/loading/batches.py", "for (name,) in connection.execute(\"select table_name from duckdb_tables() where temporary\").fetchall():", "for (name,) in ():", LIMITS),
    Mutant("R26", "pipeline/capacity.py", "if is_full_disk(error) or is_full_spill(error):\n        return (\n            f\"needs", "if is_full_disk(error):\n        return (\n            f\"needs", LIMITS),
    Mutant("R26", "pipeline/loading/storing.py", "if not table.has_no_key or len(filled) < 2:", "if len(filled) < 2:", DOUBLED),
    Mutant("R26", "pipeline/loading/storing.py", "filled = [file for file in judged if file.counts.loaded_count]", "filled = judged", DOUBLED),
    Mutant("R26", "pipeline/loading/storing.py", "group by row_count, digest, other_digest having", "group by row_count having", DOUBLED),
    Mutant("R26", "pipeline/loading/storing.py", "sum({row}::hugeint) as digest", "any_value(1) as digest", DOUBLED),
    Mutant("R26", "pipeline/loading/storing.py", "cast(attributes as varchar))\"", "1)\"", DOUBLED),
    Mutant("R26", "pipeline/landing.py", "is_outside = (folder / name).is_symlink() and _is_outside(folder / name, landing_dir)", "is_outside = False", LINKS),
    Mutant("R26", "pipeline/landing.py", "if folder.is_symlink() and _is_outside(folder, landing_dir):", "if False:", LINKS),
    Mutant("R26", "pipeline/warehouse.py", "os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK", "os.O_RDWR | os.O_CREAT | os.O_NONBLOCK", LINKS),
    Mutant("R26", "pipeline/warehouse.py", "if not stat.S_ISREG(os.fstat(handle).st_mode):", "if False:", LINKS),
    # Where an answer ends.
    Mutant("Sources", "sources/calltouch.py", "if not isinstance(calls, list):", "if False:", HTTP),
    Mutant("Sources", "sources/paging.py", "is_last and (total is None or len(seen) >= total)", "is_last", ENDS),
    Mutant("Sources", "sources/paging.py", "is_last and (total is None or len(seen) >= total)", "is_last and (total is None or len(seen) > total)", ENDS),
    Mutant("Sources", "sources/paging.py", "number >= page_count and", "number > page_count and", ENDS),
    Mutant("Sources", "sources/paging.py", "page.record_count == 0 or repeats > (1 if says_more else 0)", "page.record_count < page_size or repeats > (1 if says_more else 0)", ENDS),
    Mutant("Sources", "sources/paging.py", "page.record_count == 0 or repeats > (1 if says_more else 0)", "page.record_count == 0", ENDS),
    Mutant("Sources", "sources/paging.py", "repeats > (1 if says_more else 0)", "repeats > 0", ENDS),
    Mutant("Sources", "sources/paging.py", "repeats = 0 if brings_something else repeats + 1", "repeats += not brings_something", ENDS),
    Mutant("Sources", "sources/paging.py", "page.record_count >= page_size:", "page.record_count > page_size:", ENDS),
    Mutant("Sources", "sources/paging.py", "if number == 2 and page", "if page", ENDS),
    Mutant("Sources", "sources/paging.py", "page_count is not None and number <= page_count", "page_count is not None and number < page_count", ENDS),
    Mutant("Sources", "sources/paging.py", "(brings_something or number == 1)", "True", ENDS),
    Mutant("Sources", "sources/paging.py", "(brings_something or number == 1)", "brings_something", ENDS),
    Mutant("Sources", "sources/paging.py", "return self.received == self.total if self.total is not None else self.doubt is None", "return self.total is None or self.received == self.total", ENDS),
    Mutant("Sources", "sources/calltouch.py", "                if size == 1:\n                    raise\n", "                raise\n", ENDS),
    Mutant("Sources", "sources/calltouch.py", "json.dumps(call, sort_keys=True) if number is None else str(number)", "str(number)", ENDS),
    Mutant("Sources", "sources/calltouch.py", "(select coalesce(max(position), 0) from {relation})", "0", ENDS),
    Mutant("Sources", "sources/calltouch.py", "if reading.is_whole or not left:", "if not left:", ENDS),
    Mutant("Sources", "sources/http_client.py", "received > most_bytes", "received > most_bytes + 10**9", ENDS),
    Mutant("Sources", "sources/http_client.py", "pieces = limited(_unpacked(pieces, encoding))", "pieces = _unpacked(pieces, encoding)", ENDS),
    Mutant("Sources", "sources/http_client.py", "unpacker.decompress(packed, PIECE_BYTES)", "unpacker.decompress(packed)", ENDS),
    Mutant("Sources", "sources/http_client.py", "    if unpacker or packed:\n", "    if False:\n", ENDS),
    Mutant("Sources", "sources/http_client.py", "packed, unpacker, has_ended = unpacker.unused_data, None, True", "break", ENDS),
    Mutant("Sources", "sources/http_client.py", "reversed(self._encodings(answer, path))", "self._encodings(answer, path)", ENDS),
    Mutant("Sources", "sources/http_client.py", "if len(content) >= LOOKED_AT_BYTES:", "if False:", ENDS),
    Mutant("Sources", "sources/http_client.py", "self._pieces(answer, path, most_bytes, begun if continues else 0)", "self._pieces(answer, path, most_bytes)", ENDS),
    Mutant("Sources", "sources/http_client.py", "            facts_file.unlink(missing_ok=True)\n            raise", "            raise", ENDS),
    Mutant("Sources", "sources/http_client.py", "if time.monotonic() > deadline:", "if False:", ENDS),
    Mutant("Sources", "sources/metrica.py", 'f"lastUTM{tag}"', 'f"UTM{tag}"', ENDS),
    Mutant("Sources", "sources/metrica.py", "max(MOST_BYTES_IN_MEMORY, MOST_PACKED * size if has_sizes else 0)", "MOST_BYTES_IN_MEMORY", ENDS),
    Mutant("Sources", "sources/metrica.py", "max(MOST_BYTES_IN_MEMORY, MOST_PACKED * size if has_sizes else 0)", "10**12", ENDS),
    Mutant("Sources", "sources/metrica.py", "        finally:\n            self._release(client, number, context)", "        finally:\n            pass", ENDS),
    Mutant("Sources", "sources/metrica.py", 'for step in ("clean", "cancel"):', 'for step in ("clean",):', ENDS),
    Mutant("Sources", "sources/metrica.py", "except (UnreachableError, RefusedError):", "except UnreachableError:", ENDS),
    Mutant("Sources", "sources/metrica.py", "            self._release_what_was_left(client, context)\n", "", ENDS),
    Mutant("Sources", "sources/metrica.py", "        context.note(self._note(number))\n", "", ENDS),
    Mutant("Sources", "sources/metrica.py", "        context.forget(self._note(number))\n", "", ENDS),
    Mutant("Sources", "sources/metrica.py", "len(self.fields) > MOST_FIELD_CHARACTERS", "len(self.fields) >= MOST_FIELD_CHARACTERS", ENDS),
    Mutant("Sources", "sources/metrica.py", "isinstance(size, int) and size > 0 for size", "True for size", ENDS),
    Mutant("Sources", "sources/metrica.py", "except (_NotPreparedError, TooLargeError):", "except _NotPreparedError:", ENDS),
    Mutant("Sources", "sources/mango.py", "if len(days) == 1:", "if True:", ENDS),
    Mutant("Sources", "sources/mango.py", "days[-1] + timedelta(days=1)", "days[-1]", ENDS),
    Mutant("Sources", "sources/fetching.py", "if not is_missing(fetched.day):\n", "if True:\n", ENDS),
    Mutant("Sources", "sources/fetching.py", "(asked[-1] - day).days < source.reload_days", "(asked[-1] - day).days <= source.reload_days", ENDS),
    Mutant("Sources", "sources/delivering.py", "doubt = extract.doubt if extract.total is None else None", "doubt = None", ENDS),




    # Boundaries of settings.
    Mutant("Settings", SETTINGS, "if found and name not in KNOWN_NAMES}", "if found}", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "if name not in re.findall(r\"\\w+\", mentioned)}", "}", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Seconds = Annotated[Number, Field(ge=0, le=1_000_000_000)]", "Seconds = Annotated[Number, Field(gt=0, le=1_000_000_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Seconds = Annotated[Number, Field(ge=0, le=1_000_000_000)]", "Seconds = Annotated[Number, Field(ge=0, lt=1_000_000_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Seconds = Annotated[Number, Field(ge=0, le=1_000_000_000)]", "Seconds = Annotated[Number, Field(ge=0)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Share = Annotated[Number, Field(ge=0, le=1)]", "Share = Annotated[Number, Field(ge=0, lt=1)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Share = Annotated[Number, Field(ge=0, le=1)]", "Share = Annotated[Number, Field(gt=0, le=1)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Share = Annotated[Number, Field(ge=0, le=1)]", "Share = Annotated[Number, Field(ge=0, le=100)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Count = Annotated[int, BeforeValidator(_is_number), Field(le=1_000_000_000)]", "Count = Annotated[int, BeforeValidator(_is_number)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Count = Annotated[int, BeforeValidator(_is_number), Field(le=1_000_000_000)]", "Count = Annotated[int, Field(le=1_000_000_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Number = Annotated[float, BeforeValidator(_is_number)]", "Number = Annotated[float, Field()]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Field(ge=date(1970, 1, 1))", "Field(gt=date(1970, 1, 1))", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "Field(ge=date(1970, 1, 1))", "Field(ge=date(1900, 1, 1))", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "        if day > datetime.now(UTC).date() + timedelta(days=1):\n", "        if False:\n", OF_SETTINGS),
    Mutant("Settings", SETTINGS, 'not re.fullmatch(r"\\d{4}-\\d\\d-\\d\\d", day, re.ASCII)', "False", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "not isinstance(day, date | str) or", "False or", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "lookback_days: Annotated[Number, Field(ge=0, le=100_000)]", "lookback_days: Annotated[Number, Field(gt=0, le=100_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "lookback_days: Annotated[Number, Field(ge=0, le=100_000)]", "lookback_days: Annotated[Number, Field(ge=0, lt=100_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "is_known = name in _time_zones_of_duckdb()", "is_known = True", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "        try:\n            ZoneInfo(name)\n        except (OSError, ValueError, LookupError):\n            is_known = False\n        else:\n            is_known = name in", "        if True:\n            is_known = name.lower() in map(str.lower, _time_zones_of_duckdb()) or name in", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "        if code not in phonenumbers.SUPPORTED_REGIONS:\n", "        if False:\n", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "history_touch_limit: Annotated[Count, Field(ge=1)]", "history_touch_limit: Annotated[Count, Field(ge=0)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "time_decay_half_life_days: Annotated[Number, Field(gt=0, le=100_000)]", "time_decay_half_life_days: Annotated[Number, Field(ge=0, le=100_000)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "large_client_size: Annotated[Count, Field(ge=2)]", "large_client_size: Annotated[Count, Field(ge=3)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "large_client_size: Annotated[Count, Field(ge=2)]", "large_client_size: Annotated[Count, Field(ge=1)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "min_length=1, max_length=100)], ...], Field(max_length=100)]", "min_length=1, max_length=100)], ...], Field(max_length=99)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "min_length=1, max_length=100)], ...], Field(max_length=100)]", "min_length=1)], ...], Field(max_length=100)]", OF_SETTINGS),
    Mutant("Settings", SETTINGS, 'not in "LMNP"', 'not in "LMNPS"', OF_SETTINGS),
    Mutant("Settings", SETTINGS, 'not in "LMNP"', 'not in "LMN"', OF_SETTINGS),
    Mutant("Settings", SETTINGS, '            if ":" in name or name != name.strip():', '            if ":" in name:', OF_SETTINGS),
    Mutant("Settings", SETTINGS, "self.position_based_last_share > 1:", "self.position_based_last_share >= 1:", OF_SETTINGS),
    Mutant("Settings", SETTINGS, '    if "\\0" in text:\n', "    if False:\n", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "SMALLEST_SHARE = 0.1", "SMALLEST_SHARE = 0.01", OF_SETTINGS),
    Mutant("Settings", SETTINGS, "    if size > LARGEST_MEMORY:\n", "    if False:\n", OF_SETTINGS),
    Mutant("Settings", SETTINGS, 'if not re.fullmatch(r"[\\w.-]+", host) and not _is_address(host):', "if False:", OF_SETTINGS),
    # What a killed build or publication leaves, and files that are damaged.
    Mutant("Killed", "macros/changes.sql", "        where build_id <> '{{ env_var('BUILD_OF_OTHER_ENGINE', '') or invocation_id }}'\n        order by started_at desc", "        where build_id <> '{{ invocation_id }}'\n        order by finished_at desc", CUT_SHORT),
    Mutant("Killed", "macros/changes.sql", "        where build_id <> '{{ env_var('BUILD_OF_OTHER_ENGINE', '') or invocation_id }}'\n        order by started_at desc", "        where build_id <> '{{ invocation_id }}' and finished_at is not null\n        order by started_at desc", CUT_SHORT),
    Mutant("Killed", "macros/changes.sql", "found[0][0] == 'passed'", "found[0][0] != 'failed'", CUT_SHORT),
    Mutant("Killed", model("int_chains"), "sorted_and_distinct('channels')", "'channels'", CUT_SHORT),
    Mutant("Killed", model("int_chains"), "checksum_of_steps('brand_id', 'channels')", "checksum_of_steps('brand_id', sorted_and_distinct('channels'))", CUT_SHORT),
    Mutant("Killed", "macros/checksums.sql", "    or coalesce(counted.contacts_checksum, 0) <> chains.contacts_checksum\n", "", CUT_SHORT),
    Mutant("Killed", "macros/checksums.sql", "    or coalesce(counted.others_checksum, 0) <> chains.others_checksum\n", "", CUT_SHORT),
    Mutant("Killed", "macros/checksums.sql", "({{ brand_id }} || chr(1) || {{ joined(channels, 'chr(1)') }})", "{{ joined(channels, 'chr(1)') }}", CUT_SHORT),
    # The rules that a model's rows keep, by kind.
    Mutant("Rules", COUNTS_OF_RULES, "having count(*) > 1", "having count(*) > 99", BROKEN_RULES),
    Mutant("Rules", RULES_OF_MODELS, "never_null + not_null", "not_null", BROKEN_RULES),
    Mutant("Rules", RULES_OF_MODELS, "never_null + not_null", "never_null", BROKEN_RULES),
    Mutant("Rules", RULES_OF_MODELS, "keys + unique", "keys", BROKEN_RULES),
    Mutant("Rules", COUNTS_OF_RULES, ' not in (', ' in (', BROKEN_RULES),
    Mutant("Rules", COUNTS_OF_RULES, "abs(count(*) - (", "0 * abs(count(*) - (", BROKEN_RULES),
    Mutant("Rules", RULES_OF_MODELS, "> 0 then concat", "> 99 then concat", BROKEN_RULES),
    Mutant("Killed", "models/intermediate/attribution/_attribution.yml", "      - sets_are_those_of_all_chains: {name: sets_are_those_of_all_chains, arguments: {chains: ref('int_chains')}}\n", "      []\n", CUT_SHORT),
    Mutant("Killed", "pipeline/building.py", "arg_max(outcome, started_at) filter (where is_full)", "arg_max(outcome, finished_at) filter (where is_full)", TESTS_OF_CHANGES),
    Mutant("Killed", "pipeline/building.py", 'last_full_outcome not in (None, "passed")', 'last_full_outcome == "failed"', TESTS_OF_CHANGES),
    Mutant("Killed", "pipeline/building.py", '        return "since the last publication something was built otherwise, in part or by hand"', "        return None", TESTS_OF_CHANGES),
    Mutant("Killed", "pipeline/dbt_runner.py", "        failed = [node for node in nodes if not node.is_skipped] or nodes\n", "        failed = nodes\n", PUBLICATIONS),
    Mutant("Killed", "pipeline/ledger.py", 'from raw.builds order by started_at desc limit 1\n        """\n    ).fetchone()\n    names', 'from raw.builds order by finished_at desc limit 1\n        """\n    ).fetchone()\n    names', PUBLICATIONS),
    Mutant("Killed", "pipeline/publishing/generations.py", "        number = max([*kept, self._shown() or 0]) + 1", "        number = max(kept, default=0) + 1", DAMAGE),
    Mutant("Killed", "pipeline/publishing/tables.py", '    if build["outcome"] != "passed" or', "    if", PUBLICATIONS),
    Mutant("Killed", "pipeline/publishing/generations.py", "                self._check_nothing_is_lost(newest, connection)\n", "", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "whole = (each for each in reversed(kept) if self.is_whole(each))", "whole = (each for each in reversed(kept))", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "if current is not None and number < current and self.is_whole(number)", "if current is not None and number < current", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "if os.path.lexists(self.link) and not self.link.is_symlink():", "if False:", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "        if not number.isdecimal() or os.path.normpath(", "        if not number.isdecimal() or False and os.path.normpath(", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "        self.current()\n        self.meta(numbers[-1])\n        self.pin.unlink", "        self.pin.unlink", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "        self.meta(to)\n", "", DAMAGE),
    Mutant("Killed", "pipeline/publishing/generations.py", "        self._clear_away()\n        last = last_update", "        last = last_update", CRASHES),
    Mutant("Killed", "pipeline/publishing/generations.py", '            leftover = self.folder / f"{number:06}.tmp"\n                os.rename', '            leftover = self.folder / f"{number:06}"\n                os.rename', PUBLICATIONS),
    Mutant("Killed", "pipeline/warehouse.py", '        log.warning("%s The write-ahead log was put aside, as %s.", trouble, set_aside(write_ahead_log))\n        trouble = _trouble(warehouse)\n', "        set_aside(write_ahead_log)\n", DAMAGE),
    Mutant("Killed", "pipeline/warehouse.py", '        log.warning("%s It was put aside, as %s, and a new one is begun.", trouble, set_aside(warehouse.file))', "        os.unlink(warehouse.file)", DAMAGE),
    Mutant("Killed", "pipeline/warehouse.py", '            for table in raw_columns():\n                connection.execute(f"select max(hash({table})) from raw.{table}").fetchall()\n', "            pass\n", DAMAGE),
    Mutant("Killed", "pipeline/warehouse.py", "            with self._opened(read_only=True, config=limits)", "            with self._opened(read_only=False, config=limits)", COMMANDS),
    Mutant("Killed", "pipeline/warehouse.py", "            if _is_held(handle):\n", "            if False:\n", COMMANDS),
    Mutant("Killed", "cli/load.py", "                repair(warehouse)\n            else:\n", "                pass\n            else:\n", DAMAGE),
    Mutant("Killed", "cli/load.py", '        record_update(warehouse.folder, "failed", message=str(error))\n', "", DAMAGE),
    Mutant("Killed", "report/queries.py", "outcome = 'failed' and superseded_by is null and", "outcome = 'failed' and", PUBLICATIONS),
    Mutant("Killed", "pipeline/loading/storing.py", '    _supersede(connection, live, "load_id > ?")\n', "", PUBLICATIONS),
    # What commands say in few lines.
    Mutant("Words", "pipeline/wording.py", "if abs(count) == 1 else", "if abs(count) % 10 == 1 else", SUMMARY),
    Mutant("Words", "pipeline/wording.py", "if abs(count) == 1 else", "if abs(count) <= 1 else", SUMMARY),
    Mutant("Words", "pipeline/wording.py", "(\"s\", \"x\", \"ch\", \"sh\")", "(\"s\", \"x\", \"sh\")", SUMMARY),
    Mutant("Words", "pipeline/wording.py", "\" \".join(str(text).split())", "str(text)", SUMMARY),
    Mutant("Words", "cli/summary.py", "if days_behind <= 0 else", "if days_behind < 0 else", SUMMARY),
    Mutant("Words", "cli/summary.py", "max(waiting - deliveries - failures, 0)", "max(waiting - deliveries, 0)", SUMMARY),
    Mutant("Words", "cli/summary.py", "(\"removed contact\", \"removed contacts\")", "(\"new contact\", \"new contacts\")", SUMMARY),
    Mutant("Words", "cli/summary.py", "sum(changes[change].values())", "max(changes[change].values())", SUMMARY),
    Mutant("Words", "cli/summary.py", "for change in CHANGES if changes.get(change)", "for change in changes", SUMMARY),
    Mutant("Words", "pipeline/notices.py", "and message not in self.messages", "and True", SUMMARY),
    Mutant("Words", "pipeline/notices.py", "and record.name == log.name", "and True", SUMMARY),
    Mutant("Words", "pipeline/notices.py", "record.levelno == logging.WARNING and", "True and", SUMMARY),
    Mutant("Words", "pipeline/notices.py", "        log.removeHandler(collector)", "        pass", SUMMARY),
)  # fmt: skip


def models_with(file: str) -> list[str]:
    """The models that a file of a model or of macros has a part in, by the names of macros."""
    if not file.endswith(".sql") or not file.startswith(("models/", "macros/")):
        return []
    if file.startswith("models/"):
        return [Path(file).stem]
    macros = {
        name: body
        for path in (PROJECT_DIR / "macros").rglob("*.sql")
        for name, body in re.findall(r"(?s){% macro (\w+)(.*?)endmacro", path.read_text("utf-8"))
    }
    broken = set(re.findall(r"{% macro (?:duckdb__)?(\w+)", (PROJECT_DIR / file).read_text("utf-8")))
    while more := {name for name, body in macros.items() if words(body) & broken} - broken:
        broken |= more
    return [path.stem for path in (PROJECT_DIR / "models").rglob("*.sql") if words(path.read_text("utf-8")) & broken]


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


BUILD = """
import sys
from pathlib import Path
from pipeline.building import build
from pipeline.settings import Rules
from pipeline.warehouse import Warehouse
warehouse = Warehouse(Path(sys.argv[1]))
with warehouse.locked("mutants"):
    sys.exit(not build(warehouse, Rules.read()).is_passed)
"""


def try_mutant(mutant: Mutant | None, built: Path) -> str:
    """Which test catches the breakage: its name; `survived`, or `does not apply`."""
    with tempfile.TemporaryDirectory(prefix="mutant-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder)
        copy.chmod(0o755)  # one test reads as another user
        for name in COPIED:
            if (PROJECT_DIR / name).is_dir():
                shutil.copytree(PROJECT_DIR / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(PROJECT_DIR / name, copy / name)
        if mutant:
            file = copy / mutant.file
            text = file.read_text("utf-8")
            if text.count(mutant.line) != 1:
                return "does not apply"
            file.write_text(text.replace(mutant.line, mutant.broken), "utf-8")
        of_the_models = {"UNIT_TESTS_IN": str(built)}
        if mutant is None:
            stages = (UNIT_TESTS, *FAST_TESTS, *HISTORIES)
        elif mutant.tests is FAST_TESTS and (models := models_with(mutant.file)):
            stages = (UNIT_TESTS, *FAST_TESTS)
            of_the_models["UNIT_TESTS_OF"] = " ".join(models)
        else:
            stages = mutant.tests
        for tests in stages:
            run = subprocess.run(
                [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests],
                cwd=copy,
                env={name: value for name, value in os.environ.items() if name not in ("LANDING_DIR", "WAREHOUSE_DIR")}
                | {"TORTURE_SHRINK_BUILDS": "0"}
                | (of_the_models if tests is UNIT_TESTS else {}),
                capture_output=True,
                text=True,
            )
            if run.returncode == 1:
                failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED ", "ERROR tests"))]
                return failed[0].split(" - ")[0].split("::")[-1] if failed else tests[0]
            if run.returncode:
                return f"tests did not run: {(run.stdout + run.stderr)[-500:]}"
    return "survived"


def main() -> int:
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.rule in sys.argv[1:]]
    bad = 0
    workers = ThreadPoolExecutor(int(os.environ.get("MUTANT_WORKERS", "2")))
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, workers:
        built = Path(folder) / "warehouse"
        subprocess.run([sys.executable, "-c", BUILD, str(built)], cwd=PROJECT_DIR, check=True)
        if (untouched := try_mutant(None, built)) != "survived":
            print(f"The tests fail without any breakage: {untouched}")
            return 1
        for mutant, answer in zip(chosen, workers.map(try_mutant, chosen, [built] * len(chosen)), strict=True):
            is_bad = answer in ("survived", "does not apply") or answer.startswith("tests did not run")
            bad += is_bad
            change = f"{mutant.line.strip()[:60]!r} → {mutant.broken.strip()[:60]!r}"
            print(
                f"{'NOT CAUGHT' if is_bad else 'caught':10} {mutant.rule:6} {Path(mutant.file).name:30} {change:130} {answer}",
                flush=True,
            )
    print(f"{len(chosen) - bad} passed, {bad} failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
