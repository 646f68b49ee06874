"""Batch jobs as the flow meets them: settled before it plans, chosen or not, left at work."""
