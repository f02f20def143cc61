"""The marts that are published."""

# As tables, though some are views in the private file: what sums over all contacts, or changes for all of them with every build,
# is worked out once, at publication, in this order.
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
# As views over those.
VIEWS = ("channel_attribution",)
# How rows are ordered in the published file, where readers look for few of many: a page of the journal, one client.
ORDERS = {
    "journal": "contacted_at, contact_id",
    "client_history": "contacted_at, contact_id",
    "client_card": "first_contact_at, client_id",
}
