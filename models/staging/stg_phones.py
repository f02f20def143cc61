"""One row per distinct spelling of a phone, with its number in E.164, null where it isn't valid (R14).

A spelling is judged once, when it first arrives.
"""

import phonenumbers
import pyarrow


def valid_number(spelling: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(spelling, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def model(dbt, session):
    dbt.config(materialized="incremental", incremental_strategy="append")
    region = dbt.config.meta_get("default_phone_region")
    contacts = dbt.source("raw", "contacts").filter("phone is not null")
    changed_loads = dbt.ref("int_changed_loads")
    ignored = dbt.ref("ignored_identifiers")
    if dbt.is_incremental:
        contacts = contacts.join(changed_loads, "load_id", how="semi")
    spellings = (
        contacts.project("phone")
        .union(ignored.filter("identifier_kind = 'phone' or identifier_kind is null").project("identifier"))
        .distinct()
    )
    if dbt.is_incremental:
        # First looked for: not to be among all of them is to compare with them all.
        known = session.table(str(dbt.this)).join(spellings, "phone", how="semi")
        spellings = spellings.join(known, "phone", how="anti")
    spellings = spellings.order("phone").to_arrow_table().column("phone")
    numbers = [valid_number(spelling, region) for spelling in spellings.to_pylist()]
    return pyarrow.table({"phone": spellings, "number": pyarrow.array(numbers, pyarrow.string())})
