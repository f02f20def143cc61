{# R2: the instant where counting ends. Only touches strictly before it count. #}
{% macro counting_ends_at(contacted_at) -%}
    {{ moved(contacted_at, var('contact_grace_seconds') ~ ' * 1000000') }}
{%- endmacro %}

{# R7, R8: the instant from which touches count; null if they count from the first. #}
{% macro counting_starts_at(contacted_at, previous_contact_at) -%}
    {%- set bounds = [] -%}
    {%- if var('lookback_days') is not none -%}
        {%- do bounds.append(moved(contacted_at, '-' ~ var('lookback_days') ~ ' * 86400000000')) -%}
    {%- endif -%}
    {%- if var('history_scope') == 'since_previous_contact' -%}
        {%- do bounds.append(previous_contact_at) -%}
    {%- endif -%}
    {{ 'greatest(' ~ bounds | join(', ') ~ ')' if bounds | length > 1 else (bounds or [no_instant()]) | first }}
{%- endmacro %}

{# The days between two instants, with fractions. #}
{% macro days_between(instant, later_instant) -%}
    ({{ microseconds(later_instant) }} - {{ microseconds(instant) }}) / 86400000000
{%- endmacro %}

{# The median of the time between two instants, in whole seconds. #}
{% macro median_seconds(instant, later_instant) -%}
    cast(round(median({{ microseconds(later_instant) }} - {{ microseconds(instant) }}) / 1000000) as bigint)
{%- endmacro %}

{% macro count_where(condition) -%}
    cast(sum(case when {{ condition }} then 1 else 0 end) as bigint)
{%- endmacro %}

{# An amount per one of a count; null if the count is 0 or null. #}
{% macro ratio(amount, count) -%}
    cast({{ amount }} as double) / nullif(cast({{ count }} as double), 0)
{%- endmacro %}
