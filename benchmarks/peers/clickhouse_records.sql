-- Reads the deliveries, keeps the newest version of each good record, and lists the identifiers that each record carries.

set join_use_nulls = 1;
set session_timezone = 'Europe/Moscow';
-- All columns are texts.
set input_format_csv_use_best_effort_in_schema_inference = 0;

create database journal engine = Atomic;

create table journal.widgets engine = Memory as
select * from file({seeds:String} || '/widgets.csv', CSVWithNames);

create table journal.touches engine = Memory as
select
    row_number() over () - 1 as record,
    *
from (
    select
        assumeNotNull(delivered.touch_id) as touch_id,
        assumeNotNull(parseDateTimeBestEffortOrNull(delivered.touched_at)) as touched_at,
        ifNull(widgets.brand_id, 'default') as brand_id,
        delivered.visitor_id,
        delivered.yandex_client_id,
        delivered.google_client_id,
        delivered.crm_client_id,
        delivered.landing_page,
        delivered.referrer,
        delivered.utm_source,
        delivered.utm_medium
    from file({landing:String} || '/touches/*/*.csv', CSVWithNames) as delivered
    left join journal.widgets as widgets on delivered.widget_id = widgets.widget_id
    where
        delivered.touch_id <> ''
        and delivered.widget_id <> ''
        and parseDateTimeBestEffortOrNull(delivered.touched_at) >= toDateTime('2000-01-01 00:00:00')
        and parseDateTimeBestEffortOrNull(delivered.touched_at)
            < toDateTime(extract(delivered._path, '([0-9-]+)/[^/]*$') || ' 00:00:00') + interval 2 day
    order by delivered._path desc
    limit 1 by delivered.touch_id
);

create table journal.contacts engine = Memory as
select
    (select count() from journal.touches) + row_number() over () - 1 as record,
    *
from (
    select
        assumeNotNull(delivered.contact_id) as contact_id,
        assumeNotNull(parseDateTimeBestEffortOrNull(delivered.contacted_at)) as contacted_at,
        ifNull(widgets.brand_id, 'default') as brand_id,
        delivered.visitor_id,
        delivered.yandex_client_id,
        delivered.google_client_id,
        delivered.crm_client_id,
        delivered.phone,
        if(match(ifNull(delivered.email, ''), '^[^@]+@[^@]+$'), trim(lower(delivered.email)), null) as email
    from file({landing:String} || '/contacts/*/*.csv', CSVWithNames) as delivered
    left join journal.widgets as widgets on delivered.widget_id = widgets.widget_id
    where
        delivered.contact_id <> ''
        and delivered.widget_id <> ''
        and parseDateTimeBestEffortOrNull(delivered.contacted_at) >= toDateTime('2000-01-01 00:00:00')
        and parseDateTimeBestEffortOrNull(delivered.contacted_at)
            < toDateTime(extract(delivered._path, '([0-9-]+)/[^/]*$') || ' 00:00:00') + interval 2 day
        and lower(delivered.contact_type) in ('call', 'form', 'callback', 'email', 'chat')
    order by delivered._path desc
    limit 1 by delivered.contact_id
)
