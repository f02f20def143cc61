-- One row per client of very many touches and contacts, with the identifier that ties most of what they have.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'first_contact_id') }}") }}

with

record_groups as (

    select * from {{ ref('int_record_groups') }}
    where record_kind <> 'prospect_touch'

),

large_groups as (

    select
        identifier_group,
        sum(case when record_kind = 'contact' then 1 else 0 end) as contact_count,
        sum(case when record_kind = 'touch' then 1 else 0 end) as touch_count
    from record_groups
    where identifier_group is not null
    group by identifier_group
    having count(*) >= {{ var('large_client_size') }}

),

large_records as (

    select record_groups.*
    from record_groups
    inner join large_groups on record_groups.identifier_group = large_groups.identifier_group

),

phones as (

    select * from {{ ref('stg_phones') }}

),

emails as (

    select * from {{ ref('stg_emails') }}

),

touches as (

    select
        large_records.record_number,
        large_records.identifier_group,
        {{ tying('visitor_id', 'touches.visitor_id') }} as visitor_id,
        {{ tying('yandex_client_id', 'touches.yandex_client_id') }} as yandex_client_id,
        {{ tying('google_client_id', 'touches.google_client_id') }} as google_client_id,
        {{ tying('crm_client_id', 'touches.crm_client_id') }} as crm_client_id
    from {{ source('raw', 'touches') }} as touches
    inner join large_records
        on touches.record_number = large_records.record_number
        and large_records.record_kind = 'touch'

),

contacts as (

    select
        large_records.record_number,
        large_records.identifier_group,
        {{ tying('visitor_id', 'contacts.visitor_id') }} as visitor_id,
        {{ tying('yandex_client_id', 'contacts.yandex_client_id') }} as yandex_client_id,
        {{ tying('google_client_id', 'contacts.google_client_id') }} as google_client_id,
        {{ tying('crm_client_id', 'contacts.crm_client_id') }} as crm_client_id,
        {{ tying('phone', 'phones.number') }} as phone,
        {{ tying('email', 'emails.address') }} as email
    from {{ source('raw', 'contacts') }} as contacts
    inner join large_records
        on contacts.record_number = large_records.record_number
        and large_records.record_kind = 'contact'
    left join phones on contacts.phone = phones.phone
    left join emails on contacts.email = emails.email

),

identifiers as (

    {{ identifiers_of('touches', ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id']) }}
    union all
    {{ identifiers_of('contacts', ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email']) }}

),

-- A record number is of a touch or of a contact: loads are of one table.
tied_counts as (

    select
        identifiers.identifier_group,
        identifiers.identifier_kind,
        identifiers.identifier,
        count(distinct identifiers.record_number) as record_count,
        count(distinct tied.identifier_kind || ' ' || tied.identifier) - 1 as tied_count
    from identifiers
    inner join identifiers as tied on identifiers.record_number = tied.record_number
    group by identifiers.identifier_group, identifiers.identifier_kind, identifiers.identifier

),

ranked as (

    select
        *,
        count(*) over (partition by identifier_group) as identifier_count,
        row_number() over (
            partition by identifier_group
            order by tied_count desc, record_count desc, identifier_kind asc, identifier asc
        ) as identifier_rank
    from tied_counts

),

clients as (

    select
        identifier_group,
        client_id,
        contact_id as first_contact_id
    from {{ ref('int_contact_clients') }}
    where contact_number = 1

)

select
    clients.client_id,
    clients.first_contact_id,
    cast(large_groups.contact_count as bigint) as contact_count,
    cast(large_groups.touch_count as bigint) as touch_count,
    ranked.identifier_count,
    ranked.identifier_kind,
    ranked.identifier,
    ranked.record_count,
    ranked.tied_count
from large_groups
inner join clients on large_groups.identifier_group = clients.identifier_group
inner join ranked
    on large_groups.identifier_group = ranked.identifier_group
    and ranked.identifier_rank = 1
