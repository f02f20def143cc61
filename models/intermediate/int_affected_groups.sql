-- One row per class of groups, one of which a changed touch or contact was tied to.
-- Classes are enough: a group that is of one class with an affected one is worked out too, as a whole.
{{ config(materialized='table') }}

with

changed_classes as (

    select distinct {{ key_class('identifier_key') }} as identifier_class
    from {{ ref('int_changed_identifiers') }}

)

select distinct group_class
from {{ former_identifier_groups('identifier_class in (select identifier_class from changed_classes)') }}
