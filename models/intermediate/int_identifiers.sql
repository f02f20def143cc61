-- One row per record (touch or contact) and identifier that ties it to others.
with

touches as (

    select * from {{ ref('int_touches') }}

),

contacts as (

    select * from {{ ref('int_contacts') }}

),

phones as (

    select * from {{ ref('stg_phones') }}

),

placeholders as (

    select distinct lower(placeholder) as placeholder
    from {{ ref('placeholders') }}

),

ignored_identifiers as (

    select
        ignored.identifier_kind,
        ignored.identifier
    from {{ ref('ignored_identifiers') }} as ignored
    union
    select
        'phone' as identifier_kind,
        phones.number as identifier
    from {{ ref('ignored_identifiers') }} as ignored
    inner join phones on ignored.identifier = phones.phone
    where coalesce(ignored.identifier_kind, 'phone') = 'phone'
    union
    select
        'email' as identifier_kind,
        lower(ignored.identifier) as identifier
    from {{ ref('ignored_identifiers') }} as ignored
    where coalesce(ignored.identifier_kind, 'email') = 'email'

),

delivered_identifiers as (

    {{ identifiers_of('touches', 'touch', 'touch_id', {
        'visitor_id': 'visitor_id',
        'yandex_client_id': 'yandex_client_id',
        'google_client_id': 'google_client_id',
        'crm_client_id': 'crm_client_id',
    }) }}
    union all
    {{ identifiers_of('contacts', 'contact', 'contact_id', {
        'visitor_id': 'visitor_id',
        'yandex_client_id': 'yandex_client_id',
        'google_client_id': 'google_client_id',
        'crm_client_id': 'crm_client_id',
        'phone': 'valid_phone',
        'email': 'valid_email',
    }) }}

)

select delivered_identifiers.*
from delivered_identifiers
left join placeholders
    on lower(delivered_identifiers.identifier) = placeholders.placeholder
left join ignored_identifiers
    on delivered_identifiers.identifier = ignored_identifiers.identifier
    and delivered_identifiers.identifier_kind = coalesce(ignored_identifiers.identifier_kind, delivered_identifiers.identifier_kind)
where placeholders.placeholder is null and ignored_identifiers.identifier is null
