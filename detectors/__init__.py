"""Drift, outliers, quality: quiet when nothing happened, quick when something did. Pure; imports core alone."""
