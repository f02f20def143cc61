-- What no reader may find in a published file. One row per fault, with how many rows have it. In a copy that was brought up to date,
-- checks of single contacts look at those in the table `audited` only; sums cover all.
with

journal_rows as (

    select * from journal
    {% if of_contacts %}where contact_id in (from audited){% endif %}

),

history_rows as (

    select * from interaction_history
    {% if of_contacts %}where contact_id in (from audited){% endif %}

),

client_history_rows as (

    select * from client_history
    {% if of_contacts %}where contact_id in (from audited){% endif %}

),

credit_rows as (

    select * from touch_credits
    {% if of_contacts %}where contact_id in (from audited){% endif %}

),

clients as (

    select distinct client_id from journal_rows

),

cards as (

    select * from client_card
    {% if of_contacts %}
    where client_id in (from clients) or first_contact_id in (from audited)
    {% endif %}

),

journal_by_contact as (

    select contact_id
    from journal_rows as journal
    group by contact_id
    having count(*) > 1

),

card_by_client as (

    select client_id
    from cards
    group by client_id
    having count(*) > 1

),

history_by_touch as (

    select contact_id
    from history_rows as interaction_history
    group by contact_id, touch_rank
    having count(*) > 1

),

client_history_by_contact as (

    select contact_id
    from client_history_rows as client_history
    group by contact_id
    having count(*) > 1

),

journal_or_client_history as (

    select contact_id
    from journal_rows as journal
    full join client_history_rows as client_history using (contact_id, client_id)
    where journal.touch_count is distinct from client_history.touch_count

),

clients_of_journal as (

    select
        client_id,
        count(*) as contacts
    from journal
    where client_id in (from clients)
    group by client_id

),

cards_with_other_counts as (

    select client_id
    from cards
    full join clients_of_journal using (client_id)
    where cards.contact_count is distinct from clients_of_journal.contacts

),

history_lengths as (

    select
        contact_id,
        count(*) as touches
    from history_rows as interaction_history
    group by contact_id

),

multichannel_contacts as (

    select
        contact_id,
        touch_count
    from journal_rows as journal
    where is_multichannel

),

histories_of_another_length as (

    select contact_id
    from multichannel_contacts
    full join history_lengths using (contact_id)
    where least(multichannel_contacts.touch_count, {{ history_touch_limit }}) is distinct from history_lengths.touches

),

touches_after_their_contact as (

    select interaction_history.touch_id
    from history_rows as interaction_history
    inner join journal_rows as journal using (contact_id)
    where interaction_history.touched_at >= journal.contacted_at + to_seconds({{ contact_grace_seconds }})

),

credits_of_contacts as (

    select contact_id
    from credit_rows
    group by contact_id
    having {% for model in models %}sum({{ model }}) <> 1{% if not loop.last %} or {% endif %}{% endfor %}

),

credits_of_paths as (

    select path_key
    from _path_credits
    group by path_key
    having {% for model in data_driven_models %}sum({{ model }}) <> 1{% if not loop.last %} or {% endif %}{% endfor %}

),

credited_contacts as (

    select distinct
        contact_id,
        value
    from credit_rows

),

journal_or_credits as (

    select contact_id
    from journal_rows as journal
    full join credited_contacts using (contact_id)
    where (journal.value is distinct from credited_contacts.value)
        or journal.contact_id is null
        or credited_contacts.contact_id is null

),

counts_of_journal as (

    select
        widget_id,
        contact_date,
        contact_type,
        count(*) as contacts
    from journal
    group by widget_id, contact_date, contact_type

),

other_contact_counts as (

    select widget_id
    from contact_counts
    full join counts_of_journal using (widget_id, contact_date, contact_type)
    where (contact_counts.contact_count is distinct from counts_of_journal.contacts)
        or counts_of_journal.contacts <> contact_counts.multichannel_contact_count
        + contact_counts.single_channel_contact_count
        + contact_counts.no_touches_contact_count

),

contacts_with_touches as (

    select count(*) as contact_count
    from journal
    where touch_count > 0

),

chained_contacts as (

    select coalesce(sum(contact_count), 0) as contact_count
    from touch_chains

),

opened_contacts as (

    select coalesce(sum(opened_count), 0) as contact_count
    from channel_participation
    where grain = 'channel'

),

contacts_without_chain as (

    select contacts_with_touches.contact_count
    from contacts_with_touches
    cross join chained_contacts
    where contacts_with_touches.contact_count <> chained_contacts.contact_count

),

contacts_without_opening as (

    select contacts_with_touches.contact_count
    from contacts_with_touches
    cross join opened_contacts
    where contacts_with_touches.contact_count <> opened_contacts.contact_count

),

closing_channels as (

    select *
    from channel_participation
    where grain = 'channel'

),

