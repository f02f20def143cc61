-- One row per group of what was tied before to which an identifier of a changed touch or contact belongs, and where it lies.
-- Parts of keys are enough: a group that has only that in common with an affected one is worked out too, as a whole.
{{ config(materialized='table') }}

with

changed_classes as (

    select distinct {{ key_class('identifier_key') }} as identifier_class
    from {{ ref('int_changed_identifiers') }}

),

places_of_changed_classes as (

    select place
    from {{ former_identifier_groups() }}
    where identifier_class in (select identifier_class from changed_classes)

)

select distinct
    place - group_position as first_place,
    group_size
from {{ former_identifier_groups() }}
where place in (select place from places_of_changed_classes)
