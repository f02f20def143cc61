-- Names the channel of each touch of a client who made contact (R11, as far as the demo needs it).

create table client_contacts as
select
    contacts.contact_id,
    contacts.contacted_at,
    clients.client,
    'client-' || first_value(contacts.contact_id) over (
        partition by clients.client order by contacts.contacted_at, contacts.contact_id
    ) as client_id
from contacts
inner join clients on contacts.record = clients.record;

create macro parameter(url, name) as
    nullif(trim(url_decode(replace(
        regexp_extract(url, '(?i)^[^?#]*\?(?:[^#]*&)?' || name || '=([^&#]*)', 1), '+', ' '
    ))), '');

create table client_touches as
with

tagged_touches as (

    select
        clients.client,
        touches.brand_id,
        touches.touch_id,
        touches.touched_at,
        lower(coalesce(nullif(trim(touches.utm_source), ''), parameter(touches.landing_page, 'utm_source'))) as tagged_source,
        lower(coalesce(nullif(trim(touches.utm_medium), ''), parameter(touches.landing_page, 'utm_medium'))) as tagged_medium,
        if(
            touches.landing_page like '%?%',
            list_transform(
                regexp_extract_all(split_part(touches.landing_page, '#', 1), '[?&]([^=&?]+)=[^&]', 1),
                lambda name: lower(name)
            ),
            null
        ) as parameters,
        regexp_extract(lower(touches.referrer), '^https?://([^/:?#]+)', 1) as host
    from touches
    inner join clients on touches.record = clients.record
    where clients.client in (select client from client_contacts)

),

click_ids as (

    select
        parameter,
        source,
        medium,
        click_id_order::integer as click_id_order,
        is_advertising::boolean as is_advertising
    from seed('click_ids')

),

-- One row per distinct list of parameters, with the first click id in it.
clicks as (

    select
        lists.parameters,
        min_by(click_ids, click_ids.click_id_order) filter (where click_ids.is_advertising) as advertising,
        min_by(click_ids, click_ids.click_id_order) filter (where not click_ids.is_advertising) as other
    from (select distinct parameters from tagged_touches where parameters is not null) as lists
    inner join click_ids on list_contains(lists.parameters, click_ids.parameter)
    group by lists.parameters

),

known_hosts as (

    select * from seed('referrers')
    union all
    select * from seed('search_engines')
    where host not in (select host from seed('referrers'))

),

own_hosts as (

    select
        brand_id,
        unnest(string_split(site_host, ' ')) as host
    from widgets

),

-- One row per distinct host and brand; the longest entry that fits says what it is.
hosts as (

    select
        visited.brand_id,
        visited.host,
        max_by(known_hosts, length(known_hosts.host)) as known,
        bool_or(own_hosts.host is not null) as is_own
    from (select distinct brand_id, host from tagged_touches where host <> '') as visited
    left join known_hosts
        on case
            when known_hosts.host like '*.%' then ends_with(visited.host, known_hosts.host[2:])
            when known_hosts.kind = 'search'
                then known_hosts.host in (visited.host, regexp_replace(visited.host, '^(www|m)\.', ''))
            else ends_with('.' || visited.host, '.' || known_hosts.host)
        end
    left join own_hosts
        on visited.brand_id = own_hosts.brand_id
        and ends_with('.' || visited.host, '.' || own_hosts.host)
    group by visited.brand_id, visited.host

),

sourced_touches as (

    select
        tagged_touches.client,
        tagged_touches.touch_id,
        tagged_touches.touched_at,
        case
            when tagged_touches.tagged_source is not null or tagged_touches.tagged_medium is not null
                then [coalesce(tagged_touches.tagged_source, '(not set)'), coalesce(tagged_touches.tagged_medium, '(not set)')]
            when clicks.advertising is not null then [clicks.advertising.source, clicks.advertising.medium]
            when not hosts.is_own and hosts.known is null then [hosts.host, 'referral']
            when not hosts.is_own and hosts.known.kind = 'advertising' then [hosts.known.name, 'cpc']
            when not hosts.is_own and hosts.known.kind = 'search' then [hosts.known.name, 'organic']
            when not hosts.is_own and hosts.known.kind = 'social' then [hosts.known.name, 'social']
            when clicks.other is not null then [clicks.other.source, clicks.other.medium]
            else ['(direct)', '(none)']
        end as pair
    from tagged_touches
    left join clicks on tagged_touches.parameters = clicks.parameters
    left join hosts
        on tagged_touches.brand_id = hosts.brand_id
        and tagged_touches.host = hosts.host

),

-- One row per distinct pair; the first rule that fits gives it a name.
names as (

    select
        pairs.pair,
        coalesce(min_by(rules.channel, rules.rule_order::integer), pairs.pair[1] || ' / ' || pairs.pair[2]) as channel
    from (select distinct pair from sourced_touches) as pairs
    left join seed('channel_rules') as rules
        on rules.is_enabled = 'true'
        and rules.match = 'exact'
        and coalesce(rules.source, pairs.pair[1]) = pairs.pair[1]
        and coalesce(rules.medium, pairs.pair[2]) = pairs.pair[2]
    group by pairs.pair

)

select
    sourced_touches.client,
    sourced_touches.touch_id,
    sourced_touches.touched_at,
    names.channel
from sourced_touches
inner join names on sourced_touches.pair = names.pair;
