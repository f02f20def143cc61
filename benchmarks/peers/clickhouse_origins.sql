-- Where each touch of a client who made contact came from.
create table journal.origins engine = Memory as
with contact_clients as (

    select clients.client
    from journal.contacts as contacts
    inner join Python(clients) as clients on contacts.record = clients.record

)

select
    clients.client as client,
    touches.touch_id as touch_id,
    touches.touched_at as touched_at,
    touches.brand_id as brand_id,
    ifNull(touches.utm_source, '') as utm_source,
    ifNull(touches.utm_medium, '') as utm_medium,
    extract(ifNull(touches.landing_page, ''), '(?i)^[^?#]*\\?(?:[^#]*&)?utm_source=([^&#]*)') as page_source,
    extract(ifNull(touches.landing_page, ''), '(?i)^[^?#]*\\?(?:[^#]*&)?utm_medium=([^&#]*)') as page_medium,
    replaceRegexpAll(queryString(ifNull(touches.landing_page, '')), '=[^&]+', '=x') as parameters,
    domain(ifNull(touches.referrer, '')) as host
from journal.touches as touches
inner join Python(clients) as clients on touches.record = clients.record
where clients.client in (select client from contact_clients)
