-- One row per identity edge (R13), of all clients and of all who may become one.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_clusters(this, ref('int_affected_edges')) }}") }}

with

nodes as (

    select * from {{ ref('int_identity_nodes') }}

),

tied_identifiers as (

    select * from {{ ref('int_tied_identifiers') }}

),

tied_identities as (

    select edges.record_number
    from {{ ref('int_identity_edges') }} as edges
    inner join nodes on edges.identifier_key = nodes.identifier_key

),

tied_edges as (

    select
        edges.record_number,
        edges.identifier_key,
        coalesce(tied_identifiers.cluster_key, edges.smallest_identifier_key) as cluster_key
    from {{ ref('int_identity_edges') }} as edges
    left join tied_identifiers on edges.smallest_identifier_key = tied_identifiers.identifier_key
    where edges.record_number in (select record_number from tied_identities)

),

clusters as (

    select
        record_number,
        identifier_key,
        max(record_number) over (partition by cluster_key) as cluster_number
    from tied_edges
    union all
    -- Most identities share no identifier, and are clusters of their own.
    select
        record_number,
        identifier_key,
        record_number as cluster_number
    from {{ ref('int_identity_edges') }} as edges
    where
        not exists (
            select 1 from tied_identities
            where tied_identities.record_number = edges.record_number
        )

)

select
    record_number,
    identifier_key,
    {{ hash_bucket('identifier_key') }} as identifier_bucket,
    cluster_number
from clusters
-- People come back within days or weeks, so the clusters of a day's records are stored in few places.
order by cluster_number
