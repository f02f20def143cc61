-- Inputs of counting: typed touches and contacts of known clients, in the columns that the models read. Clients from the number
-- `clients` on are oversized: each has `oversized_touches` touches and `oversized_contacts` contacts. Hashes of numbers draw
-- what is random.

create schema intermediate;

create macro dice(number, purpose, sides) as (hash(number, purpose) % sides)::bigint;

create macro instant(number, purpose) as
    timestamptz '2025-01-01 00:00:00Z' + to_seconds(dice(number, purpose, 180 * 86400));

create table intermediate.int_touches as
with

ordinary_touches as (

    select
        range as number,
        dice(range, 'client', getvariable('clients')) as client
    from range(getvariable('touches')::bigint)

),

oversized_touches as (

    select
        getvariable('touches') + range as number,
        getvariable('clients') + range // getvariable('oversized_touches') as client
    from range(getvariable('oversized')::bigint * getvariable('oversized_touches')::bigint)

),

touches as (

    select * from ordinary_touches
    union all
    select * from oversized_touches

)

select
    't-20250101-' || lpad(number::varchar, 9, '0') as touch_id,
    client::uhugeint * 79228162514264337593543950336::uhugeint + hash(client)::uhugeint as cluster_key,
    instant(number, 'touch') as touched_at,
    ['yandex / cpc', 'google / cpc', 'vk / social', 'avito / referral', 'telegram / social', '2ГИС', 'newsletter / email',
        'yandex / organic', 'google / organic', '(direct) / (none)'][1 + dice(number, 'channel', 10)] as channel,
    true as is_counted
from touches
-- As they come: by the days of their deliveries.
order by touched_at, touch_id;

create table intermediate.int_contact_clients as
with

-- Every fifth client makes contact twice.
ordinary_contacts as (

    select
        range as number,
        range % getvariable('clients') as client
    from range(getvariable('clients')::bigint * 6 // 5)

),

oversized_contacts as (

    select
        getvariable('clients')::bigint * 6 // 5 + range as number,
        getvariable('clients') + range // getvariable('oversized_contacts') as client
    from range(getvariable('oversized')::bigint * getvariable('oversized_contacts')::bigint)

),

contacts as (

    select
        'c-20250101-' || lpad(number::varchar, 9, '0') as contact_id,
        instant(number, 'contact') as contacted_at,
        client::uhugeint * 79228162514264337593543950336::uhugeint + hash(client)::uhugeint as cluster_key
    from (from ordinary_contacts union all from oversized_contacts)

)

select
    contact_id,
    contacted_at,
    cluster_key,
    'client-' || first_value(contact_id) over client_contacts as client_id,
    row_number() over client_contacts as contact_number,
    lag(contacted_at) over client_contacts as previous_contact_at
from contacts
window client_contacts as (partition by cluster_key order by contacted_at, contact_id);

-- No event has two sources here.
create table intermediate.int_same_events (kind varchar, id varchar, cluster_key uhugeint);
