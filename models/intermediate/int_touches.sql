-- One row per touch whose day has come (R9).
{{ config(materialized='view') }}

with

touches as (

    select * from {{ ref('stg_touches') }}

),

data_through as (

    select * from {{ ref('int_data_through') }}

)

select touches.*
from touches
inner join data_through on touches.touch_date <= data_through.data_through
