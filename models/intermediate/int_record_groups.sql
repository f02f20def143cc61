-- One row per record (touch or contact) that has an identifier, with the group that it belongs to.
{{ config(materialized='view') }}

with

identifiers as (

    select * from {{ ref('int_identifiers') }}

),

identifier_groups as (

    select * from {{ ref('int_identifier_groups') }}

)

select
    identifiers.record_kind,
    identifiers.record_id,
    min(identifier_groups.identifier_group) as identifier_group
from identifiers
inner join identifier_groups
    on identifiers.brand_id = identifier_groups.brand_id
    and identifiers.identifier_kind = identifier_groups.identifier_kind
    and identifiers.identifier = identifier_groups.identifier
group by identifiers.record_kind, identifiers.record_id
