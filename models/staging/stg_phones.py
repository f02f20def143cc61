"""One row per distinct spelling of a phone, with its number in E.164, null where it isn't valid (R14)."""

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
    region = dbt.config.meta_get("default_phone_region")
    contacts = dbt.ref("stg_contact_versions")
    ignored = dbt.ref("ignored_identifiers")
    spellings = (
        contacts.filter("phone is not null")
        .project("phone")
        .union(ignored.filter("identifier_kind = 'phone' or identifier_kind is null").project("identifier"))
        .distinct()
        .order("phone")
        .to_arrow_table()
        .column("phone")
    )
    numbers = [valid_number(spelling, region) for spelling in spellings.to_pylist()]
    return pyarrow.table({"phone": spellings, "number": pyarrow.array(numbers, pyarrow.string())})
