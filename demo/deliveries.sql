-- The demo company: a Russian window maker with four sites, its visitors and its clients.
--
-- Read by demo.py, which sets the variables seed, touch_count, day_count and first_day, runs this
-- file once, and then asks for each day's delivery: it sets day_index and copies out the views
-- touch_file, contact_file and cost_file.
--
-- Nine touches in ten belong to people who never make contact. Those are not stored anywhere: each
-- is computed from its number on the day that it is written, which is what keeps memory bounded.
-- Only what clients do is planned ahead, in narrow tables.
--
-- Words: day_index counts the days of the range from 0. A number names a thing, and its key is a
-- hash of that number and the seed, from which all that is random about the thing is drawn.
-- Instants are planned in seconds of Moscow's clock since 1970.


-- Chance ------------------------------------------------------------------------------------------

-- random() would depend on threads and on the order of rows; a hash of the row's number doesn't.
create macro key_of(kind, number) as
    hash(xor(hash(kind || ' ' || getvariable('seed')), hash(number::bigint)));

-- The purpose is hashed before it is mixed in: DuckDB's hash of two values is a plain xor of
-- theirs in the end, so that draws for two purposes would follow from one another.
create macro draw(key, purpose) as hash(xor(key, hash(purpose)));

create macro dice(key, purpose, sides) as (draw(key, purpose) % sides::ubigint)::bigint;

-- Mostly small, now and then large: a whole number from 0 to sides - 1.
create macro small_dice(key, purpose, sides) as
    (sides * dice(key, purpose, 1000) * dice(key, purpose, 1000)) // 1000000;


-- What the company is -----------------------------------------------------------------------------

create table site as
select *
from (
    values
        ('okna-msk', 'okna-stolitsa.example'),
        ('okna-spb', 'spb.okna-stolitsa.example'),
        ('balkony', 'balkony-prosto.example'),
        ('dveri', 'dveri-master.example')
) as site (widget_id, site_host);

create macro home_widget(key) as
    case
        when dice(key, 'widget', 100) < 45 then 'okna-msk'
        when dice(key, 'widget', 100) < 67 then 'okna-spb'
        when dice(key, 'widget', 100) < 82 then 'balkony'
        else 'dveri'
    end;

create table offer as
select *
from (
    values
        ('okna-msk', 'окна москва', 'пластиковые окна цена', '/plastikovye-okna/'),
        ('okna-msk', 'окна rehau осень', 'окна rehau купить', '/okna-rehau/'),
        ('okna-msk', 'ремонт окон', 'замена стеклопакета', '/remont/'),
        ('okna-msk', 'brand_msk', 'окна столица', '/'),
        ('okna-spb', 'окна спб', 'окна пвх санкт-петербург', '/plastikovye-okna/'),
        ('okna-spb', 'окна в рассрочку', 'окна в рассрочку без взноса', '/rassrochka/'),
        ('okna-spb', 'Деревянные окна', 'деревянные окна со стеклопакетом', '/derevyannye-okna/'),
        ('okna-spb', 'brand_spb', 'окна столица спб', '/'),
        ('balkony', 'остекление балконов', 'остекление балкона под ключ', '/osteklenie/'),
        ('balkony', 'лоджии тёплые', 'утепление лоджии', '/lodzhii/'),
        ('balkony', 'Отделка балкона', 'отделка балкона цена', '/otdelka/'),
        ('balkony', 'retargeting_balkon', null, '/'),
        ('dveri', 'входные двери', 'входная дверь в квартиру', '/vhodnye/'),
        ('dveri', 'межкомнатные двери', 'межкомнатные двери недорого', '/mezhkomnatnye/'),
        ('dveri', 'двери скидка 30%', 'двери распродажа', '/akcii/'),
        ('dveri', 'brand_dveri', 'мастер дверей', '/')
) as offer (widget_id, campaign, term, landing_path);

-- How people arrive, and how well or badly somebody tagged it.
create table arrival as
select *
from (
    values
        (40, 'yandex', 'cpc', 'page', 'yclid', 'https://yandex.ru/'),
        (21, 'yandex', 'cpc', 'columns', null, null),
        (3, 'Yandex', 'CPC', 'page in capitals', 'yclid', 'https://yandex.ru/'),
        (2, 'yandex', 'cpc', 'page in cp1251', null, null),
        (9, null, null, 'nowhere', 'yclid', 'https://yandex.ru/'),
        (12, 'google', 'cpc', 'columns', 'gclid', 'https://www.google.com/'),
        (3, ' Google', 'Cpc ', 'columns', null, null),
        (5, null, null, 'nowhere', 'gclid', 'https://www.google.com/'),
        (12, 'vk', 'social', 'page', null, 'https://vk.com/'),
        (9, 'VK', 'cpc', 'columns', null, null),
        (4, null, null, 'nowhere', null, 'https://m.vk.com/away.php'),
        (13, 'avito', 'referral', 'columns', null, 'https://www.avito.ru/'),
        (10, 'telegram', 'social', 'page', null, 'https://t.me/'),
        (2, 'Telegram', 'Social', 'page and columns', null, null),
        (7, '2gis', 'maps', 'columns', null, 'https://2gis.ru/'),
        (2, '2gis', null, 'page', null, null),
        (10, 'newsletter', 'email', 'page', null, null),
        (24, null, null, 'nowhere', null, 'https://yandex.ru/search/?text='),
        (11, null, null, 'nowhere', null, 'https://www.google.com/'),
        (3, null, null, 'nowhere', null, 'https://go.mail.ru/search?q='),
        (4, null, null, 'nowhere', null, 'https://forum-remonta.example/topic/1784'),
        (4, null, null, 'nowhere', null, 'https://otzyvy-okna.example/'),
        (3, null, null, 'nowhere', null, 'https://securepay.tinkoff.ru/rest/return'),
        (2, null, null, 'nowhere', null, 'https://yoomoney.ru/checkout/payments'),
        (4, null, null, 'nowhere', null, 'https://SITE/kalkulyator/'),
        (2, 'vk', 'social', 'fragment', null, 'https://vk.com/'),
        (29, null, null, 'nowhere', null, null)
) as arrival (weight, source, medium, tagged, click_parameter, referrer);

