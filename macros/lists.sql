{# The distinct values as a sorted list; null if there are none. #}
{% macro sorted_list(value) -%}
    list_sort(list(distinct {{ value }}) filter (where {{ value }} is not null))
{%- endmacro %}

{% macro sorted_and_distinct(values) -%}
    list_sort(list_distinct({{ values }}))
{%- endmacro %}

{% macro in_ascending_order(values) -%}
    list_sort({{ values }})
{%- endmacro %}

{# The values of rows as one ordered list. #}
{% macro list_in_order(value, order, condition=none) -%}
    list({{ value }} order by {{ order }}){% if condition %} filter (where {{ condition }}){% endif %}
{%- endmacro %}

{% macro list_of_one(value) -%}
    [{{ value }}]
{%- endmacro %}

{% macro if_several(values) -%}
    case when len({{ values }}) > 1 then {{ values }} end
{%- endmacro %}

{# A list; null if it has no elements. #}
{% macro without_empty(values) -%}
    nullif({{ values }}, [])
{%- endmacro %}

{% macro length_of(list) -%}
    len({{ list }})
{%- endmacro %}

{% macro one_after_another(first_list, second_list) -%}
    list_concat({{ first_list }}, {{ second_list }})
{%- endmacro %}

{% macro joined(values, separator) -%}
    array_to_string({{ values }}, '{{ separator }}')
{%- endmacro %}

{# The texts of rows, joined in order. #}
{% macro joined_in_order(value, separator, order) -%}
    string_agg({{ value }}, '{{ separator }}' order by {{ order }})
{%- endmacro %}

{% macro each_of(values) -%}
    unnest({{ values }})
{%- endmacro %}

{# The positions, from 1, of the rows that `each_of` makes of the same list. #}
{% macro each_position_in(values) -%}
    unnest(range(1, len({{ values }}) + 1))
{%- endmacro %}

{% macro smallest_of(values) -%}
    list_min({{ values }})
{%- endmacro %}

{# One row per whole number from the first to the last, both included. #}
{% macro each_number(first, last) -%}
    unnest(range({{ first }}, {{ last }} + 1))
{%- endmacro %}

{# One row per day from the first to the last, both included. #}
{% macro each_day(first_day, last_day) -%}
    unnest(cast(range({{ first_day }}, {{ last_day }} + 1, interval 1 day) as date[]))
{%- endmacro %}

{% macro days_after(day, last_day) -%}
    cast(generate_series({{ day }} + 1, {{ last_day }}, interval 1 day) as date[])
{%- endmacro %}

{# One row per given text, in one column. #}
{% macro rows_of_text(column, values) -%}
    {%- for value in values %}
    select '{{ value }}' as {{ column }}
    {% if not loop.last %}union all{% endif %}
    {%- endfor -%}
{%- endmacro %}
