-- One row per chain of the affected people: as it was counted until now, and as it is to be counted.
{{ config(materialized='table') }}

select
    contact_id is not null as led_to_contact,
    brand_id,
    channels,
    -1 as change
from {{ former_chains() }}
union all
select
    contact_id is not null as led_to_contact,
    brand_id,
    channels,
    1 as change
from {{ ref('int_new_chains') }}
