"""The only place that adds noise or spends budget. Knows Domain and PrivacyUnit, nothing of networks."""