-- One row per site and slot, as many slots for an arrival and offer as their weight: a visit draws
-- a slot and finds all that is written about where it came from.
create table advert as
with tagged_offer as (
    select
        site.widget_id,
        arrival.*,
        offer.campaign,
        offer.term,
        'https://' || site.site_host || offer.landing_path as page,
        concat_ws(
            '&',
            'utm_source=' || arrival.source,
            'utm_medium=' || arrival.medium,
            'utm_campaign='
            || case
                when arrival.tagged = 'page in cp1251' then '%EE%EA%ED%E0+%F1%EA%E8%E4%EA%E0'
                else replace(url_encode(offer.campaign), '%20', '+')
            end,
            'utm_term=' || replace(url_encode(offer.term), '%20', '+'),
            'utm_content=banner_' || length(offer.landing_path)
        ) as tags,
        -- Some search engines still pass on what was searched for.
        replace(arrival.referrer, 'SITE', site.site_host)
        || if(arrival.referrer like '%=', coalesce(url_encode(offer.term), ''), '')
            as offer_referrer,
    from site
    inner join offer on site.widget_id = offer.widget_id
    cross join arrival
),

written as (
    select
        *,
        case
            when tagged in ('page', 'page in cp1251', 'page and columns') then '?' || tags
            when tagged = 'page in capitals' then '?' || replace(tags, 'utm_', 'UTM_')
            when tagged = 'fragment' then '#' || tags
            else ''
        end as page_tags,
        tagged in ('columns', 'page and columns') as has_columns,
    from tagged_offer
)

select
    written.widget_id,
    row_number() over (
        partition by written.widget_id
        order by
            written.weight,
            written.source,
            written.medium,
            written.tagged,
            written.click_parameter,
            written.referrer,
            written.campaign,
            copies.range
    ) - 1 as advert_slot,
    written.page || written.page_tags as landing_page,
    if(written.page_tags = '', '?', '&') || written.click_parameter || '=' as click_tag,
    written.offer_referrer as referrer,
    if(written.has_columns, written.source, null) as utm_source,
    if(written.has_columns, written.medium, null) as utm_medium,
    if(written.has_columns, written.campaign, null) as utm_campaign,
    if(written.has_columns, written.term, null) as utm_term,
    if(written.has_columns, 'text_' || written.weight, null) as utm_content,
    written.tagged <> 'nowhere' as is_tagged,
from written
cross join lateral range(written.weight) as copies;

set variable advert_slots = (select max(advert_slot) + 1 from advert);

create table city as
with city_list as (
    select *
    from (
        values
            (
                'okna-msk',
                ['Москва', 'Москва', 'Москва', 'Химки', 'Балашиха', 'Мытищи', 'Подольск', null]
            ),
            (
                'okna-spb',
                [
                    'Санкт-Петербург', 'Санкт-Петербург', 'Санкт-Петербург', 'Гатчина', 'Мурино',
                    'Пушкин', 'Выборг', null
                ]
            ),
            (
                'balkony',
                [
                    'Москва', 'Москва', 'Санкт-Петербург', 'Тверь', 'Казань', 'Люберцы', 'Тула',
                    null
                ]
            ),
            (
                'dveri',
                [
                    'Москва', 'Москва', 'Нижний Новгород', 'Казань', 'Екатеринбург', 'Рязань',
                    'Ростов-на-Дону', null
                ]
            )
    ) as city_list (widget_id, names)
)

select
    widget_id,
    unnest(range(len(names))) as city_slot,
    unnest(names) as city,
from city_list;

create table page_walk as
with page_list as (
    select
        widget_id,
        ['/', '/ceny/', '/kalkulyator/', '/kontakty/', '/otzyvy/']
        || list(landing_path order by landing_path) as pages,
    from offer
    where landing_path <> '/'
    group by widget_id
),

walk as (
    select
        page_list.widget_id,
        walks.range as walk_slot,
        list_transform(
            range(1 + walks.range % 5),
            lambda step:
                page_list.pages[
                    1 + dice(key_of('walk', walks.range * 10 + step), 'page', len(page_list.pages))
                ]
        ) as pages,
    from page_list
    cross join range(32) as walks
)

select
    widget_id,
    walk_slot,
    pages[-1] as last_page,
    len(pages) as page_count,
    -- The tracker loses the list of pages now and then.
    if(walk_slot % 16 = 11, null, to_json(pages)::varchar) as visited_pages,
from walk;

create table visiting_hour as
with hour_weight as (
    select
        unnest(range(24)) as hour,
        unnest([1, 1, 0, 0, 0, 1, 2, 3, 5, 7, 8, 7, 7, 6, 6, 6, 6, 6, 6, 7, 7, 5, 2, 1]) as weight,
)

select
    hour_weight.hour,
    row_number() over (order by hour_weight.hour, copies.range) - 1 as hour_slot,
from hour_weight
cross join lateral range(hour_weight.weight) as copies;

set variable visiting_hours = (select count(*) from visiting_hour);


-- When --------------------------------------------------------------------------------------------

create table day as
select
    range as day_index,
    epoch(getvariable('first_day') + range::integer)::bigint as first_second,
    -- Monday to Sunday, and no two weeks alike.
    [108, 110, 106, 104, 98, 84, 90][isodow(getvariable('first_day') + range::integer)]
    + dice(key_of('day', range), 'visits', 20) as visit_weight,
from range(getvariable('day_count')::bigint);

-- The day at hand and its number of touches of people who never make contact: demo.py sets them.
set variable day_index = 0::bigint;
set variable passing_count = 0::bigint;

create macro last_index() as (getvariable('day_count') - 1)::bigint;

