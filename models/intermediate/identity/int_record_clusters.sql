-- One row per affected touch or contact, with its cluster (R13). A touch of somebody who never made contact is a prospect's (R16)
-- and stays out of everything about clients.
with

records as (

    select * from {{ ref('int_records') }}

),

identity_clusters as (

    select * from {{ ref('int_identity_clusters') }}

),

record_clusters as (

    select
        records.record_kind,
        records.record_number,
        records.load_id,
        coalesce(identity_clusters.cluster_key, records.identity_key) as cluster_key
    from records
    left join identity_clusters on records.identity_key = identity_clusters.identity_key

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
