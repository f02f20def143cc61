{# R11: the channel as displayed. Two channels are the same if they are displayed the same. #}
{% macro channel(channel_name, source, medium, campaign) -%}
    {%- set displayed = {
        'source_medium': source ~ " || ' / ' || " ~ medium,
        'medium': medium,
        'source': source,
        'source_medium_campaign': source ~ " || ' / ' || " ~ medium ~ " || ' / ' || coalesce(" ~ campaign ~ ", '(not set)')",
    } -%}
    coalesce({{ channel_name }}, {{ displayed[var('channel_grain')] }})
{%- endmacro %}

{# R12: whether a touch is direct. #}
{% macro is_direct(source, medium) -%}
    ({{ source }} = '(direct)' and {{ medium }} = '(none)')
{%- endmacro %}

{# R12: whether a touch may count. #}
{% macro is_counted(source, medium) -%}
    {% if var('count_direct_touches') %}true{% else %}not {{ is_direct(source, medium) }}{% endif %}
{%- endmacro %}

{# R23: a chain; one that was cut begins with dots. #}
{% macro chain(channels, is_cut) -%}
    case when {{ is_cut }} then '… > ' || {{ channels }} else {{ channels }} end
{%- endmacro %}

{# Attribution: the channel of contacts for which no touch counts. #}
{% macro unattributed() -%}
    (unattributed)
{%- endmacro %}
