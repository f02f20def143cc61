-- One row per identifier that an old or new version of a changed touch or contact carries (R13, R27).
{{ config(materialized='table') }}

with

changed_versions as (

    select * from {{ ref('int_changed_versions') }}
    where identity_key is not null

)

select distinct {{ rows_of({'identifier_key': "coalesce(identifier_keys, " ~ list_of(['identity_key']) ~ ")"}) }}
from changed_versions
