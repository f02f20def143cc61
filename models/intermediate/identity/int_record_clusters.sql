-- One row per affected touch or contact, with its cluster (R13). A touch of somebody who never made contact is a prospect's (R16)
-- and stays out of everything about clients.
with

records as (

    select
        record_kind,
        record_number,
        load_id,
        coalesce({{ smallest_of('identifier_keys') }}, identity_key) as smallest_identifier_key
    from {{ ref('int_records') }}

),

tied_identifiers as (

    select * from {{ ref('int_tied_identifiers') }}

),

record_clusters as (

    select
        records.record_kind,
        records.record_number,
        records.load_id,
        coalesce(tied_identifiers.cluster_key, records.smallest_identifier_key) as cluster_key
    from records
    left join tied_identifiers on records.smallest_identifier_key = tied_identifiers.identifier_key

),

client_clusters as (

    select distinct cluster_key
    from record_clusters
    where record_kind = 'contact' and cluster_key is not null

)

select
    case
        when record_clusters.record_kind = 'touch' and client_clusters.cluster_key is null then 'prospect_touch'
        else record_clusters.record_kind
    end as record_kind,
    record_clusters.record_number,
    record_clusters.load_id,
    record_clusters.cluster_key
from record_clusters
left join client_clusters on record_clusters.cluster_key = client_clusters.cluster_key
