-- One row per identity of several identifiers, and identifier, in a cluster of the build before that holds an identifier of a changed
-- touch or contact (R13, R27), with where it is stored: what this build works out again. Hash buckets are enough, as a cluster that
-- only shares one is worked out too, as a whole. Its rows are stored one after another, so one of them is enough to find them all.
{{ config(materialized='table') }}

with

previous_clusters as (

    select * from {{ previous(source('previous', 'int_identifier_clusters'), row_ids=true) }}

),

changed_buckets as (

    select distinct {{ hash_bucket('identifier_key') }} as identifier_bucket
    from {{ ref('int_changed_identifiers') }}

),

rows_of_changed_buckets as (

    select row_id
    from previous_clusters
    where identifier_bucket in (select identifier_bucket from changed_buckets)

),

affected_clusters as (

    select distinct
        row_id - cluster_position as first_row_id,
        cluster_size
    from previous_clusters
    where row_id in (select row_id from rows_of_changed_buckets)

),

affected_rows as (

    select {{ each_number('first_row_id', 'first_row_id + cluster_size - 1') }} as row_id
    from affected_clusters

)

select
    row_id,
    cluster_position,
    cluster_size,
    record_number,
    identifier_key
from previous_clusters
where row_id in (select row_id from affected_rows)
