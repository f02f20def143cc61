{# R2: the instant where counting ends. Only touches strictly before it count. #}
{% macro counting_ends_at(contacted_at) -%}
    {{ contacted_at }} + to_seconds({{ var('contact_grace_seconds') }})
{%- endmacro %}

{# R7, R8: the instant from which touches count; null if they count from the first. #}
{% macro counting_starts_at(contacted_at, previous_contact_at) -%}
    {%- set bounds = [] -%}
    {%- if var('lookback_days') is not none -%}
        {%- do bounds.append(contacted_at ~ " - to_microseconds(cast(" ~ var('lookback_days') ~ " * 86400000000 as bigint))") -%}
    {%- endif -%}
    {%- if var('history_scope') == 'since_previous_contact' -%}
        {%- do bounds.append(previous_contact_at) -%}
    {%- endif -%}
    greatest({{ (bounds or ['cast(null as timestamptz)']) | join(', ') }})
{%- endmacro %}

{# The days between two instants, with fractions. #}
{% macro days_between(instant, later_instant) -%}
    (epoch_us({{ later_instant }}) - epoch_us({{ instant }})) / 86400000000
{%- endmacro %}

{# The median of the time between two instants, in whole seconds. #}
{% macro median_seconds(instant, later_instant) -%}
    cast(round(median(epoch_us({{ later_instant }}) - epoch_us({{ instant }})) / 1000000) as bigint)
{%- endmacro %}

{% macro count_where(condition) -%}
    cast(sum(case when {{ condition }} then 1 else 0 end) as bigint)
{%- endmacro %}

{# An amount per one of a count; null if the count is 0 or null. #}
{% macro ratio(amount, count) -%}
    cast({{ amount }} as double) / nullif(cast({{ count }} as double), 0)
{%- endmacro %}

{# A sum of whole numbers. A sum too large for its type is null, rather than the end of the build. #}
{% macro whole_sum(number) -%}
    try_cast(sum({{ number }}) as bigint)
{%- endmacro %}
