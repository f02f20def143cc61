{# A sum of whole numbers. Nonsense that is too large for its type is no number, rather than the end of the build. #}
{% macro whole_sum(number) -%}
    try_cast(sum({{ number }}) as bigint)
{%- endmacro %}
