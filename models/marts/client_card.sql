-- One row per client (R16): the client card (R17, R18, R19), with what tied the client (R13). What R28 leaves out still tells how
-- to reach the client.
{{ config(pre_hook="{{ drop_affected_contacts(this, 'first_contact_id', ref('int_affected_contacts')) }}") }}

with

contacts as (

    select
        contacts.*,
        journal.client_id,
        journal.contact_number,
        journal.is_multichannel,
        -- R17: a call's phone comes before any other contact's; then the earliest.
        row_number() over (
            partition by journal.client_id
            order by
                contacts.valid_phone is null,
                contacts.contact_type <> 'call',
                journal.contact_number
        ) as phone_rank
    from {{ ref('int_contacts') }} as contacts
    inner join {{ ref('int_journal') }} as journal on contacts.contact_id = journal.contact_id
    where {{ is_in_part(text_bucket('journal.client_id')) }}

),

touches as (

    select * from {{ ref('int_client_touches') }}
    where {{ is_in_part(text_bucket('client_id')) }}

),

clients as (

    select
        client_id,
        min(brand_id) as brand_id,
        max(case when phone_rank = 1 then valid_phone end) as phone,
        max(case when contact_number = 1 then client_name end) as client_name,
        max(case when contact_number = 1 then location end) as location,
        max(case when contact_number = 1 then contact_id end) as first_contact_id,
        min(contacted_at) as first_contact_at,
        max(contacted_at) as last_contact_at,
        count(*) as contact_count,
        sum(case when is_multichannel then 1 else 0 end) as multichannel_contact_count
    from contacts
    group by client_id

),

first_touches as (

    select
        client_id,
        min(touched_at) as first_touch_at
    from touches
    group by client_id

),

client_clusters as (

    select distinct
        client_id,
        cluster_key
    from {{ ref('int_contact_clients') }}
    where cluster_key is not null and {{ is_in_part(text_bucket('client_id')) }}

),

left_out_contacts as (

    select id from {{ ref('int_same_events') }}
    where kind = 'contact'

),

-- R28: a contact that is left out doesn't count, but its phone and email address stay on the card.
all_contacts as (

    select
        client_id,
        valid_phone,
        valid_email
    from contacts
    union all
    select
        client_clusters.client_id,
        delivered_contacts.valid_phone,
        delivered_contacts.valid_email
    from {{ ref('int_contacts') }} as delivered_contacts
    inner join left_out_contacts on delivered_contacts.contact_id = left_out_contacts.id
    inner join client_clusters on delivered_contacts.cluster_key = client_clusters.cluster_key

),

reached_by as (

    select
        client_id,
        {{ sorted_list('valid_phone') }} as phones,
        {{ sorted_list('valid_email') }} as emails
    from all_contacts
    group by client_id

),

identifiers as (

    select
        cluster_key,
        visitor_id,
        yandex_client_id,
        google_client_id,
        crm_client_id,
        null as identifying_phone,
        null as identifying_email,
        count(*) as record_count
    from {{ ref('int_touches') }}
    {% if is_in_parts() %}where cluster_key in (select cluster_key from client_clusters){% endif %}
    group by cluster_key, visitor_id, yandex_client_id, google_client_id, crm_client_id
    union all
    select
        cluster_key,
        visitor_id,
        yandex_client_id,
        google_client_id,
        crm_client_id,
        identifying_phone,
        identifying_email,
        1 as record_count
    from {{ ref('int_contacts') }}
    {% if is_in_parts() %}where cluster_key in (select cluster_key from client_clusters){% endif %}

),

client_identifiers as (

    select
        client_clusters.client_id,
        {{ sorted_list('identifiers.visitor_id') }} as visitor_ids,
        {{ sorted_list('identifiers.crm_client_id') }} as crm_client_ids
    from client_clusters
    inner join identifiers on client_clusters.cluster_key = identifiers.cluster_key
    group by client_clusters.client_id

),

carried_identifiers as (

    {{ counts_of_identifiers('identifiers', {
        'visitor_id': 'visitor_id',
        'yandex_client_id': 'yandex_client_id',
        'google_client_id': 'google_client_id',
        'crm_client_id': 'crm_client_id',
        'phone': 'identifying_phone',
        'email': 'identifying_email',
    }) }}

),

-- R13: an identifier that only one touch or contact carries ties nothing.
shared_identifiers as (

    select
        client_clusters.client_id,
        {{ sorted_list("carried_identifiers.identifier_kind || ' ' || carried_identifiers.identifier") }} as tied_by
    from client_clusters
    inner join carried_identifiers on client_clusters.cluster_key = carried_identifiers.cluster_key
    where carried_identifiers.record_count > 1
    group by client_clusters.client_id

)

select
    clients.client_id,
    clients.brand_id,
    clients.phone,
    reached_by.phones,
    reached_by.emails,
    client_identifiers.visitor_ids,
    client_identifiers.crm_client_ids,
    {{ client_name('clients.client_name') }} as client_name,
    {{ client_location('clients.location') }} as location,
    first_touches.first_touch_at,
    clients.first_contact_id,
    clients.first_contact_at,
    clients.last_contact_at,
    clients.contact_count,
    cast(clients.multichannel_contact_count as bigint) as multichannel_contact_count,
    shared_identifiers.tied_by
from clients
inner join reached_by on clients.client_id = reached_by.client_id
left join first_touches on clients.client_id = first_touches.client_id
left join client_identifiers on clients.client_id = client_identifiers.client_id
left join shared_identifiers on clients.client_id = shared_identifiers.client_id
order by clients.client_id
