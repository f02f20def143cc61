-- One row per touch of a client, that is of somebody who made contact (R16); none of what another source delivered too (R28).
with

left_out_touches as (

    select id from {{ ref('int_same_events_delta') }}
    where kind = 'touch'

),

touches as (

    select * from {{ ref('int_touches') }}
    where touch_id not in (select id from left_out_touches)

),

client_clusters as (

    select distinct
        client_id,
        cluster_key
    from {{ ref('int_contact_clients') }}
    where cluster_key is not null

),

numbered_touches as (

    select
        client_clusters.client_id,
        touches.touch_id,
        touches.touched_at,
        touches.channel,
        touches.is_counted,
        -- R5: the touches that count, in order. Left-out ones have a number of no meaning, so none.
        case
            when touches.is_counted
                then row_number() over (
                        partition by client_clusters.client_id, touches.is_counted
                        order by touches.touched_at, touches.touch_id
                    )
        end as touch_number
    from touches
    inner join client_clusters
        on touches.cluster_key = client_clusters.cluster_key

)

select
    client_id,
    touch_id,
    touched_at,
    channel,
    is_counted,
    touch_number,
    case
        when is_counted then lag(touch_number) over (partition by client_id, channel, is_counted order by touch_number)
    end as previous_touch_number
from numbered_touches
