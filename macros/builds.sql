{# R9: the last loaded day, from live loads. Costs of a day don't show that its touches and contacts are there, so they don't count. #}
{% macro last_loaded_day() -%}
    max(case when table_name in ('touches', 'contacts') then load_day end)
{%- endmacro %}
