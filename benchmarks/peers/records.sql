-- Reads the deliveries, keeps the newest version of each record (R3, R25), and lists the identifiers that each record carries.

create macro seed(name) as table
select * from read_csv(getvariable('seeds') || '/' || name || '.csv', header = true, all_varchar = true);

create macro delivered(table_name) as table
select
    *,
    regexp_extract(filename, '([0-9-]+)/[^/]*$', 1) as load_day
from read_csv(
    getvariable('landing') || '/' || table_name || '/*/*.csv', header = true, all_varchar = true, filename = true
);

-- Times before the web and more than a day after the delivery are faults.
create macro can_be_true(instant, load_day) as
    instant >= timestamptz '2000-01-01 00:00:00+03:00' and instant < (load_day || ' 00:00:00+03:00')::timestamptz + interval 2 days;

create table widgets as
select * from seed('widgets');

create table touches as
with

good_touches as (

    select
        *,
        try_cast(touched_at as timestamptz) as instant
    from delivered('touches')
    where touch_id is not null and widget_id is not null and can_be_true(instant, load_day)

),

newest_touches as (

    select * from good_touches
    qualify row_number() over (partition by touch_id order by load_day desc, filename desc) = 1

)

select
    row_number() over () - 1 as record,
    coalesce(widgets.brand_id, 'default') as brand_id,
    newest_touches.touch_id,
    newest_touches.instant as touched_at,
    newest_touches.visitor_id,
    newest_touches.yandex_client_id,
    newest_touches.google_client_id,
    newest_touches.crm_client_id,
    newest_touches.landing_page,
    newest_touches.referrer,
    newest_touches.utm_source,
    newest_touches.utm_medium
from newest_touches
left join widgets on newest_touches.widget_id = widgets.widget_id;

create table contacts as
with

good_contacts as (

    select
        *,
        try_cast(contacted_at as timestamptz) as instant
    from delivered('contacts')
    where
        contact_id is not null
        and widget_id is not null
        and can_be_true(instant, load_day)
        and lower(contact_type) in ('call', 'form', 'callback', 'email', 'chat')

),

newest_contacts as (

    select * from good_contacts
    qualify row_number() over (partition by contact_id order by load_day desc, filename desc) = 1

),

numbers as (

    select
        phone as spelling,
        phone_number(phone) as number
    from (select distinct phone from newest_contacts where phone is not null)

)

select
    (select count(*) from touches) + row_number() over () - 1 as record,
    coalesce(widgets.brand_id, 'default') as brand_id,
    newest_contacts.contact_id,
    newest_contacts.instant as contacted_at,
    newest_contacts.visitor_id,
    newest_contacts.yandex_client_id,
    newest_contacts.google_client_id,
    newest_contacts.crm_client_id,
    numbers.number as phone,
    if(newest_contacts.email similar to '[^@]+@[^@]+', trim(lower(newest_contacts.email)), null) as email
from newest_contacts
left join widgets on newest_contacts.widget_id = widgets.widget_id
left join numbers on newest_contacts.phone = numbers.spelling;

-- One row per record and identifier that ties: neither a placeholder nor ignored. Identifiers are numbered from 0.
create table identifiers as
with

all_identifiers as (

    select
        record,
        brand_id,
        unnest(['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id']) as kind,
        unnest([visitor_id, yandex_client_id, google_client_id, crm_client_id]) as identifier
    from touches
    union all
    select
        record,
        brand_id,
        unnest(['visitor_id', 'yandex_client_id', 'google_client_id', 'crm_client_id', 'phone', 'email']) as kind,
        unnest([visitor_id, yandex_client_id, google_client_id, crm_client_id, phone, email]) as identifier
    from contacts

),

ignored_identifiers as (

    select * from seed('ignored_identifiers')

),

tying_identifiers as (

    select * from all_identifiers
    where
        identifier is not null
        and lower(identifier) not in (select placeholder from seed('placeholders'))
        and (kind, identifier) not in (
            select
                identifier_kind,
                identifier
            from ignored_identifiers
            where identifier_kind is not null
        )
        and identifier not in (select identifier from ignored_identifiers where identifier_kind is null)

)

select
    record,
    dense_rank() over (order by brand_id, kind, identifier) - 1 as identifier
from tying_identifiers;
