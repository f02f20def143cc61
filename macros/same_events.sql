{# R28: the place of a row's source in `source_precedence`; after all listed sources if it isn't listed. #}
{% macro source_position(delivered_by) -%}
    case
        {%- for source in var('source_precedence') %}
        when split_part({{ delivered_by }}, ':', 1) = '{{ source | replace("'", "''") }}' then {{ loop.index }}
        {%- endfor %}
        when true then {{ var('source_precedence') | length + 1 }}
    end
{%- endmacro %}

{#
R28: among the rows with the same keys that are at most so many seconds before a row (or after it; none: never), the first: the one of
the highest precedence, then the nearest, then the one with the smallest id. The row itself is among them, so there always is one.
#}
{% macro first_before(precedence, id, keys, setting, condition='true') -%}
    {{ first_within(precedence, '-moment', id, keys, setting, 'PERIOD preceding and current row', condition) }}
{%- endmacro %}

{% macro first_after(precedence, id, keys, setting) -%}
    {{ first_within(precedence, 'moment', id, keys, setting, 'current row and PERIOD following', 'true') }}
{%- endmacro %}

{% macro first_within(precedence, nearness, id, keys, setting, frame, condition) -%}
    {%- set first = struct_of({'precedence': precedence, 'nearness': nearness, 'id': id}) -%}
    {%- if var(setting) is none -%}
    case when false then {{ first }} end
    {%- else -%}
    {%- set period = (var(setting) | float * 1000000) | round | int -%}
    min(case when {{ condition }} then {{ first }} end) over (
        partition by {{ keys | join(', ') }}
        order by moment
        range between {{ frame | replace('PERIOD', bigint_of(period)) }}
    )
    {%- endif -%}
{%- endmacro %}

{# R28: the first of these, with its distance in time, if its precedence is higher than the row's own; else null. #}
{% macro if_higher(first, precedence) -%}
    case
        when {{ first }}.precedence < {{ precedence }}
            then {{ struct_of({'precedence': first ~ '.precedence', 'distance': 'abs(abs(' ~ first ~ '.nearness) - moment)', 'id': first ~ '.id'}) }}
    end
{%- endmacro %}
