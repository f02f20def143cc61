{# R25: every delivered row was either loaded or rejected. #}
{% test delivered_is_loaded_plus_rejected(model) %}
select load_id
from {{ model }}
where delivered_count <> loaded_count + rejected_count
    or delivered_count <> {{ sum_of(each_element('files', 'element.delivered_count')) }}
    or {{ length_of(elements_where('files', 'element.delivered_count <> element.loaded_count + element.rejected_count')) }} > 0
{% endtest %}
