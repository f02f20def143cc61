-- One row per identity edge (R13), of all clients and of all who may become one, stored cluster by cluster.
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
        row_number() over (partition by cluster_key order by record_number, identifier_key) - 1 as cluster_position,
        count(*) over (partition by cluster_key) as cluster_size,
        max(record_number) over (partition by cluster_key) as last_record_number
    from tied_edges
    union all
    -- Most identities share no identifier, and are clusters of their own.
    select
        record_number,
        identifier_key,
        identifier_position - 1 as cluster_position,
        identifier_count as cluster_size,
        record_number as last_record_number
    from {{ ref('int_identity_edges') }} as edges
    where record_number not in (select record_number from tied_identities)

)

select
    record_number,
    identifier_key,
    {{ hash_bucket('identifier_key') }} as identifier_bucket,
    cluster_position,
    cluster_size
from clusters
-- The rows of a cluster are stored one after another, so that one of them leads to all. People come back within days or weeks,
-- so the clusters of a day's records are stored in few places. No two clusters have a record in common.
order by last_record_number, cluster_position
