-- One row per contact of the affected clients, with its phone and e-mail address judged. Written down, as it is read many times.
{{ config(materialized='table') }}

with

contacts as (

    select * from {{ ref('stg_contact_values') }}

),

phones as (

    select * from {{ ref('stg_phones') }}

),

emails as (

    select * from {{ ref('stg_emails') }}

),

widgets as (

    select * from {{ ref('widgets') }}

)

select
    contacts.contact_id,
    contacts.widget_id,
    coalesce(widgets.widget_name, contacts.widget_id) as widget_name,
    coalesce(widgets.brand_id, 'default') as brand_id,
    contacts.contacted_at,
    {{ report_date('contacts.contacted_at') }} as contact_date,
    contacts.contact_type,
    contacts.identifier_group,
    contacts.visitor_id,
    contacts.yandex_client_id,
    contacts.google_client_id,
    contacts.crm_client_id,
    coalesce(phones.number, contacts.phone) as phone,
    phones.number as valid_phone,
    emails.address as valid_email,
    {{ tying('phone', 'phones.number') }} as identifying_phone,
    {{ tying('email', 'emails.address') }} as identifying_email,
    contacts.client_name,
    contacts.location,
    contacts.final_group,
    contacts.is_unique,
    contacts.call_page,
    contacts.duration,
    contacts.value,
    contacts.delivered_by,
    contacts.attributes
from contacts
left join phones on contacts.phone = phones.phone
left join emails on contacts.email = emails.email
left join widgets on contacts.widget_id = widgets.widget_id
