-- One row per touch of a client (R13, R16), with its number in the client's order (R5). Direct touches that don't count have no
-- number (R12). Leaves out touches that are the same event as another (R28).
with

left_out_touches as (

    select id from {{ ref('int_same_events') }}
    where kind = 'touch'

),

touches as (

    select * from {{ ref('int_touches') }} as touches
    where
        not exists (
            select 1 from left_out_touches
            where left_out_touches.id = touches.touch_id
        )

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
        -- R5, R12: numbers the touches that count, in order. The others have none.
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
