-- Deliveries of any size for benchmarks: every row is worked out from the seed, its day and its number alone.
-- So a day's delivery is the same however many days are written, nothing is planned ahead, and no memory is needed.
--
-- deliveries.py defines the macros seed(), touch_count() and contact_count() and the table widget, runs this file
-- once, and copies out touches_of(day), contacts_of(day) and costs_of(day). Days are numbered from 1 January 2015,
-- persons by the day that made them and a number on that day. Times are seconds of Moscow's clock.


-- Chance ------------------------------------------------------------------------------------------

-- random() would depend on threads and on the order of rows; a hash of the row's number doesn't.
create macro key_of(kind, number) as hash(xor(hash(kind || ' ' || seed()), hash(number::bigint)));

create macro draw(key, purpose) as hash(xor(key, hash(purpose)));

create macro dice(key, purpose, sides) as (draw(key, purpose) % sides::ubigint)::bigint;

-- From 0 to just below 1.
create macro chance(key, purpose) as (draw(key, purpose) >> 11)::double / 9007199254740992;

-- Mostly small, now and then large: a whole number from 0 to sides - 1.
create macro small_dice(key, purpose, sides) as floor(sides * chance(key, purpose) * chance(key, purpose || ' again'))::bigint;

create macro date_of(day) as date '2015-01-01' + day::integer;

-- More at midday than at the day's ends.
create macro busy_second(key, purpose, first_hour, last_hour) as
    (3600 * (first_hour + (last_hour - first_hour) * (chance(key, purpose) + chance(key, purpose || ' again')) / 2))::bigint;

create macro written_time(day, second) as
    (date_of(day)::timestamp + to_seconds(second))::varchar;


-- Who ---------------------------------------------------------------------------------------------

