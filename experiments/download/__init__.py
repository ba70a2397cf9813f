"""Market data from venues: history page by page (`data fetch`), live streams as they come (`data record`)."""
