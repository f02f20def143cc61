-- One row per identity edge of each cluster of the previous build that holds a changed identifier (R13, R27), with its row id.
-- Buckets are enough to find clusters: one that only shares a bucket is worked out again too, as a whole. The rows of a cluster
-- are stored one after another, so one of them leads to all.
{{ config(materialized='table') }}

with

changed_buckets as (

    select distinct {{ hash_bucket('identifier_key') }} as identifier_bucket
    from {{ ref('int_changed_identifiers') }}

),

rows_of_changed_buckets as (

    select row_id
    from {{ previous(source('previous', 'int_identifier_clusters'), row_ids=true) }} as previous_clusters
    where identifier_bucket in (select identifier_bucket from changed_buckets)

),

affected_clusters as (

    select distinct
        row_id - cluster_position as first_row_id,
        cluster_size
    from {{ previous(source('previous', 'int_identifier_clusters'), row_ids=true) }} as previous_clusters
    where row_id in (select row_id from rows_of_changed_buckets)

),

affected_rows as (

    select {{ rows_of({'row_id': numbers_between('first_row_id', 'first_row_id + cluster_size - 1')}) }}
    from affected_clusters

)

select
    row_id,
    cluster_position,
    cluster_size,
    record_number,
    identifier_key
from {{ previous(source('previous', 'int_identifier_clusters'), row_ids=true) }} as previous_clusters
where row_id in (select row_id from affected_rows)
