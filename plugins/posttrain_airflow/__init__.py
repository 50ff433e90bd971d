"""Operators, sensors, assets and task groups: the thin layer between Airflow and the library `posttrain`."""
