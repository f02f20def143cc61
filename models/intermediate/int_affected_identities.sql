-- One row per identity whose records this build looks at: those of changed records, old and new, and all that is tied to them.
-- A single identifier is an identity too. Groups of identifiers are complete, so nothing outside can be tied to anything in here.
{{ config(materialized='table') }}

with

changed_versions as (

    select * from {{ ref('int_changed_versions') }}
    where identity_key is not null

),

changed_identifiers as (

    select * from {{ ref('int_changed_identifiers') }}

),

tied as (

    select * from {{ ref('int_affected_ties') }}

),

tied_identities as (

    select {{ sorted_list('identifier_key') }} as identifier_keys
    from tied
    group by record_number

),

single_identifiers as (

    select identifier_key from changed_identifiers
    union
    select identifier_key from tied

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
    from tied_identities
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
