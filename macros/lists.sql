{# A list; null if it has at most one element. #}
{% macro if_several(values) -%}
    case when {{ length_of(values) }} > 1 then {{ values }} end
{%- endmacro %}

{# A list; null if it has no elements. #}
{% macro without_empty(values) -%}
    case when {{ length_of(values) }} > 0 then {{ values }} end
{%- endmacro %}

{# One row per given text, in one column. #}
{% macro rows_of_text(column, values) -%}
    {%- for value in values %}
    select '{{ value }}' as {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}