-- Passers-by never make contact; a client is numbered by the day of the first contact.
create macro passers_a_day() as greatest(1, touch_count() // 2);
create macro clients_a_day() as greatest(1, contact_count() * 7 // 10);

create macro person_number(day, number) as day * 10000000 + number;

create macro person_key(is_client, number) as if(is_client, key_of('client', number), key_of('passer-by', number));

create macro widget_slot(key) as
    case when dice(key, 'widget', 100) < 50 then 1 when dice(key, 'widget', 100) < 80 then 2 else 3 end;

-- One cookie for each of a person's devices.
create macro cookie_key(key, purpose, person) as
    draw(person, floor((1 + dice(person, 'devices', 10) // 7) * pow(chance(key, purpose), 2))::bigint);

create macro visitor_id_of(cookie) as lower(hex(cookie));

create macro yandex_id_of(cookie) as
    if(dice(cookie, 'has metrica', 10) < 7, (1600000000000000000 + dice(cookie, 'metrica', 160000000000000000))::varchar, null);

create macro google_id_of(cookie) as
    if(
        dice(cookie, 'has analytics', 10) < 5,
        (100000000 + dice(cookie, 'analytics a', 1900000000))::varchar || '.'
        || (1600000000 + dice(cookie, 'analytics b', 160000000))::varchar,
        null
    );

-- A walk over all numbers of 30 prefixes without a repetition: the factor has no divisor in common with their count.
create macro phone_walk(client_number) as
    ((client_number // 10000000 * clients_a_day() + client_number % 10000000) * 179424691) % 300000000;

create macro phone_of(client_number) as
    [
        '903', '905', '906', '909', '910', '911', '915', '916', '917', '919', '920', '921', '922', '925', '926',
        '927', '929', '937', '950', '951', '952', '960', '961', '962', '963', '964', '965', '967', '981', '985'
    ][1 + phone_walk(client_number) // 10000000]
    || lpad((phone_walk(client_number) % 10000000)::varchar, 7, '0');

create macro spelled_phone(digits, spelling) as
    case spelling
        when 0 then '8 (' || digits[1:3] || ') ' || digits[4:6] || '-' || digits[7:8] || '-' || digits[9:10]
        when 1 then '+7 ' || digits[1:3] || ' ' || digits[4:6] || ' ' || digits[7:8] || ' ' || digits[9:10]
        when 2 then '8' || digits
        when 3 then digits
        else '+7' || digits
    end;


-- Where from --------------------------------------------------------------------------------------

create table offer as
select *
from (
    values
        ('окна москва', 'пластиковые окна цена', '/plastikovye-okna/'),
        ('okna_rehau_osen', 'окна rehau купить', '/okna-rehau/'),
        ('ремонт окон', 'замена стеклопакета', '/remont/'),
        ('brand', 'официальный сайт', '/'),
        ('остекление балконов', 'остекление балкона под ключ', '/osteklenie/'),
        ('лоджии тёплые', 'утепление лоджии', '/lodzhii/'),
        ('retargeting', null, '/akcii/'),
        ('входные двери', 'входная дверь в квартиру', '/vhodnye/')
) as offer (campaign, term, path);

create table arrival as
select *
from (
    values
        (30, 'yandex', 'cpc', 'page', 'yclid', 'https://yandex.ru/'),
        (10, 'yandex', 'cpc', 'columns', null, null),
        (5, null, null, null, 'yclid', 'https://yandex.ru/'),
        (8, 'google', 'cpc', 'page', 'gclid', 'https://www.google.com/'),
        (6, 'VK', 'cpc', 'columns', null, 'https://vk.com/'),
        (4, null, null, null, null, 'https://m.vk.com/away.php'),
        (6, 'avito', 'referral', 'columns', null, 'https://www.avito.ru/'),
        (4, 'telegram', 'social', 'page', null, 'https://t.me/'),
        (3, '2gis', 'maps', 'page', null, 'https://2gis.ru/'),
        (3, 'newsletter', 'email', 'page', null, null),
        (9, null, null, null, null, 'https://yandex.ru/search/?text='),
        (4, null, null, null, null, 'https://www.google.com/'),
        (2, null, null, null, null, 'https://otzyvy-okna.example/topic/1784'),
        (6, null, null, null, null, null)
) as arrival (weight, source, medium, tagged, click_parameter, referrer);

-- One row per widget, offer and slot; an arrival has as many of a hundred slots as its weight.
create table advert as
with slot as (
    select *, row_number() over (order by weight desc, source, tagged, referrer, range) - 1 as arrival_slot
    from arrival
    cross join lateral range(weight)
),

numbered_offer as (
    select *, row_number() over (order by campaign) - 1 as offer_slot
    from offer
),

tagged as (
    select
        *,
        'https://' || site_host || path as page,
        concat_ws(
            '&',
            'utm_source=' || source,
            'utm_medium=' || medium,
            'utm_campaign=' || replace(url_encode(campaign), '%20', '+'),
            'utm_term=' || replace(url_encode(term), '%20', '+'),
            'utm_content=banner_' || length(path)
        ) as tags
    from widget, slot, numbered_offer
)

select
    widget_slot,
    widget_id,
    arrival_slot,
    offer_slot,
    page,
    page || if(tagged = 'page', '?' || tags, '') as landing_page,
    if(tagged = 'page', '&', '?') || click_parameter || '=' as click_tag,
    referrer || if(referrer like '%=', coalesce(url_encode(term), ''), '') as referrer,
    if(tagged = 'columns', source, null) as utm_source,
    if(tagged = 'columns', medium, null) as utm_medium,
    if(tagged = 'columns', campaign, null) as utm_campaign,
    if(tagged = 'columns', term, null) as utm_term,
    if(tagged = 'columns', 'text_' || offer_slot, null) as utm_content,
    tagged is not null or click_parameter is not null as is_click
from tagged
order by all;

create macro city_of(person) as
    [
        'Москва', 'Москва', 'Москва', 'Санкт-Петербург', 'Санкт-Петербург', 'Казань', 'Тверь', 'Химки', 'Тула',
        'Рязань', 'Екатеринбург', null
    ][1 + dice(person, 'city', 12)];


-- Deliveries --------------------------------------------------------------------------------------

-- The rows of a day's delivery. The last thousandth (of contacts, two hundredth) corrects rows of earlier deliveries:
-- same id, same content but for a detail. One row in 70 is late: it is of a day up to six days before.
create macro delivery_of(kind, day, row_count, correction_count) as table
    with slot as (
        select range as slot, range >= row_count - correction_count as is_correction, key_of(kind || ' slot', day * 10000000 + range) as slot_key
        from range(row_count)
    ),

    delivered as (
        select
            is_correction,
            if(is_correction, day - 1 - dice(slot_key, 'days since', 10), day) as delivery_day,
            if(is_correction, dice(slot_key, 'of what', row_count - correction_count), slot) as number
        from slot
    ),

    keyed as (
        select *, key_of(kind, delivery_day * 10000000 + number) as row_key
        from delivered
    )

    select *, delivery_day - if(dice(row_key, 'late', 70) = 0, 1 + dice(row_key, 'days late', 6), 0) as event_day
    from keyed;

-- Nine touches in ten are passers-by's. Most come once or twice; a few, for months: of those who return, every one
-- lives for a number of days that falls steeply with the person's number, and touches fall evenly on their lives.
-- A client's touches come before the first contact, mostly shortly before, or long after.
create macro touches_of(day) as table
    with delivered as (
        select * from delivery_of('touch', day, touch_count(), touch_count() // 1000)
    ),

    drawn as (
        select
            *,
            dice(row_key, 'client', 10) = 0 as is_client,
            dice(row_key, 'returns', 10) < 4 as returns,
            pow(chance(row_key, 'loyalty'), 0.2) as loyalty,
            if(
                dice(row_key, 'before', 10) < 7,
                floor(40 * pow(chance(row_key, 'days'), 3)),
                -1 - floor(300 * pow(chance(row_key, 'days'), 2))
            )::bigint as days_to_contact
        from delivered
    ),

    personal as (
        select
            *,
            case
                when is_client
                    then person_number(
                        event_day + days_to_contact, floor(clients_a_day() * pow(chance(row_key, 'who'), 1.5))::bigint
                    )
                when returns
                    then person_number(
                        event_day - 1 - floor((1 + 179 * pow(loyalty, 4)) * chance(row_key, 'days'))::bigint,
                        floor(passers_a_day() * 0.3 * (1 - loyalty))::bigint
                    )
                else person_number(event_day, dice(row_key, 'who', passers_a_day()))
            end as person_number
        from drawn
    ),

    visit as (
        select
            *,
            person_key(is_client, person_number) as person_key
        from personal
    ),

    written as (
        select
            *,
            cookie_key(row_key, 'device', person_key) as cookie,
            if(
                is_client and days_to_contact = 0,
                busy_second(person_key, 'first contact', 9, 21) - 60 - small_dice(row_key, 'shortly before', 10800),
                busy_second(row_key, 'second', 6, 24)
            ) as second,
            1 + dice(row_key, 'pages', 4) as page_count
        from visit
    )

    select
        't-' || strftime(date_of(written.delivery_day), '%Y%m%d') || '-' || lpad(written.number::varchar, 7, '0') as touch_id,
        advert.widget_id,
        written_time(written.event_day, written.second) || '+03:00' as touched_at,
        if(advert.is_click, 'click', 'visit') as action_type,
        visitor_id_of(written.cookie) as visitor_id,
        yandex_id_of(written.cookie) as yandex_client_id,
        google_id_of(written.cookie) as google_client_id,
        advert.landing_page || coalesce(advert.click_tag || (10000000000 + draw(written.row_key, 'click id') % 9000000000000000)::varchar, '') as landing_page,
        advert.referrer,
        advert.utm_source,
        advert.utm_medium,
        advert.utm_campaign,
        advert.utm_term,
        advert.utm_content,
        city_of(written.person_key) as location,
        ['mobile', 'mobile', 'mobile', 'desktop', 'desktop', 'tablet'][1 + dice(written.cookie, 'device type', 6)] as device_type,
        '["' || array_to_string(list_transform(range(written.page_count), lambda step:
            ['/', '/ceny/', '/kalkulyator/', '/kontakty/', '/otzyvy/', '/akcii/'][1 + (dice(written.row_key, 'walk', 6) + step * 5) % 6]
        ), '","') || '"]' as visited_pages,
        3 + small_dice(written.row_key, 'on site', 400 * written.page_count) + if(written.is_correction, 1, 0) as time_on_site,
        5 + small_dice(written.row_key, 'visit', 500 * written.page_count) as visit_duration,
        ['#zakaz', '#ceny', '#kalkulyator'][1 + dice(written.row_key, 'page hash', 12)] as page_hash
    from written
    inner join advert
        on widget_slot(if(dice(written.row_key, 'other widget', 20) = 0, written.row_key, written.person_key)) = advert.widget_slot
        and dice(written.row_key, 'arrival', 100) = advert.arrival_slot
        and dice(written.row_key, 'offer', 8) = advert.offer_slot
    order by written.event_day, written.second, touch_id;

-- Seven contacts in ten are first ones, one for every client of the day; the others are repeat callers, some of them
-- after more than a year. One client in four is known by phone only.
create macro contacts_of(day) as table
    with delivered as (
        select * from delivery_of('contact', day, contact_count(), contact_count() // 200)
    ),

    drawn as (
        select
            *,
            number < clients_a_day() as is_first,
            if(
                number < clients_a_day(),
                -- On time, even if late to be delivered: the day is the client's own.
                person_number(delivery_day, number),
                person_number(
                    event_day - 1 - floor(500 * pow(chance(row_key, 'days'), 2))::bigint,
                    floor(clients_a_day() * pow(chance(row_key, 'who'), 2))::bigint
                )
            ) as client_number
        from delivered
    ),

    visit as (
        select
            *,
            if(is_first, delivery_day, event_day) as contact_day,
            key_of('client', client_number) as person_key,
            case
                when dice(row_key, 'type', 100) < 60 then 'call'
                when dice(row_key, 'type', 100) < 75 then 'form'
                when dice(row_key, 'type', 100) < 85 then 'callback'
                when dice(row_key, 'type', 100) < 93 then 'chat'
                else 'email'
            end as contact_type
        from drawn
    ),

    written as (
        select
            *,
            cookie_key(row_key, 'device', person_key) as cookie,
            dice(person_key, 'phone only', 4) > 0 and (contact_type in ('form', 'chat') or dice(row_key, 'knows cookie', 10) < 6) as knows_cookie,
            contact_type in ('call', 'callback') or dice(person_key, 'phone only', 4) = 0 or dice(row_key, 'knows phone', 10) < 6 as knows_phone,
            contact_type = 'email' or (contact_type = 'form' and dice(row_key, 'knows email', 10) < 5) as knows_email,
            if(is_first, busy_second(person_key, 'first contact', 9, 21), busy_second(row_key, 'second', 9, 21)) as second
        from visit
    )

    select
        'c-' || strftime(date_of(written.delivery_day), '%Y%m%d') || '-' || lpad(written.number::varchar, 7, '0') as contact_id,
        widget.widget_id,
        -- Without an offset, as telephone exchanges write.
        written_time(written.contact_day, written.second) as contacted_at,
        written.contact_type,
        if(written.knows_cookie and dice(written.row_key, 'visitor', 10) < 8, visitor_id_of(written.cookie), null) as visitor_id,
        if(written.knows_cookie, yandex_id_of(written.cookie), null) as yandex_client_id,
        if(written.knows_cookie, google_id_of(written.cookie), null) as google_client_id,
        if(dice(written.row_key, 'crm', 10) < if(written.is_first, 1, 4), 'crm-' || written.client_number, null) as crm_client_id,
        if(written.knows_phone, spelled_phone(phone_of(written.client_number), dice(written.row_key, 'spelling', 8)), null) as phone,
        if(written.knows_email, 'client' || written.client_number || if(dice(written.row_key, 'loud', 20) = 0, '@MAIL.ru', '@mail.ru'), null) as email,
        if(dice(written.row_key, 'name', 10) < 4, null, ['Анна', 'Иван', 'Ольга', 'Сергей', 'Мария', 'Дмитрий'][1 + dice(written.person_key, 'first name', 6)]) as client_name,
        city_of(written.person_key) as location,
        if(written.contact_type in ('call', 'callback'), ['Продажи', 'Продажи', 'Замеры', 'Сервис'][1 + dice(written.row_key, 'group', 4)], null) as final_group,
        if(written.contact_type = 'call', written.is_first::varchar, null) as is_unique,
        if(written.knows_cookie, 'https://' || widget.site_host || '/kontakty/', null) as call_page,
        if(written.contact_type in ('call', 'callback'), small_dice(written.row_key, 'duration', 900), null) as duration,
        if(
            written.is_correction or dice(written.row_key, 'sold', 5) = 0,
            (18000 + 50 * small_dice(written.row_key, 'value', 7000))::decimal(18, 2),
            null
        ) as value,
        ['Кравцова', 'Белов', 'Тимофеева', 'Зуев'][1 + dice(written.row_key, 'operator', 4)] as operator
    from written
    inner join widget on widget_slot(written.person_key) = widget.widget_slot
    order by written.contact_day, written.second, contact_id;

-- What every offer cost in every channel that is paid by the click: few rows, however many touches there are. Of a hundred,
-- one corrects the day before.
create macro costs_of(day) as table
    with paid as (
        select source, medium, campaign, key_of('cost ' || concat_ws(' ', source, medium, campaign), day) as cost_key
        from (select distinct source, medium from arrival where medium in ('cpc', 'referral', 'maps'))
        cross join offer
    )

    select
        date_of(day - if(dice(cost_key, 'correction', 100) = 0, 1, 0)) as cost_date,
        source,
        medium,
        campaign,
        ((100 + small_dice(cost_key, 'amount', 500000)) / 100)::decimal(18, 2) as amount,
        'RUB' as currency,
        100 + small_dice(cost_key, 'impressions', 20000) as impressions,
        small_dice(cost_key, 'clicks', 100) as clicks
    from paid
    order by source, medium, campaign;


-- Crowds ------------------------------------------------------------------------------------------

-- Touches and contacts of some people on top of a day, spread over the ten months before it: every touch and every
-- contact is of one of `cookies` cookies. What `shared` names, a phone or a client id, is the same in all contacts.
create macro crowd_touches(day, name, touches, cookies) as table
    with drawn as (
        select range as number, key_of(name || ' touch', day * 10000000 + range) as row_key
        from range(touches)
    )

    select
        name || '-t-' || day || '-' || drawn.number as touch_id,
        advert.widget_id,
        written_time(day - 1 - dice(drawn.row_key, 'days', 300), busy_second(drawn.row_key, 'second', 6, 24)) || '+03:00' as touched_at,
        if(advert.is_click, 'click', 'visit') as action_type,
        name || '-' || drawn.number % cookies as visitor_id,
        advert.utm_source,
        advert.utm_medium,
        advert.utm_campaign,
        advert.utm_term,
        advert.utm_content,
        advert.landing_page,
        advert.referrer
    from drawn
    inner join advert
        on advert.widget_slot = 1
        and dice(drawn.row_key, 'arrival', 100) = advert.arrival_slot
        and dice(drawn.row_key, 'offer', 8) = advert.offer_slot
    order by drawn.number;

create macro crowd_contacts(day, name, contacts, cookies, shared) as table
    with drawn as (
        select range as number, key_of(name || ' contact', day * 10000000 + range) as row_key
        from range(contacts)
    )

    select
        name || '-c-' || day || '-' || drawn.number as contact_id,
        widget.widget_id,
        written_time(day - dice(drawn.row_key, 'days', 300), busy_second(drawn.row_key, 'second', 9, 21)) as contacted_at,
        ['call', 'form'][1 + dice(drawn.row_key, 'type', 2)] as contact_type,
        name || '-' || drawn.number % cookies as visitor_id,
        if(shared = 'phone', '+7 (495) 987-65-43', null) as phone,
        if(shared = 'yandex_client_id', name || '-shared', null) as yandex_client_id
    from drawn
    inner join widget on widget.widget_slot = 1
    order by drawn.number;
