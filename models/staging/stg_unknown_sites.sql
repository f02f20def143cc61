-- One row per widget that touches name and the seed `widgets` doesn't (R13). Counts touches by their newest version (R3), up to
-- the last loaded day (R9).
{{ config(tags='static_view') }}

with

loads as (

    select * from {{ ref('stg_loads') }}
    where table_name = 'touches'

),

data_through as (

    select * from {{ ref('stg_data_through') }}

),

widgets as (

    select * from {{ ref('widgets') }}

),

-- Usually there is none, so only the narrow column is read of all touches.
unknown_sites as (

    select distinct widget_id
    from {{ source('raw', 'touches') }} as touches
    where widget_id is not null
        and not exists (
            select 1 from widgets
            where widgets.widget_id = touches.widget_id
        )

),

touches_of_unknown_sites as (

    select touch_id
    from {{ source('raw', 'touches') }}
    where widget_id in (select widget_id from unknown_sites)

),

versions as (

    select
        delivered_touches.widget_id,
        {{ report_date(instant('delivered_touches.touched_at')) }} as touch_date,
        row_number() over (
            partition by delivered_touches.touch_id
            order by loads.load_day desc, delivered_touches.record_number desc
        ) as version_rank
    from {{ source('raw', 'touches') }} as delivered_touches
    inner join loads on delivered_touches.load_id = loads.load_id
    where delivered_touches.touch_id in (select touch_id from touches_of_unknown_sites)

)

select
    versions.widget_id,
    count(*) as touch_count
from versions
inner join data_through on versions.touch_date <= data_through.data_through
where versions.version_rank = 1 and versions.widget_id in (select widget_id from unknown_sites)
group by versions.widget_id
