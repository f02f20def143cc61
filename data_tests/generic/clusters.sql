{#
R13: no identifier is in two clusters, so a cluster holds everything that is tied to it. Only full builds run it, as it checks all
clusters: other builds take clusters over as they were, and whole.
#}
{% test clusters_are_complete(model) %}
-- Buckets find the few identifiers that may be in several clusters; only their keys are read.
with of_several_clusters as (
    select identifier_bucket
    from {{ model }}
    group by identifier_bucket
    having min(cluster_number) <> max(cluster_number)
)
select identifier_key
from {{ model }}
where identifier_bucket in (select identifier_bucket from of_several_clusters)
group by identifier_key
having min(cluster_number) <> max(cluster_number)
{% endtest %}
