-- One row per affected touch that no previous build has typed, and per touch of a prospect (R16), with its values read (R10,
-- R25), its origin (R11), and the identifiers that tie it (R13, R15).
{{ config(materialized='table') }}

with

affected_touches as (

    select
        record_number,
        load_id,
        cluster_key,
        record_kind = 'prospect_touch' as is_prospect
    from {{ ref('int_record_clusters') }}
    where record_kind <> 'contact'

),

-- Look the typed ones up first: an anti join with the whole table would compare with every row.
typed_touches as (

    select record_number
    from {{ previous(source('previous', 'int_typed_touches')) }}
    where record_number in (select record_number from affected_touches)

),

-- If a client's contacts are all gone, the client is a prospect again, whose touches are typed already.
untyped_touches as (

    select *
    from affected_touches
    where is_prospect or record_number not in (select record_number from typed_touches)

),

placeholders as (

    select * from {{ ref('placeholders') }}

),

ignored_identifiers as (

    select * from {{ ref('stg_ignored_identifiers') }}

),

touches as (

    select * from {{ source('raw', 'touches') }}
    where {{ are_among(source('raw', 'touches'), 'untyped_touches') }}

)

select
    touches.record_number,
    touches.load_id,
    untyped_touches.cluster_key,
    untyped_touches.is_prospect,
    touches.touch_id,
    touches.widget_id,
    {{ instant('touches.touched_at') }} as touched_at,
    case when lower(touches.action_type) = 'click' then 'click' else 'visit' end as action_type,
    {{ identifying('visitor_id', 'touches.visitor_id', 'placeholders', 'ignored_identifiers') }} as visitor_id,
    {{ identifying('yandex_client_id', 'touches.yandex_client_id', 'placeholders', 'ignored_identifiers') }} as yandex_client_id,
    {{ identifying('google_client_id', 'touches.google_client_id', 'placeholders', 'ignored_identifiers') }} as google_client_id,
    {{ identifying('crm_client_id', 'touches.crm_client_id', 'placeholders', 'ignored_identifiers') }} as crm_client_id,
    touches.landing_page,
    {{ origin('touches', click_id_parameters(ref('click_ids'))) }} as origin,
    touches.location,
    touches.device_type,
    {{ without_empty(text_list('touches.visited_pages')) }} as visited_pages,
    {{ seconds('touches.time_on_site') }} as time_on_site,
    {{ seconds('touches.visit_duration') }} as visit_duration,
    touches.page_hash,
    touches.delivered_by
from touches
inner join untyped_touches on touches.record_number = untyped_touches.record_number
