-- One row per identity of several identifiers, and identifier: what is tied to what, of all clients and of all who may become one.
-- An identity goes by the latest record that carries it: a number is read in far less than a key.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_affected_clusters(this, ref('int_affected_edges')) }}") }}

with

ties as (

    select * from {{ ref('int_identity_edges') }}

),

identity_clusters as (

    -- Classed before they are joined: in a full build all that is joined has to be held, and keys are four times as long.
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
-- A group's rows lie one after another, so that who finds one has found all. People come back within days or weeks: those
-- of a day are found in few places.
order by last_record_number, cluster_bucket, cluster_position