create macro end_second() as
    epoch(getvariable('first_day') + getvariable('day_count')::integer)::bigint;

-- People look at windows all week, and order them on working days: percent, from Monday on.
create macro is_day_for_contact(key, day_index) as
    dice(key, 'day for contact', 100)
    < [100, 98, 96, 94, 88, 55, 40][isodow(getvariable('first_day') + day_index::integer)];


-- Who makes contact -------------------------------------------------------------------------------

create table habit as
select *
from (
    values
        ('calls without a visit', 20, 0, 0, 1, 1, 0, 1, false),
        ('one touch, one call', 21, 1, 1, 1, 1, 0, 1, false),
        ('faithful to one channel', 14, 2, 4, 1, 1, 10, 1, false),
        ('researches for weeks', 28, 3, 9, 1, 2, 26, 3, true),
        ('comes back to us', 12, 2, 8, 2, 4, 28, 2, true),
        ('phone first, then desktop', 5, 2, 5, 1, 2, 14, 2, true)
) as habit (
    habit, weight, fewest_touches, most_touches, fewest_contacts, most_contacts, most_days,
    device_count, has_several_channels
);

create table habit_slot as
select
    habit.*,
    row_number() over (order by habit.habit, copies.range) - 1 as habit_slot,
from habit
cross join lateral range(habit.weight) as copies;