last_steps as (

    select *
    from channel_steps
    where next_channel is null

),

channels_with_other_ends as (

    select channel
    from closing_channels
    full join last_steps using (widget_id, contact_date, channel)
    where coalesce(closing_channels.closed_count, 0) <> coalesce(last_steps.step_count, 0)

),

totals_of_journal as (

    select
        count(*) as contact_count,
        coalesce(sum(value), 0) as contact_value
    from journal

),

totals_of_costs as (

    select coalesce(sum(amount), 0) as spend
    from channel_costs

),

models as (

    select unnest([{% for model in models %}'{{ model }}'{% if not loop.last %}, {% endif %}{% endfor %}]) as model

),

totals_of_credits as (

    select
        models.model,
        coalesce(sum(channel_credits.credited_contacts), 0) as credited_contacts,
        coalesce(sum(channel_credits.credited_value), 0) as credited_value
    from models
    left join channel_credits on models.model = channel_credits.model
    group by models.model

),

models_with_other_credits as (

    select totals_of_credits.model
    from totals_of_credits
    cross join totals_of_journal
    where totals_of_credits.credited_contacts <> totals_of_journal.contact_count
        or totals_of_credits.credited_value <> totals_of_journal.contact_value

),

totals_of_performance as (

    select
        model,
        sum(spend) as spend,
        sum(credited_contacts) as credited_contacts,
        sum(credited_value) as credited_value
    from channel_performance
    group by model

),

models_with_other_performance as (

    select totals_of_performance.model
    from totals_of_performance
    cross join totals_of_journal
    cross join totals_of_costs
    where totals_of_performance.spend <> totals_of_costs.spend
        or totals_of_performance.credited_contacts <> totals_of_journal.contact_count
        or totals_of_performance.credited_value <> totals_of_journal.contact_value

),

contacts_of_later_days as (

    select journal.contact_id
    from journal
    cross join _meta
    where journal.contact_date > _meta.data_through

),

faults as (

    select
        1 as fault_order,
        'contacts that are in the journal twice' as fault,
        count(*) as row_count
    from journal_by_contact
    union all
    select
        2 as fault_order,
        'clients with two cards' as fault,
        count(*) as row_count
    from card_by_client
    union all
    select
        3 as fault_order,
        'touches that are in an interaction history twice' as fault,
        count(*) as row_count
    from history_by_touch
    union all
    select
        4 as fault_order,
        'contacts that are in a client history twice' as fault,
        count(*) as row_count
    from client_history_by_contact
    union all
    select
        5 as fault_order,
        'contacts that are in only one of journal and client history, or with another number of touches' as fault,
        count(*) as row_count
    from journal_or_client_history
    union all
    select
        6 as fault_order,
        'clients whose card counts other contacts than the journal' as fault,
        count(*) as row_count
    from cards_with_other_counts
    union all
    select
        7 as fault_order,
        'multichannel contacts whose history is not as long as the journal says' as fault,
        count(*) as row_count
    from histories_of_another_length
    union all
    select
        8 as fault_order,
        'touches that happened at their contact or after it' as fault,
        count(*) as row_count
    from touches_after_their_contact
    union all
    select
        9 as fault_order,
        'contacts whose credits do not add up to one contact by every attribution model' as fault,
        count(*) as row_count
    from credits_of_contacts
    union all
    select
        10 as fault_order,
        'paths whose credits do not add up to one contact by every data-driven model' as fault,
        count(*) as row_count
    from credits_of_paths
    union all
    select
        11 as fault_order,
        'contacts that are in only one of journal and credits, or with another value' as fault,
        count(*) as row_count
    from journal_or_credits
    union all
    select
        12 as fault_order,
        'sites, days and types with other contact counts than the journal' as fault,
        count(*) as row_count
    from other_contact_counts
    union all
    select
        13 as fault_order,
        'contacts with touches more or fewer than chains count' as fault,
        count(*) as row_count
    from contacts_without_chain
    union all
    select
        14 as fault_order,
        'contacts with touches more or fewer than channels opened' as fault,
        count(*) as row_count
    from contacts_without_opening
    union all
    select
        15 as fault_order,
        'channels of a site and day whose last steps are not as many as the contacts that they closed' as fault,
        count(*) as row_count
    from channels_with_other_ends
    union all
    select
        16 as fault_order,
        'attribution models whose credits do not add up to all contacts and their value' as fault,
        count(*) as row_count
    from models_with_other_credits
    union all
    select
        17 as fault_order,
        'attribution models whose spend, contacts or value do not add up across channels' as fault,
        count(*) as row_count
    from models_with_other_performance
    union all
    select
        18 as fault_order,
        'contacts after the last loaded day' as fault,
        count(*) as row_count
    from contacts_of_later_days

)

select
    fault,
    row_count
from faults
where row_count > 0
order by fault_order
