-- One row per contact: its newest version, typed.
{{ config(materialized='table') }}

with

contacts as (

    select * from {{ source('raw', 'contacts') }}

),

loads as (

    select * from {{ ref('stg_loads') }}

),

ranked_versions as (

    select
        contacts.*,
        row_number() over (
            partition by contacts.contact_id
            order by loads.load_day desc, contacts.file_name desc, contacts.row_number desc
        ) as version_rank
    from contacts
    inner join loads on contacts.load_id = loads.load_id

)

select
    contact_id,
    widget_id,
    {{ instant('contacted_at') }} as contacted_at,
    {{ word('contact_type') }} as contact_type,
    visitor_id,
    yandex_client_id,
    google_client_id,
    crm_client_id,
    phone,
    email,
    client_name,
    location,
    final_group,
    {{ boolean('is_unique') }} as is_unique,
    call_page,
    {{ seconds('duration') }} as duration,
    {{ money('value') }} as value,
    attributes
from ranked_versions
where version_rank = 1