-- One visitor is a bot: a hundredth of all touches, though no more than a bot that somebody would
-- have noticed. It is person 0.
set variable bot_touches = least(getvariable('touch_count') // 100, 100000);
set variable client_touches = getvariable('touch_count') * 9 // 100;

-- The day of a step on the way from a client's first touch to the last.
create macro day_of_step(first_index, day_span, step, step_count) as
    first_index + day_span * step // greatest(step_count - 1, 1);

-- More people are drawn than are needed, and as many are taken as have the touches asked for.
create table person as
with drawn as (
    select
        range + 1 as person_number,
        key_of('person', range + 1) as person_key,
    from range(getvariable('touch_count') * 14 // 100 + 10)
),

of_habit as (
    select
        drawn.person_number,
        drawn.person_key,
        home_widget(drawn.person_key) as widget_id,
        habit_slot.has_several_channels,
        habit_slot.fewest_touches + small_dice(
            drawn.person_key,
            'touches',
            habit_slot.most_touches - habit_slot.fewest_touches + 1
        ) as touch_count,
        habit_slot.fewest_contacts + small_dice(
            drawn.person_key,
            'contacts',
            habit_slot.most_contacts - habit_slot.fewest_contacts + 1
        ) as contact_count,
        1 + dice(drawn.person_key, 'devices', habit_slot.device_count) as device_count,
        dice(
            drawn.person_key,
            'days',
            least(habit_slot.most_days + 1, getvariable('day_count'))
        ) as day_span,
    from drawn
    inner join habit_slot on dice(drawn.person_key, 'habit', 100) = habit_slot.habit_slot
),

-- Some were on their way before the first day, and some will be after the last: what they do
-- outside the range isn't delivered. Else the first days were too quiet and the last too busy.
dated as (
    select
        *,
        dice(person_key, 'first day', getvariable('day_count') + day_span) - day_span
            as first_index,
    from of_habit
),

counted as (
    select
        *,
        sum(
            len(
                list_filter(
                    range(touch_count),
                    lambda step:
                        day_of_step(first_index, day_span, step, touch_count)
                        between 0 and last_index()
                )
            )
        ) over (
            order by person_number
            rows between unbounded preceding and current row
        ) as touches_so_far,
    from dated
    where is_day_for_contact(person_key, first_index + day_span)
)

select * exclude (touches_so_far)
from counted
where touches_so_far <= getvariable('client_touches');

-- One row per touch of a client or of the bot.
create table client_touch as
with client_step as (
    select
        *,
        unnest(range(touch_count)) as touch_index,
    from person
),

client_visit as (
    select
        *,
        key_of('client touch', person_number * 100 + touch_index) as step_key,
        day_of_step(first_index, day_span, touch_index, touch_count) as day_index,
        draw(
            person_key,
            dice(key_of('device', person_number * 100 + touch_index), 'device', device_count)
        ) as visitor_key,
    from client_step
),

planned as (
    select
        client_visit.person_number,
        client_visit.touch_index,
        client_visit.day_index,
        day.first_second
        + visiting_hour.hour * 3600
        + dice(client_visit.step_key, 'second', 3600) as touched_second,
        client_visit.visitor_key,
        -- Some are logged in to their browser, which tells Yandex that their devices are one.
        if(
            dice(client_visit.person_key, 'logged in', 10) < 4,
            client_visit.person_key,
            client_visit.visitor_key
        ) as metrica_key,
        -- A few come from a newsletter's personal link, which carries their number in the CRM.
        if(
            client_visit.touch_count > 1 and dice(client_visit.step_key, 'crm', 12) = 0,
            client_visit.person_number,
            null
        ) as crm_number,
        if(
            client_visit.has_several_channels and dice(client_visit.step_key, 'elsewhere', 6) = 0,
            home_widget(client_visit.step_key),
            client_visit.widget_id
        ) as widget_id,
        dice(
            if(
                client_visit.has_several_channels,
                client_visit.step_key,
                client_visit.person_key
            ),
            'advert',
            getvariable('advert_slots')
        ) as advert_slot,
    from client_visit
    inner join day on client_visit.day_index = day.day_index
    inner join visiting_hour
        on dice(client_visit.step_key, 'hour', getvariable('visiting_hours'))
        = visiting_hour.hour_slot
),

bot_visit as (
    select
        0 as person_number,
        range as touch_index,
        -- Evenly spread, day and night: which is how one tells a bot.
        epoch(getvariable('first_day'))::bigint
        + range * getvariable('day_count') * 86400 // getvariable('bot_touches')
            as touched_second,
    from range(getvariable('bot_touches')::bigint)
),

of_all as (
    select *
    from planned

    union all by name

    select
        *,
        (touched_second - epoch(getvariable('first_day'))::bigint) // 86400 as day_index,
        key_of('person', 0) as visitor_key,
        key_of('person', 0) as metrica_key,
        'okna-msk' as widget_id,
        dice(key_of('bot touch', touch_index), 'advert', getvariable('advert_slots'))
            as advert_slot,
    from bot_visit
)

select
    *,
    row_number() over (
        partition by day_index order by touched_second, person_number, touch_index
    ) - 1 as number_of_day,
from of_all
order by day_index, number_of_day;

-- How many touches of people who never make contact each day has.
create table passing_count as
with cumulated as (
    select
        day_index,
        (
            getvariable('touch_count') - (select count(*) from client_touch)
        ) * sum(visit_weight) over (order by day_index)
        // (select sum(visit_weight) from day) as passing_so_far,
    from day
)

select
    day_index,
    (passing_so_far - coalesce(lag(passing_so_far) over (order by day_index), 0))::bigint
        as passing_count,
from cumulated;


-- What is delivered about touches -----------------------------------------------------------------

-- One row per touch of the day at hand, nothing written out yet. demo.py keeps it in a table for
-- as long as the day is at hand.
create view touch_plan as
with passing_number as (
    select
        getvariable('day_index') * 1000000000 + range as touch_number,
        key_of('touch', getvariable('day_index') * 1000000000 + range) as touch_key,
    from range(getvariable('passing_count')::bigint)
),

passing_visitor as (
    select
        *,
        -- Three visits in ten are somebody's who was here in the last week. A visitor is named by
        -- the number of a touch, their own first one or that of the visit to come back from.
        key_of(
            'visitor',
            case
                when dice(touch_key, 'returning', 10) < 3
                    then
                        (
                            getvariable('day_index')
                            - dice(touch_key, 'days ago', least(getvariable('day_index'), 7) + 1)
                        ) * 1000000000 + dice(touch_key, 'who', getvariable('passing_count'))
                else touch_number
            end
        ) as visitor_key,
    from passing_number
),

of_anyone as (
    select
        passing_visitor.touch_number,
        passing_visitor.touch_key,
        epoch(getvariable('first_day') + getvariable('day_index')::integer)::bigint
        + visiting_hour.hour * 3600
        + dice(passing_visitor.touch_key, 'second', 3600) as touched_second,
        passing_visitor.visitor_key,
        passing_visitor.visitor_key as metrica_key,
        null::bigint as crm_number,
        home_widget(passing_visitor.visitor_key) as widget_id,
        dice(passing_visitor.touch_key, 'advert', getvariable('advert_slots'))
            as advert_slot,
    from passing_visitor
    inner join visiting_hour
        on dice(passing_visitor.touch_key, 'hour', getvariable('visiting_hours'))
        = visiting_hour.hour_slot

    union all

    select
        day_index * 1000000000 + getvariable('passing_count') + number_of_day as touch_number,
        key_of(
            'touch', day_index * 1000000000 + getvariable('passing_count') + number_of_day
        ) as touch_key,
        touched_second,
        visitor_key,
        metrica_key,
        crm_number,
        widget_id,
        advert_slot,
    from client_touch
    where day_index = getvariable('day_index')
)

select
    *,
    -- Nothing is late beyond the last day: it would never be seen.
    getvariable('day_index') + least(
        case
            when dice(touch_key, 'late', 100) < 2 then 1
            when dice(touch_key, 'late', 100) < 3 then 2
            when dice(touch_key, 'late', 100) < 4 then 3
            else 0
        end,
        last_index() - getvariable('day_index')
    ) as delivery_index,
    dice(touch_key, 'again', 1000) as again,
from of_anyone;

create table touch_of_day as
select *
from touch_plan
where false;

-- One row per touch of the day at hand and time that it is delivered.
create view touch_delivery as
select
    * exclude (again),
    'first' as version,
from touch_of_day

union all

-- The same once more, in the same file or in the next one.
select
    * exclude (again) replace (delivery_index + again % 2 as delivery_index),
    'repeated' as version,
from touch_of_day
where again < 8

union all

-- Later the tracker knows better what brought the visitor, and now and then who it was.
select
    * exclude (again) replace (
        delivery_index + 1 + again % 3 as delivery_index,
        dice(touch_key, 'corrected advert', getvariable('advert_slots')) as advert_slot,
        if(again % 4 = 0, draw(visitor_key, 'somebody else'), visitor_key) as visitor_key,
        if(again % 4 = 0, draw(visitor_key, 'somebody else'), metrica_key) as metrica_key
    ),
    'corrected' as version,
from touch_of_day
where again between 8 and 13

union all

-- By number and not by chance, so that a small demo has some and no file has many.
select
    * exclude (again) replace (getvariable('day_index') as delivery_index),
    [
        'broken: no id', 'broken: no such time', 'broken: no widget', 'broken: no time',
        'broken: time before the web'
    ][1 + (touch_number // 400 + getvariable('day_index')) % 5] as version,
from touch_of_day
where touch_number % 1000000000 % 400 = 7;

-- Deliveries still to come, of days already written.
create table later_touch_delivery as
select *
from (
    select
        0::bigint as touch_number,
        0::ubigint as touch_key,
        0::bigint as touched_second,
        0::ubigint as visitor_key,
        0::ubigint as metrica_key,
        0::bigint as crm_number,
        '' as widget_id,
        0::bigint as advert_slot,
        0::bigint as delivery_index,
        '' as version
)
where false;

create macro written_time(key, second) as
    case
        -- Some of the counters write universal time.
        when dice(key, 'clock', 15) = 0
            then strftime(make_timestamp((second - 10800) * 1000000), '%Y-%m-%dT%H:%M:%SZ')
        else strftime(make_timestamp(second * 1000000), '%Y-%m-%dT%H:%M:%S+03:00')
    end;

create macro written_number(letter, number) as
    letter
    || '-'
    || strftime(getvariable('first_day') + (number // 1000000000)::integer, '%Y%m%d')
    || '-'
    || lpad((number % 1000000000)::varchar, 9, '0');

create macro visitor_id_of(visitor_key) as lower(hex(visitor_key));

create macro yandex_id_of(metrica_key) as
    if(
        dice(metrica_key, 'has metrica', 10) < 6,
        (
            1600000000000000000 + dice(metrica_key, 'metrica', 160000000000000000)
        )::varchar,
        null
    );

create macro google_id_of(visitor_key) as
    if(
        dice(visitor_key, 'has analytics', 10) < 4,
        (100000000 + dice(visitor_key, 'analytics a', 1900000000))::varchar
        || '.'
        || (1600000000 + dice(visitor_key, 'analytics b', 160000000))::varchar,
        null
    );

create macro crm_id_of(person_number) as (100000 + person_number)::varchar;

-- One row per line of the day's touches, in the delivery's columns.
create view touch_file as
with delivered as (
    select *
    from touch_delivery
    where delivery_index = getvariable('day_index')

    union all

    select *
    from later_touch_delivery
    where delivery_index = getvariable('day_index')
)

select
    if(
        delivered.version = 'broken: no id',
        null,
        written_number('t', delivered.touch_number)
        || if(delivered.version like 'broken%', 'x', '')
    ) as touch_id,
    if(delivered.version = 'broken: no widget', null, delivered.widget_id) as widget_id,
    case delivered.version
        when 'broken: no such time' then '2026-02-31T25:61:00+03:00'
        when 'broken: no time' then null
        when 'broken: time before the web' then '1970-01-01T03:00:00+03:00'
        else written_time(delivered.touch_key, delivered.touched_second)
    end as touched_at,
    case
        when dice(delivered.touch_key, 'action', 50) = 0 then null
        when not advert.is_tagged then 'visit'
        when dice(delivered.touch_key, 'action', 50) = 1 then 'Click'
        else 'click'
    end as action_type,
    case
        when dice(delivered.touch_key, 'cookie', 300) = 0 then 'undefined'
        when dice(delivered.touch_key, 'cookie', 300) = 1 then null
        else visitor_id_of(delivered.visitor_key)
    end as visitor_id,
    yandex_id_of(delivered.metrica_key) as yandex_client_id,
    google_id_of(delivered.visitor_key) as google_client_id,
    case
        when delivered.crm_number is not null then crm_id_of(delivered.crm_number)
        when dice(delivered.touch_key, 'no crm', 200) = 0 then '0'
    end as crm_client_id,
    case
        when advert.click_tag is null then advert.landing_page
        else
            advert.landing_page
            || advert.click_tag
            || (10000000000 + draw(delivered.touch_key, 'click id') % 9000000000000000)::varchar
    end as landing_page,
    advert.referrer,
    advert.utm_source,
    advert.utm_medium,
    advert.utm_campaign,
    advert.utm_term,
    advert.utm_content,
    city.city as location,
    ['mobile', 'mobile', 'mobile', 'desktop', 'desktop', 'tablet', null, 'mobile'][
        1 + dice(delivered.visitor_key, 'device type', 8)
    ] as device_type,
    page_walk.visited_pages,
    case
        when dice(delivered.touch_key, 'unreadable', 500) = 0 then 'NaN'
        else (3 + small_dice(delivered.touch_key, 'on site', 400 * page_walk.page_count))::varchar
    end as time_on_site,
    5 + small_dice(delivered.touch_key, 'visit', 500 * page_walk.page_count) as visit_duration,
    ['#zakaz', '#ceny', '#kalkulyator'][1 + dice(delivered.touch_key, 'page hash', 12)]
        as page_hash,
from delivered
inner join advert
    on delivered.widget_id = advert.widget_id
    and delivered.advert_slot = advert.advert_slot
inner join city
    on delivered.widget_id = city.widget_id
    and dice(delivered.visitor_key, 'city', 8) = city.city_slot
inner join page_walk
    on delivered.widget_id = page_walk.widget_id
    and dice(delivered.touch_key, 'walk', 32) = page_walk.walk_slot
order by delivered.touched_second, delivered.touch_number, delivered.version;


-- What is delivered about contacts ----------------------------------------------------------------

-- One row per contact of a client or of the bot.
create table contact as
with client_contact as (
    select
        *,
        unnest(range(contact_count)) as contact_index,
    from person
),

-- A contact follows one of the client's touches, the last contact the last touch. Where that touch
-- is outside the range, so is the contact.
drawn as (
    select
        *,
        key_of('client contact', person_number * 100 + contact_index) as step_key,
        if(
            touch_count = 0,
            null,
            greatest((contact_index + 1) * touch_count // contact_count - 1, 0)
        ) as touch_index,
    from client_contact
),

placed as (
    select
        drawn.person_number,
        drawn.person_key,
        drawn.contact_index,
        drawn.step_key,
        client_touch.visitor_key,
        client_touch.metrica_key,
        coalesce(client_touch.widget_id, drawn.widget_id) as widget_id,
        client_touch.touched_second,
        day.first_second,
        -- People who think it over call in working hours, one to three days on.
        day.first_second
        + if(drawn.touch_index is null, 0, 1 + dice(drawn.step_key, 'thinks', 3)) * 86400
        + 9 * 3600
        + dice(drawn.step_key, 'working second', 10 * 3600) as thought_over_second,
        client_touch.touched_second
        + 40
        + small_dice(drawn.step_key, 'hurry', 2400) as hurried_second,
        drawn.touch_index is null or dice(drawn.step_key, 'hurries', 10) < 3 as thinks_it_over,
    from drawn
    left join client_touch
        on drawn.person_number = client_touch.person_number
        and drawn.touch_index = client_touch.touch_index
    inner join day
        on if(drawn.touch_count = 0, drawn.first_index, client_touch.day_index) = day.day_index
),

of_all as (
    select
        person_number,
        contact_index,
        visitor_key,
        metrica_key,
        widget_id,
        case
            when thinks_it_over and thought_over_second < end_second() then thought_over_second
            else least(hurried_second, end_second() - 1)
        end as contacted_second,
    from placed

    union all

    -- Every hundredth thing that the bot does is to fill in a form.
    select
        person_number,
        touch_index // 100 as contact_index,
        visitor_key,
        metrica_key,
        widget_id,
        least(touched_second + 5, end_second() - 1) as contacted_second,
    from client_touch
    where
        person_number = 0
        and touch_index % 100 = 50
        and touch_index < 2500
),

dated as (
    select
        *,
        (contacted_second - epoch(getvariable('first_day'))::bigint) // 86400 as day_index,
    from of_all
),

numbered as (
    select
        *,
        row_number() over (
            partition by day_index order by contacted_second, person_number, contact_index
        ) - 1 as number_of_day,
    from dated
)

select
    *,
    day_index * 1000000000 + number_of_day as contact_number,
    key_of('contact', day_index * 1000000000 + number_of_day) as contact_key,
from numbered;

-- One row per contact and time that it is delivered.
create table contact_delivery as
with expected as (
    select
        *,
        day_index + least(
            case
                when dice(contact_key, 'late', 100) < 3 then 1
                when dice(contact_key, 'late', 100) < 4 then 2
                when dice(contact_key, 'late', 100) < 5 then 3
                else 0
            end,
            last_index() - day_index
        ) as delivery_index,
        dice(contact_key, 'again', 1000) as again,
    from contact
),

-- Of the corrected contacts some were noted down under a stranger's name and number at first.
judged as (
    select
        *,
        again between 20 and 34
        and delivery_index + 1 + again % 3 <= last_index() as is_corrected,
    from expected
),

delivered as (
    select
        * replace (
            if(
                is_corrected and again % 2 = 0 and person_number > 0,
                person_number + 1,
                person_number
            ) as person_number
        ),
        'first' as version,
    from judged

    union all

    select
        * replace (delivery_index + again % 2 as delivery_index),
        'repeated' as version,
    from judged
    where again < 15

    union all

    select
        * replace (delivery_index + 1 + again % 3 as delivery_index),
        'corrected' as version,
    from judged
    where is_corrected

    union all

    select
        * replace (day_index as delivery_index),
        [
            'broken: no such type', 'broken: no such time', 'broken: no id', 'broken: no widget'
        ][1 + (number_of_day // 60 + day_index) % 4] as version,
    from judged
    where number_of_day % 60 = 11
)

select *
from delivered
where delivery_index <= last_index()
order by delivery_index, contacted_second, contact_number, version;

create table first_name as
select
    unnest(range(len(names))) as name_slot,
    unnest(names, recursive := true),
from (
    select
        [
            {'first_name': 'Анна', 'login': 'anna', 'is_female': true},
            {'first_name': 'Елена', 'login': 'elena', 'is_female': true},
            {'first_name': 'Ольга', 'login': 'olga', 'is_female': true},
            {'first_name': 'Наталья', 'login': 'natalia', 'is_female': true},
            {'first_name': 'Ирина', 'login': 'irina', 'is_female': true},
            {'first_name': 'Светлана', 'login': 'sveta', 'is_female': true},
            {'first_name': 'Гульнара', 'login': 'gulnara', 'is_female': true},
            {'first_name': 'Алёна', 'login': 'alena', 'is_female': true},
            {'first_name': 'Александр', 'login': 'alex', 'is_female': false},
            {'first_name': 'Сергей', 'login': 'sergey', 'is_female': false},
            {'first_name': 'Дмитрий', 'login': 'dmitry', 'is_female': false},
            {'first_name': 'Андрей', 'login': 'andrey', 'is_female': false},
            {'first_name': 'Иван', 'login': 'ivan', 'is_female': false},
            {'first_name': 'Артём', 'login': 'artem', 'is_female': false},
            {'first_name': 'Рустам', 'login': 'rustam', 'is_female': false},
            {'first_name': 'Николай', 'login': 'nikolay', 'is_female': false}
        ] as names
);

create macro surname_of(key) as
    [
        'Иванов', 'Смирнов', 'Кузнецов', 'Попов', 'Васильев', 'Петров', 'Соколов', 'Михайлов',
        'Новиков', 'Фёдоров', 'Морозов', 'Волков', 'Алексеев', 'Лебедев', 'Егоров', 'Козлов',
        'Хабибуллин', 'Королёв'
    ][1 + dice(key, 'surname', 18)];

-- Ten digits after +7. A walk through all numbers of thirty mobile codes, so that no two people
-- share one by accident; the seed says where it begins.
create macro phone_walk(person_number) as
    (person_number * 7654321 + dice(key_of('phone', 0), 'start', 300000000)) % 300000000;

create macro phone_of(person_number) as
    [
        '903', '905', '906', '909', '910', '911', '915', '916', '917', '919', '920', '921', '922',
        '925', '926', '927', '929', '937', '950', '951', '952', '960', '961', '962', '963', '964',
        '965', '967', '981', '985'
    ][1 + phone_walk(person_number) // 10000000]
    || lpad((phone_walk(person_number) % 10000000)::varchar, 7, '0');

create macro spelled_phone(digits, spelling) as
    case spelling
        when 0 then '+7' || digits
        when 1 then '+7' || digits
        when 2 then '7' || digits
        when 3 then '8' || digits
        when 4 then digits
        when 5
            then
                '8 (' || digits[1:3] || ') ' || digits[4:6] || '-' || digits[7:8] || '-'
                || digits[9:10]
        when 6
            then
                '+7 ' || digits[1:3] || ' ' || digits[4:6] || ' ' || digits[7:8] || ' '
                || digits[9:10]
        when 7 then '+7(' || digits[1:3] || ')' || digits[4:6] || '-' || digits[7:10]
        when 8
            then
                '8-' || digits[1:3] || '-' || digits[4:6] || '-' || digits[7:8] || '-'
                || digits[9:10]
        else '+7 ' || digits[1:3] || ' ' || digits[4:10] || ' доб. 12'
    end;

-- One row per line of the day's contacts, in the delivery's columns and one of the company's own.
create view contact_file as
with delivered as (
    select
        *,
        key_of('person', person_number) as person_key,
        person_number = 0 as is_bot,
        -- What a corrected row says differently.
        draw(contact_key, if(version = 'corrected', 'corrected', 'as first noted')) as detail_key,
    from contact_delivery
    where delivery_index = getvariable('day_index')
),

typed as (
    select
        *,
        case
            when is_bot then 'form'
            -- Who never saw a site has only its phone number and its mailbox.
            when visitor_key is null and dice(contact_key, 'type', 100) < 90 then 'call'
            when visitor_key is null then 'email'
            -- At night nobody answers the phone.
            when contacted_second // 3600 % 24 not between 8 and 20
                then
                    case
                        when dice(contact_key, 'type', 100) < 45 then 'form'
                        when dice(contact_key, 'type', 100) < 65 then 'callback'
                        when dice(contact_key, 'type', 100) < 85 then 'chat'
                        else 'email'
                    end
            when dice(contact_key, 'type', 100) < 58 then 'call'
            when dice(contact_key, 'type', 100) < 75 then 'form'
            when dice(contact_key, 'type', 100) < 86 then 'callback'
            when dice(contact_key, 'type', 100) < 96 then 'chat'
            else 'email'
        end as contact_type,
    from delivered
),

-- Which of the identifiers the source happened to know.
known as (
    select
        *,
        contact_type in ('call', 'callback') as is_spoken,
        case contact_type
            when 'call' then dice(contact_key, 'knows visitor', 100) < 80
            when 'email' then dice(contact_key, 'knows visitor', 100) < 35
            else dice(contact_key, 'knows visitor', 100) < 96
        end as knows_visitor,
        case contact_type
            when 'form' then dice(contact_key, 'knows phone', 100) < 92
            when 'chat' then dice(contact_key, 'knows phone', 100) < 35
            when 'email' then dice(contact_key, 'knows phone', 100) < 15
            else true
        end as knows_phone,
        case contact_type
            when 'email' then true
            when 'form' then dice(contact_key, 'knows email', 100) < 45
            when 'chat' then dice(contact_key, 'knows email', 100) < 25
            else false
        end as knows_email,
    from typed
)

select
    if(
        known.version = 'broken: no id',
        null,
        written_number('c', known.contact_number) || if(known.version like 'broken%', 'x', '')
    ) as contact_id,
    if(known.version = 'broken: no widget', null, known.widget_id) as widget_id,
    if(
        known.version = 'broken: no such time',
        'вчера вечером',
        written_time(known.contact_key, known.contacted_second)
    ) as contacted_at,
    case
        when known.version = 'broken: no such type' then 'sms'
        when dice(known.contact_key, 'capital', 60) = 0 then upper(known.contact_type)
        else known.contact_type
    end as contact_type,
    case
        when known.is_bot then visitor_id_of(known.visitor_key)
        -- Operators who enter a client's order on the site leave their own cookie with it.
        when dice(known.contact_key, 'call centre', 100) < if(known.visitor_key is null, 15, 2)
            then 'callcenter-1'
        when dice(known.contact_key, 'no cookie', 100) = 0 then 'undefined'
        when known.knows_visitor then visitor_id_of(known.visitor_key)
    end as visitor_id,
    if(known.knows_visitor, yandex_id_of(known.metrica_key), null) as yandex_client_id,
    if(known.knows_visitor, google_id_of(known.visitor_key), null) as google_client_id,
    case
        when known.is_bot then null
        when dice(known.contact_key, 'crm', 100) < if(known.contact_index > 0, 60, 15)
            then crm_id_of(known.person_number)
        when dice(known.contact_key, 'crm', 100) = 99 then '0'
    end as crm_client_id,
    case
        when known.is_bot then '+7 (000) 000-00-00'
        when not known.knows_phone then null
        -- People who hide their number, and forms that ask nobody whether it is one.
        when dice(known.contact_key, 'wrong phone', 100) < 4
            then
                ['anonymous', '-', 'нет', '+7 (000) 000-00-00', '12345', '8 800'][
                    1 + dice(known.contact_key, 'which wrong phone', 6)
                ]
        else
            spelled_phone(
                phone_of(known.person_number), dice(known.contact_key, 'spelling', 10)
            )
    end as phone,
    case
        when known.is_bot then 'test@test'
        when not known.knows_email then null
        when dice(known.contact_key, 'wrong email', 100) < 3
            then ['-', 'нет', 'почта'][1 + dice(known.contact_key, 'which wrong email', 3)]
        when dice(known.contact_key, 'loud email', 100) < 5
            then upper(first_name.login) || known.person_number || '@Mail.ru '
        else first_name.login || known.person_number || '@mail.ru'
    end as email,
    case
        when known.is_bot then 'Test'
        when dice(known.contact_key, 'name', 100) < if(known.is_spoken, 45, 20) then null
        when dice(known.contact_key, 'name', 100) < 65 then first_name.first_name
        else
            first_name.first_name
            || ' '
            || surname_of(known.person_key)
            || if(first_name.is_female, 'а', '')
    end as client_name,
    if(dice(known.contact_key, 'location', 100) < 15, null, city.city) as location,
    if(
        known.is_spoken,
        ['Продажи', 'Продажи', 'Продажи', 'Замеры', 'Замеры', 'Сервис', 'Рекламации', 'Монтаж'][
            1 + dice(known.detail_key, 'group', if(known.contact_index > 0, 8, 5))
        ],
        null
    ) as final_group,
    case
        when known.contact_type = 'call' then if(known.contact_index = 0, 'true', 'false')
    end as is_unique,
    if(
        known.visitor_key is null,
        null,
        'https://' || site.site_host || page_walk.last_page
    ) as call_page,
    case
        when not known.is_spoken then null
        when dice(known.contact_key, 'unreadable', 200) = 0 then 'н/д'
        -- Nobody picked up.
        when dice(known.contact_key, 'unanswered', 100) < 8 then '0'
        else (12 + small_dice(known.contact_key, 'duration', 900))::varchar
    end as duration,
    case
        when known.is_bot or dice(known.contact_key, 'sold', 100) >= 18 then null
        else
            (18000 + 50 * small_dice(known.detail_key, 'value', 7000))
            || if(dice(known.contact_key, 'kopecks', 4) = 0, '.50', '.00')
    end as value,
    if(
        known.is_spoken,
        ['Кравцова', 'Белов', 'Тимофеева', 'Зуев', 'Ахметова'][
            1 + dice(known.contact_key, 'operator', 5)
        ],
        null
    ) as operator,
from known
inner join site on known.widget_id = site.widget_id
inner join first_name on dice(known.person_key, 'first name', 16) = first_name.name_slot
inner join city
    on known.widget_id = city.widget_id
    and dice(known.person_key, 'city', 8) = city.city_slot
inner join page_walk
    on known.widget_id = page_walk.widget_id
    and dice(known.contact_key, 'walk', 32) = page_walk.walk_slot
order by known.contacted_second, known.contact_number, known.version;


-- What is delivered about costs -------------------------------------------------------------------

-- What is paid by the click, and how many in a thousand touches it brings: as many as have been
-- tagged so, or would have been. Prices are in kopecks.
create table paid_placement as
select *
from (
    values
        ('yandex', 'cpc', 'search', 'RUB', 208, 6400, 11),
        ('yandex', 'cpc', 'network', 'RUB', 92, 2300, 140),
        ('Google', 'cpc', 'search', 'RUB', 80, 4900, 14),
        ('VK', 'cpc', 'feed', 'RUB', 36, 3100, 90),
        ('avito', 'referral', 'promotion', 'rub', 52, 1700, 30)
) as paid_placement (
    source, medium, placement, currency, touches_in_thousand, click_price, impressions_per_click
);

-- The sites' shares of visitors, as home_widget draws them.
create table site_share as
select *
from (
    values ('okna-msk', 45), ('okna-spb', 22), ('balkony', 15), ('dveri', 18)
) as site_share (widget_id, percent);

-- One row per day and offer of a site in a placement.
create table cost_plan as
with drawn as (
    select
        day.day_index,
        paid_placement.*,
        offer.widget_id,
        offer.campaign,
        key_of(
            concat_ws(' ', 'cost', paid_placement.placement, paid_placement.source, offer.campaign),
            day.day_index
        ) as cost_key,
        -- Touches of the day that the placement brings the offer, one of the site's four: the first
        -- number by the second.
        getvariable('touch_count') * day.visit_weight * site_share.percent
        * paid_placement.touches_in_thousand as touches_times,
        (select sum(day.visit_weight) from day)::bigint * 100 * 1000 * 4 as times,
    from day
    cross join paid_placement
    cross join offer
    inner join site_share on offer.widget_id = site_share.widget_id
),

clicked as (
    select
        *,
        -- Not every click becomes a visit, and not every visit was a click. What is less than a click
        -- is one now and then.
        (
            touches_times * (92 + dice(cost_key, 'clicks', 25))
            + dice(cost_key, 'part of a click', times * 100)
        ) // (times * 100) as clicks,
    from drawn
)

select
    *,
    clicks * (impressions_per_click * (80 + dice(cost_key, 'impressions', 41)) // 100)
        as impressions,
    clicks * (click_price * (85 + dice(cost_key, 'price', 31)) // 100) as kopecks,
from clicked
where clicks > 0;

create macro written_day(day_index) as
    strftime(getvariable('first_day') + day_index::integer, '%Y-%m-%d');

create macro written_money(kopecks) as
    (kopecks // 100)::varchar || '.' || lpad((kopecks % 100)::varchar, 2, '0');

-- One row per line of the day's costs, in the delivery's columns and one of the systems' own.
create view cost_file as
with delivered as (
    select
        day_index,
        source,
        medium,
        placement,
        campaign,
        widget_id,
        currency,
        kopecks,
        impressions,
        clicks,
    from cost_plan
    where day_index = getvariable('day_index')

    union all

    -- Google takes back clicks that were none: every fifth day it says anew what it charged two days
    -- before.
    select
        day_index,
        source,
        medium,
        placement,
        campaign,
        widget_id,
        currency,
        kopecks * 94 // 100 as kopecks,
        impressions,
        greatest(clicks - 1 - clicks // 20, 0) as clicks,
    from cost_plan
    where
        source = 'Google'
        and day_index = getvariable('day_index') - 2
        and getvariable('day_index') % 5 = 4

    union all

    -- The map asks a fee for the whole company, whatever comes of it.
    select
        getvariable('day_index') as day_index,
        '2gis' as source,
        'maps' as medium,
        'card' as placement,
        null as campaign,
        null as widget_id,
        'RUB' as currency,
        89000 as kopecks,
        null as impressions,
        null as clicks,

    union all

    -- Now and then an invoice from abroad, which nobody has converted.
    select
        getvariable('day_index') as day_index,
        'telegram' as source,
        'social' as medium,
        'channel' as placement,
        'brand_msk' as campaign,
        'okna-msk' as widget_id,
        'EUR' as currency,
        15000 as kopecks,
        42000 as impressions,
        null as clicks,
    where getvariable('day_index') % 14 = 3
)

select
    written_day(day_index) as cost_date,
    source,
    medium,
    campaign,
    widget_id,
    written_money(kopecks) as amount,
    currency,
    impressions,
    clicks,
    placement,
from delivered
order by cost_date, source, medium, placement, widget_id, campaign;
