{# Performance: every cost has one channel, so that nothing is lost or doubled. #}
{% test spend_in_is_spend_out(model, costs) %}
select sums.*
from (
    select
        (select coalesce(sum(amount), 0) from {{ costs }}) as spend_in,
        (select coalesce(sum(amount), 0) from {{ model }}) as spend_out,
        (select count(*) from {{ costs }}) as row_count_in,
        (select count(*) from {{ model }}) as row_count_out
) as sums
where sums.spend_in <> sums.spend_out or sums.row_count_in <> sums.row_count_out
{% endtest %}

{# Performance: by each model, spend, credits and credited value add up to all costs and to the journal. Only full builds run it; the
audit checks what is published. #}
{% test performance_is_all_that_was_spent_and_earned(model, journal, costs) %}
with totals as (
    select
        model,
        sum(spend) as spend,
        sum(credited_contacts) as credited_contacts,
        sum(credited_value) as credited_value
    from {{ model }}
    group by model
),
journal as (
    select
        count(*) as contact_count,
        coalesce(sum(value), 0) as value
    from {{ journal }}
),
costs as (
    select coalesce(sum(amount), 0) as spend
    from {{ costs }}
)
select totals.*
from totals
cross join journal
cross join costs
where totals.spend <> costs.spend
    or totals.credited_contacts <> journal.contact_count
    or totals.credited_value <> journal.value
{% endtest %}
