create table intermediate.channels as
select
    contact_id,
    channel,
    bool_or(touch_rank = 1) as is_opening,
    bool_or(touch_rank > 1 and touch_rank < touch_count) as is_assisting,
    bool_or(touch_rank = touch_count) as is_closing
from intermediate.pairs
group by contact_id, channel;
