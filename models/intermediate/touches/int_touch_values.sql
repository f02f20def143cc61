-- One row per affected touch that no previous build has typed, and per touch of a prospect (R16), with its instant (R10) and its
-- origin (R11). Of prospects' touches, which are most, nothing more is ever read.
{{ config(materialized='table') }}

with

affected_touches as (

    select
        record_number,
        load_id,
        cluster_key,
        record_kind = 'prospect_touch' as is_prospect
    from {{ ref('int_record_clusters') }}
    where record_kind <> 'contact' and {{ is_loaded_in_part('load_id') }}

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
    where is_prospect
        or not exists (
            select 1 from typed_touches
            where typed_touches.record_number = affected_touches.record_number
        )

),

touches as (

    select
        *,
        {{ stored_row_id(source('raw', 'touches')) }} as row_id,
        {{ short_landing_page('landing_page', click_id_parameters(ref('click_ids'))) }} as short_landing_page
    from {{ source('raw', 'touches') }}
    where {{ may_be_among(source('raw', 'touches'), 'untyped_touches') }} and {{ is_loaded_in_part('load_id') }}

),

-- Very many touches share few of these. (A full build reads them apart, or it would hold all touches in memory to read them twice.)
landing_pages as (

    select distinct {{ short_landing_page('landing_page', click_id_parameters(ref('click_ids'))) }} as short_landing_page
    from {{ all_or_changed(source('raw', 'touches'), 'touches') }}
    where {{ is_loaded_in_part('load_id') }}

),

origins_of_landing_pages as (

    select
        short_landing_page,
        {{ origin_of_landing_page('short_landing_page', click_id_parameters(ref('click_ids'))) }} as landing_page_origin
    from landing_pages

)

select
    touches.record_number,
    touches.load_id,
    touches.row_id,
    untyped_touches.cluster_key,
    untyped_touches.is_prospect,
    touches.touch_id,
    touches.widget_id,
    {{ instant('touches.touched_at') }} as touched_at,
    {{ origin('touches', 'origins_of_landing_pages.landing_page_origin') }} as origin,
    touches.delivered_by
from touches
inner join untyped_touches on touches.record_number = untyped_touches.record_number
left join origins_of_landing_pages on touches.short_landing_page = origins_of_landing_pages.short_landing_page
