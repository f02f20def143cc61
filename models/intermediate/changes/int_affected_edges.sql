-- One row per identity edge of each cluster of the previous build that holds a changed identifier (R13, R27).
-- Buckets are enough to find clusters: one that only shares a bucket is worked out again too, as a whole.
{{ config(materialized='table') }}

with

changed_buckets as (

    select distinct {{ hash_bucket('identifier_key') }} as identifier_bucket
    from {{ ref('int_changed_identifiers') }}

),

affected_clusters as (

    select distinct cluster_number
    from {{ previous(source('previous', 'int_identifier_clusters')) }} as previous_clusters
    where identifier_bucket in (select identifier_bucket from changed_buckets)

)

select
    cluster_number,
    record_number,
    identifier_key
from {{ previous(source('previous', 'int_identifier_clusters')) }} as previous_clusters
where cluster_number in (select cluster_number from affected_clusters)
