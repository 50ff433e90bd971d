"""The review page in Airflow's web UI: a reviewer decides about the rows between clean and contaminated."""
