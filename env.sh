# Prepares a shell for this project: `. ./env.sh` (bash, zsh; other shells: from the project's folder).
# Afterwards `airflow`, `python -m posttrain` and `pytest` work from any folder. An AIRFLOW_HOME that is already set stays.

_pt_root=""
if [ -n "${BASH_VERSION:-}" ]; then
    _pt_root=${BASH_SOURCE:-}
elif [ -n "${ZSH_VERSION:-}" ]; then
    eval '_pt_root=${(%):-%x}'
fi
if [ -n "$_pt_root" ]; then
    _pt_root=$(CDPATH='' cd -- "$(dirname -- "$_pt_root")" && pwd)
else
    _pt_root=$(pwd) # plain sh cannot say which file it is reading
fi

if [ ! -f "$_pt_root/dags/tulu3.py" ]; then
    echo "env.sh: $_pt_root is not the project's folder; cd into it first" >&2
    unset _pt_root
    return 1
elif [ ! -x "$_pt_root/.venv/bin/airflow" ]; then
    echo "env.sh: $_pt_root/.venv is not complete; run 'make setup' first" >&2
    unset _pt_root
    return 1
else
    export AIRFLOW_HOME="${AIRFLOW_HOME:-$_pt_root/.airflow}"
    export AIRFLOW__CORE__DAGS_FOLDER="$_pt_root/dags"
    export AIRFLOW__CORE__PLUGINS_FOLDER="$_pt_root/plugins"
    export AIRFLOW__CORE__LOAD_EXAMPLES="${AIRFLOW__CORE__LOAD_EXAMPLES:-False}"
    # One machine: few workers, and new DAG files within half a minute.
    export AIRFLOW__CORE__PARALLELISM="${AIRFLOW__CORE__PARALLELISM:-4}"
    export AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL="${AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL:-30}"
    export AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES="${AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES:-1}"
    export AIRFLOW__API__WORKERS="${AIRFLOW__API__WORKERS:-1}"
    export AIRFLOW__API__HOST="${AIRFLOW__API__HOST:-127.0.0.1}" # the web UI is for this machine alone
    export POSTTRAIN_WORKSPACE="${POSTTRAIN_WORKSPACE:-$_pt_root/workspace}"
    case ":${PYTHONPATH:-}:" in
        *":$_pt_root/include:$_pt_root/plugins:"*) ;;
        *) export PYTHONPATH="$_pt_root/include:$_pt_root/plugins${PYTHONPATH:+:$PYTHONPATH}" ;;
    esac
    case ":$PATH:" in
        *":$_pt_root/.venv/bin:"*) ;;
        *) export PATH="$_pt_root/.venv/bin:$PATH" ;;
    esac
    # `airflow dags test` needs the metadata database. The marker tells a migration that was interrupted.
    if [ -z "${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:-}" ]; then
        if [ ! -f "$AIRFLOW_HOME/airflow.db" ] || [ -f "$AIRFLOW_HOME/.migrating" ]; then
            echo "env.sh: creating Airflow's metadata database in $AIRFLOW_HOME (once, about 10 seconds)" >&2
            mkdir -p "$AIRFLOW_HOME" && : >"$AIRFLOW_HOME/.migrating"
            if airflow db migrate >"$AIRFLOW_HOME/migrate.log" 2>&1; then
                rm -f "$AIRFLOW_HOME/.migrating"
            else
                echo "env.sh: 'airflow db migrate' failed; see $AIRFLOW_HOME/migrate.log" >&2
            fi
        fi
    fi
fi
unset _pt_root
