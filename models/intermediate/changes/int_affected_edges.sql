-- One row per identity of several identifiers, and identifier, in a cluster that this build works out again (R13, R27).
-- The rows of a cluster are stored one after another, so they need not be looked for among all.
{{ config(materialized='table') }}

with

previous_clusters as (

    select * from {{ previous(source('previous', 'int_identifier_clusters'), row_ids=true) }}

),

affected_rows as (

    select {{ each_number('first_row_id', 'first_row_id + cluster_size - 1') }} as row_id
    from {{ ref('int_affected_clusters') }}

)

select
    row_id,
    cluster_position,
    cluster_size,
    record_number,
    identifier_key
from previous_clusters
where row_id in (select row_id from affected_rows)
