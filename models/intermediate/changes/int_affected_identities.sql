-- One row per identity that this build works out again (R13, R27): those of changed records, old and new, and all that share a
-- cluster with them. A single identifier is an identity too. Clusters are complete, so nothing outside can belong to them.
{{ config(materialized='table') }}

with

changed_versions as (

    select * from {{ ref('int_changed_versions') }}
    where identity_key is not null

),

changed_identifiers as (

    select * from {{ ref('int_changed_identifiers') }}

),

affected_edges as (

    select * from {{ ref('int_affected_edges') }}

),

identities_of_edges as (

    select {{ sorted_list('identifier_key') }} as identifier_keys
    from affected_edges
    group by record_number

),

single_identifiers as (

    select identifier_key from changed_identifiers
    union
    select identifier_key from affected_edges

),

identities as (

    select
        identity_key,
        identifier_keys
    from changed_versions
    union all
    select
        {{ identity_key('identifier_keys') }} as identity_key,
        identifier_keys
    from identities_of_edges
    union all
    select
        identifier_key as identity_key,
        null as identifier_keys
    from single_identifiers

)

select
    identity_key,
    min(identifier_keys) as identifier_keys
from identities
group by identity_key
