-- One row per oversized client (Marts), with the identifier that ties the most others (R13, R15).
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_contacts(this, 'first_contact_id', ref('int_affected_contacts')) }}") }}

with

touches as (

    select * from {{ ref('int_touches') }}
    where cluster_key is not null

),

contacts as (

    select * from {{ ref('int_contacts') }}
    where cluster_key is not null

),

records as (

    select
        cluster_key,
        1 as contact_count,
        0 as touch_count
    from contacts
    union all
    select
        cluster_key,
        0 as contact_count,
        1 as touch_count
    from touches

),

large_clusters as (

    select
        cluster_key,
        sum(contact_count) as contact_count,
        sum(touch_count) as touch_count
    from records
    group by cluster_key
    having count(*) >= {{ var('large_client_size') }}

),

large_touches as (

    select * from touches
    where cluster_key in (select cluster_key from large_clusters)

),

large_contacts as (

    select * from contacts
    where cluster_key in (select cluster_key from large_clusters)

),

identifiers as (

    {{ identifiers_of('large_touches', {
        'visitor_id': 'visitor_id',
        'yandex_client_id': 'yandex_client_id',
        'google_client_id': 'google_client_id',
        'crm_client_id': 'crm_client_id',
    }) }}
    union all
    {{ identifiers_of('large_contacts', {
        'visitor_id': 'visitor_id',
        'yandex_client_id': 'yandex_client_id',
        'google_client_id': 'google_client_id',
        'crm_client_id': 'crm_client_id',
        'phone': 'identifying_phone',
        'email': 'identifying_email',
    }) }}

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
