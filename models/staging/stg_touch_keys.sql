-- One row per delivered version of a touch (R3), with its report date (R10) and the identifiers that tie it (R13, R15). Holds
-- only what a build needs to find the version again.
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ drop_replaced_versions(this, source('raw', 'loads'), ref('stg_last_publication')) }}") }}

with

touches as (

    select * from {{ source('raw', 'touches') }}
    where {{ are_missing_in(this, source('raw', 'loads')) }}

),

widgets as (

    select * from {{ ref('widgets') }}

),

ignored as (

    {{ lists_of_ignored(ref('placeholders'), ref('stg_ignored_identifiers')) }}

),

touches_with_brands as (

    select
        touches.record_number,
        touches.load_id,
        touches.touch_id,
        {{ report_date(instant('touches.touched_at')) }} as record_date,
        coalesce(widgets.brand_id, 'default') as brand_id,
        {{ identifying('visitor_id', 'touches.visitor_id', 'ignored') }} as visitor_id,
        {{ identifying('yandex_client_id', 'touches.yandex_client_id', 'ignored') }} as yandex_client_id,
        {{ identifying('google_client_id', 'touches.google_client_id', 'ignored') }} as google_client_id,
        {{ identifying('crm_client_id', 'touches.crm_client_id', 'ignored') }} as crm_client_id
    from touches
    left join widgets on touches.widget_id = widgets.widget_id
    cross join ignored

),

touches_with_keys as (

    select
        record_number,
        load_id,
        {{ record_key('touch', 'touch_id') }} as record_key,
        record_date,
        {{ identifier_keys('brand_id', ['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id']) }} as identifier_keys
    from touches_with_brands

),

versions as (

    select
        *,
        {{ identity_key('identifier_keys') }} as identity_key
    from touches_with_keys

)

select
    record_number,
    load_id,
    record_key,
    {{ hash_prefix('record_key') }} as record_key_prefix,
    record_date,
    identity_key,
    {{ hash_bucket('identity_key') }} as identity_bucket,
    {{ if_several('identifier_keys') }} as identifier_keys
from versions
