-- One row per identity of several identifiers, and identifier, in a class of groups that this build works out anew.
{{ config(materialized='table') }}

with

affected_groups as (

    select group_class from {{ ref('int_affected_groups') }}

)

select
    place,
    record_number,
    identifier_key
from {{ former_identifier_groups('group_class in (select group_class from affected_groups)') }}
