# The official Airflow image (slim: its other providers would pull the locked versions apart) with the locked requirements.
FROM apache/airflow:slim-3.3.2-python3.11

# Where CPU-only wheels of torch are wanted: --build-arg EXTRA_INDEX=<address of an index that offers them>
ARG EXTRA_INDEX=""
COPY --chown=airflow:0 requirements.lock /opt/airflow/
RUN uv pip install --no-cache ${EXTRA_INDEX:+--index "$EXTRA_INDEX" --index-strategy unsafe-best-match} -r /opt/airflow/requirements.lock

COPY --chown=airflow:0 include /opt/airflow/include
COPY --chown=airflow:0 plugins /opt/airflow/plugins
COPY --chown=airflow:0 dags /opt/airflow/dags

# One place for the import path, so that scheduler, DAG processor, workers, triggerer and web server agree.
ENV PYTHONPATH=/opt/airflow/include:/opt/airflow/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    POSTTRAIN_WORKSPACE=/opt/airflow/workspace

# A named volume takes its owner from the folder in the image. The last line fails the build if the library cannot start.
RUN mkdir -p /opt/airflow/workspace /opt/airflow/config && python -m posttrain --help >/dev/null
