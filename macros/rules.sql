{# The rules of the generic test `rules`: each counts the cases in which it is broken. #}

{# By keys that several rows have. `rows` is what follows `from`; `key` are its columns, with commas between. #}
{% macro count_repeated(rows, key) -%}
    (select count(*) from (select 1 as one from {{ rows }} group by {{ key }} having count(*) > 1) as repeated)
{%- endmacro %}

{# By rows without a value. #}
{% macro count_missing(column) -%}
    sum(case when {{ column }} is null then 1 else 0 end)
{%- endmacro %}

{# By rows whose value is another. #}
{% macro count_others(column, accepted_values) -%}
    sum(case when {{ column }} not in ('{{ accepted_values | join("', '") }}') then 1 else 0 end)
{%- endmacro %}

{# By rows more or fewer than in the relation. #}
{% macro count_difference(relation, condition) -%}
    abs(count(*) - (select count(*) from {{ relation }} where {{ condition }}))
{%- endmacro %}
