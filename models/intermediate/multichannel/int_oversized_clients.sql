-- One row per oversized client (Marts), with the identifier that ties the most others (R13, R15).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'first_contact_id', ref('int_affected_contacts')) }}") }}

with

record_clusters as (

    select * from {{ ref('int_record_clusters') }}
    where record_kind <> 'prospect_touch'

),

large_clusters as (

    select
        cluster_key,
        sum(case when record_kind = 'contact' then 1 else 0 end) as contact_count,
        sum(case when record_kind = 'touch' then 1 else 0 end) as touch_count
    from record_clusters
    where cluster_key is not null
    group by cluster_key
    having count(*) >= {{ var('large_client_size') }}

),

large_records as (

    select record_clusters.*
    from record_clusters
    inner join large_clusters on record_clusters.cluster_key = large_clusters.cluster_key

),

placeholders as (

    select * from {{ ref('placeholders') }}

),

ignored_identifiers as (

    select * from {{ ref('stg_ignored_identifiers') }}

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
        large_records.cluster_key,
        {{ identifying('visitor_id', 'touches.visitor_id', 'placeholders', 'ignored_identifiers') }} as visitor_id,
        {{ identifying('yandex_client_id', 'touches.yandex_client_id', 'placeholders', 'ignored_identifiers') }} as yandex_client_id,
        {{ identifying('google_client_id', 'touches.google_client_id', 'placeholders', 'ignored_identifiers') }} as google_client_id,
        {{ identifying('crm_client_id', 'touches.crm_client_id', 'placeholders', 'ignored_identifiers') }} as crm_client_id
    from {{ source('raw', 'touches') }} as touches
    inner join large_records
        on touches.record_number = large_records.record_number
        and large_records.record_kind = 'touch'

),

contacts as (

    select
        large_records.record_number,
        large_records.cluster_key,
        {{ identifying('visitor_id', 'contacts.visitor_id', 'placeholders', 'ignored_identifiers') }} as visitor_id,
        {{ identifying('yandex_client_id', 'contacts.yandex_client_id', 'placeholders', 'ignored_identifiers') }} as yandex_client_id,
        {{ identifying('google_client_id', 'contacts.google_client_id', 'placeholders', 'ignored_identifiers') }} as google_client_id,
        {{ identifying('crm_client_id', 'contacts.crm_client_id', 'placeholders', 'ignored_identifiers') }} as crm_client_id,
        {{ identifying('phone', 'phones.number', 'placeholders', 'ignored_identifiers') }} as phone,
        {{ identifying('email', 'emails.address', 'placeholders', 'ignored_identifiers') }} as email
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

-- A touch and a contact never share a record number, as a load is of one table.
tied_counts as (

    select
        identifiers.cluster_key,
        identifiers.identifier_kind,
        identifiers.identifier,
        count(distinct identifiers.record_number) as record_count,
        count(distinct tied.identifier_kind || ' ' || tied.identifier) - 1 as tied_count
    from identifiers
    inner join identifiers as tied on identifiers.record_number = tied.record_number
    group by identifiers.cluster_key, identifiers.identifier_kind, identifiers.identifier

),

ranked as (

    select
        *,
        count(*) over (partition by cluster_key) as identifier_count,
        row_number() over (
            partition by cluster_key
            order by tied_count desc, record_count desc, identifier_kind asc, identifier asc
        ) as identifier_rank
    from tied_counts

),

clients as (

    select
        cluster_key,
        client_id,
        contact_id as first_contact_id
    from {{ ref('int_contact_clients') }}
    where contact_number = 1

)

select
    clients.client_id,
    clients.first_contact_id,
    cast(large_clusters.contact_count as bigint) as contact_count,
    cast(large_clusters.touch_count as bigint) as touch_count,
    ranked.identifier_count,
    ranked.identifier_kind,
    ranked.identifier,
    ranked.record_count,
    ranked.tied_count
from large_clusters
inner join clients on large_clusters.cluster_key = clients.cluster_key
inner join ranked
    on large_clusters.cluster_key = ranked.cluster_key
    and ranked.identifier_rank = 1
