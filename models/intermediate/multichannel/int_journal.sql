-- One row per contact of the affected clients (R22), with its icon (R6), the reason if it isn't multichannel (Why), and defaults
-- for name and location (R19).
with

contacts as (

    select * from {{ ref('int_contacts') }}

),

contact_clients as (

    select * from {{ ref('int_contact_clients') }}

),

contact_counts as (

    select * from {{ ref('int_contact_verdicts') }}

)

select
    contacts.contact_id,
    contacts.widget_id,
    contacts.widget_name,
    contacts.brand_id,
    contact_clients.client_id,
    contacts.contact_type,
    contacts.contacted_at,
    contacts.contact_date,
    contact_clients.contact_number,
    {{ client_name('contacts.client_name') }} as client_name,
    contacts.phone,
    {{ client_location('contacts.location') }} as location,
    contact_counts.is_multichannel,
    case
        when contact_counts.is_multichannel then 'multichannel'
        when contact_counts.touch_count > 0 then 'single_channel'
        else 'no_touches'
    end as icon,
    contact_counts.touch_count,
    contact_counts.channel_count,
    contact_counts.channels,
    contact_counts.touch_chain,
    contact_counts.first_touch_at,
    contact_counts.last_touch_at,
    contacts.final_group,
    contacts.is_unique,
    contacts.call_page,
    contacts.duration,
    contacts.value,
    contacts.attributes,
    case
        when contact_counts.is_multichannel then null
        when contact_counts.touch_count = 0 then 'no_touches'
        when contact_counts.touch_count = 1 then 'one_touch'
        else 'one_channel'
    end as not_multichannel_reason,
    contact_counts.collapsed_chain,
    contact_counts.unique_chain,
    contact_counts.later_touch_count,
    contact_counts.earlier_touch_count,
    contact_counts.left_out_direct_count
from contacts
inner join contact_clients on contacts.contact_id = contact_clients.contact_id
inner join contact_counts on contacts.contact_id = contact_counts.contact_id
