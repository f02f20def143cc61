"""The marts that are published."""

# Published as tables, in this order. Some are views in the private file: those that aggregate over all contacts, or change for
# all of them with every build, are materialized at publication.
MARTS = (
    "journal",
    "client_card",
    "interaction_history",
    "client_history",
    "contact_counts",
    "touch_chains",
    "channel_steps",
    "channel_participation",
    "channel_worths",
    "touch_credits",
    "channel_credits",
    "unmapped_sources",
    "channel_costs",
    "channel_performance",
    "metric_days",
)
# Published as views over those tables.
VIEWS = ("channel_attribution",)
# The published order of rows where readers look for a few of many: a page of the journal, one client.
ORDERS = {
    "journal": "contacted_at, contact_id",
    "client_history": "contacted_at, contact_id",
    "client_card": "first_contact_at, client_id",
}
