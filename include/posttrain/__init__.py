"""The Tülu 3 post-training recipe as a library: every stage is a function, a command and a task. No Airflow in here."""
