-- One row per contact whose day has come (R9).
{{ config(materialized='view') }}

with

contacts as (

    select * from {{ ref('stg_contacts') }}

),

data_through as (

    select * from {{ ref('int_data_through') }}

)

select contacts.*
from contacts
inner join data_through on contacts.contact_date <= data_through.data_through
