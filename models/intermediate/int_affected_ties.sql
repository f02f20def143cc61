-- One row per identity of several identifiers, and identifier, in a group that this build works out anew.
-- A group's rows lie one after another, so they needn't be looked for among all.
{{ config(materialized='table') }}

with

affected_places as (

    select {{ each_number('first_place', 'first_place + group_size - 1') }} as place
    from {{ ref('int_affected_groups') }}

)

select
    place,
    group_position,
    group_size,
    record_number,
    identifier_key
from {{ former_identifier_groups() }}
where place in (select place from affected_places)
