{# R25: every delivered row was either loaded or rejected. #}
{% test delivered_is_loaded_plus_rejected(model) %}
select load_id
from {{ model }}
where delivered_count <> loaded_count + rejected_count
    or delivered_count <> coalesce(list_sum(list_transform(files, lambda file: file.delivered_count)), 0)
    or len(list_filter(files, lambda file: file.delivered_count <> file.loaded_count + file.rejected_count)) > 0
{% endtest %}
