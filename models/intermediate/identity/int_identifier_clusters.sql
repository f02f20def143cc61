-- One row per identity edge (R13), of all clients and of all who may become one, stored cluster by cluster. The latest record
-- that carries an identity stands for it, as its number is much quicker to read than a key.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_clusters(this, ref('int_affected_edges')) }}") }}

with

ties as (

    select * from {{ ref('int_identity_edges') }}

),

identity_clusters as (

    -- Reduced to a bucket before the join: a full build holds all joined rows in memory, and keys are four times as long.
    select
        identity_key,
        {{ hash_bucket('cluster_key') }} as cluster_bucket
    from {{ ref('int_identity_clusters') }}

),

tied as (

    select
        ties.record_number,
        ties.load_id,
        ties.identifier_key,
        {{ hash_bucket('ties.identifier_key') }} as identifier_bucket,
        identity_clusters.cluster_bucket,
        row_number() over (
            partition by identity_clusters.cluster_bucket order by ties.record_number, ties.identifier_key
        ) - 1 as cluster_position,
        count(*) over (partition by identity_clusters.cluster_bucket) as cluster_size,
        max(ties.record_number) over (partition by identity_clusters.cluster_bucket) as last_record_number
    from ties
    inner join identity_clusters on ties.identity_key = identity_clusters.identity_key

)

select
    record_number,
    load_id,
    identifier_key,
    identifier_bucket,
    cluster_bucket,
    cluster_position,
    cluster_size
from tied
-- The rows of a cluster are stored one after another, so that one of them leads to all. People come back within days or weeks,
-- so the clusters of a day's records are stored in few places.
order by last_record_number, cluster_bucket, cluster_position
