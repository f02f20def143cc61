-- One row per record and identifier that ties: neither a placeholder nor ignored. Identifiers are numbered from 0.
with

all_identifiers as (

    select
        record,
        brand_id,
        pair.1 as kind,
        pair.2 as identifier
    from journal.touches
    array join [
        ('visitor_id', visitor_id),
        ('yandex_client_id', yandex_client_id),
        ('google_client_id', google_client_id),
        ('crm_client_id', crm_client_id)
    ] as pair
    union all
    select
        contacts.record,
        contacts.brand_id,
        pair.1 as kind,
        pair.2 as identifier
    from (
        select
            contacts.*,
            numbers.number
        from journal.contacts as contacts
        left join Python(numbers) as numbers on contacts.phone = numbers.spelling
    ) as contacts
    array join [
        ('visitor_id', visitor_id),
        ('yandex_client_id', yandex_client_id),
        ('google_client_id', google_client_id),
        ('crm_client_id', crm_client_id),
        ('phone', number),
        ('email', email)
    ] as pair

)

select
    record as record_number,
    toInt64(dense_rank() over (order by brand_id, kind, identifier)) - 1 as identifier_number
from all_identifiers
where
    identifier <> ''
    and lowerUTF8(identifier) not in (select placeholder from file({seeds:String} || '/placeholders.csv', CSVWithNames))
    and (kind, identifier) not in (
        select
            ifNull(identifier_kind, ''),
            identifier
        from file({seeds:String} || '/ignored_identifiers.csv', CSVWithNames)
    )
    and identifier not in (
        select identifier from file({seeds:String} || '/ignored_identifiers.csv', CSVWithNames)
        where ifNull(identifier_kind, '') = ''
    )
