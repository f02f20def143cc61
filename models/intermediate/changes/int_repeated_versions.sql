-- One row per live version of a touch or contact that has several (R3). Most have only one; with these kept apart, the rest
-- needn't be compared.
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook=["{{ drop_replaced_versions(this, source('raw', 'loads'), ref('stg_last_publication')) }}", "{{ drop_changed_records(this, ref('int_changed_records')) }}"],
) }}

with

versions as (

    select * from {{ all_or_changed(ref('int_record_keys'), ref('int_changed_versions')) }}

),

loads as (

    select * from {{ ref('stg_loads') }}

),

live_versions as (

    select versions.*
    from versions
    inner join loads on versions.load_id = loads.load_id

),

repeated as (

    select record_key
    from live_versions
    group by record_key
    having count(*) > 1

)

select
    record_kind,
    record_key,
    record_number,
    load_id,
    record_date,
    identity_key,
    identifier_keys
from live_versions
where record_key in (select record_key from repeated)
