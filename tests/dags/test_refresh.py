"""`refresh_eval_index` and `watch_eval_sets` run, in this process, on the mixture of a nightly rebuild."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from posttrain.problems import raw_rows
from posttrain.recipe import RECIPE_FOLDER
from posttrain.run import load_run
from posttrain.storage import Manifest, read_rejected, read_rows, sha256_file

SKILLS = ("addition", "korean_division")


class Bench:
    """A folder with the recipe `fresh`, which is `smoke` and may get more evals, and the data root with their files."""

    def __init__(self, folder: Path) -> None:
        self.recipes, self.root, self.dags = folder / "recipes", folder / "data", dict[str, Any]()
        self.recipes.mkdir()
        self.root.mkdir()
        self.recipe = yaml.safe_load((RECIPE_FOLDER / "smoke.yaml").read_text(encoding="utf-8")) | {"name": "fresh"}
        self.write()

    def write(self) -> None:
        (self.recipes / "fresh.yaml").write_text(yaml.safe_dump(self.recipe, allow_unicode=True), encoding="utf-8")

    def add_eval(self, name: str, questions: list[str]) -> str:
        """Write the eval's file, and name it in the recipe where it is not there yet; its sha256."""
        path = self.root / f"{name}.jsonl"
        path.write_text("".join(json.dumps({"question": q}, ensure_ascii=False) + "\n" for q in questions), encoding="utf-8")
        if name not in {spec["name"] for spec in self.recipe["evals"]}:
            self.recipe["evals"].append({"name": name, "load": {"kind": "file", "path": path.name}})
            self.write()
        return sha256_file(str(path))

    def test(self, dag_id: str, **options: Any) -> Any:
        from posttrain_airflow.rounds import load_dag

        if dag_id not in self.dags:
            self.dags[dag_id] = load_dag(dag_id)
        return self.dags[dag_id].test(**options)


@pytest.fixture(scope="module")
def bench(airflow_db: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """After a nightly rebuild of the recipe `fresh`, whose mixture is published."""
    with pytest.MonkeyPatch.context() as patch:
        made = Bench(tmp_path_factory.mktemp("fresh"))
        patch.setattr("posttrain.recipe.files.RECIPE_FOLDER", made.recipes)
        patch.setattr("posttrain_airflow.run_form.DEFAULT_RECIPE", "fresh")
        patch.setenv("POSTTRAIN_DATA_ROOT", str(made.root))
        run = made.test("nightly_rebuild", run_conf={"recipe": "fresh"})
        assert states(run)["publish_mixture"] == "success"
        yield made


def states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


def published() -> list[dict[str, Any]]:
    """What the events of training_mixture about the recipe `fresh` said, the last one last."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        events = session.scalars(select(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
                                 .where(AssetModel.name == "training_mixture").order_by(AssetEvent.id))
        return [event.extra | {"dag": event.source_dag_id} for event in events if event.extra.get("recipe") == "fresh"]


def questions(mixture: Manifest) -> list[str]:
    return [row["messages"][0]["content"] for row in read_rows(mixture, "sft")]


@pytest.fixture(scope="module")
def refreshed(bench: Bench) -> Any:
    """The run of `refresh_eval_index` after an eval set with four questions of the training data came."""
    training = [row["question"] for row in raw_rows(400, SKILLS, 0.1, 0, 0)]
    used = questions(load_run(published()[-1]["run_id"]).manifest("mix"))
    bench.leaked = [question for question in training if question in used][:4]
    bench.add_eval("leaked", bench.leaked)
    first, second = bench.test("watch_eval_sets"), bench.test("watch_eval_sets")
    assert states(first) == {"look": "success"} and states(second) == {"look": "skipped"}, "an event for each change, and no more"
    return bench.test("refresh_eval_index")


def test_rows_fall_and_the_new_version_is_published(bench: Bench, refreshed: Any) -> None:
    assert refreshed.state == "success", states(refreshed)
    assert set(states(refreshed).values()) == {"success"}
    before, after = published()
    assert after["dag"] == "refresh_eval_index" and after["content"] != before["content"]
    old, new = load_run(before["run_id"]).manifest("mix"), load_run(after["run_id"]).manifest("mix")
    assert set(bench.leaked) <= set(questions(old)) and not set(bench.leaked) & set(questions(new))
    gone = {row["id"] for row in read_rejected(new)}
    assert [row["id"] for row in read_rows(new, "sft")] == [row["id"] for row in read_rows(old, "sft") if row["id"] not in gone]
    assert new.rows["rejected"] == sum(old.written.values()) - sum(new.written.values()) >= 4
    page = Path(load_run(after["run_id"]).folder, "refresh.html").read_text(encoding="utf-8")
    assert "leaked.jsonl" in page and f"{new.rows['rejected']:,} of {new.rows['read']:,} rows fell" in page


def test_the_training_takes_the_new_version(bench: Bench, refreshed: Any) -> None:
    training = bench.test("train_on_new_mixture", mark_success_pattern=r"(?!(start|others)$).+")
    assert training.state == "success", states(training)
    run = load_run(training.run_id)
    assert run.manifest("mix").path == published()[-1]["manifest"]
    assert "leaked" in run.manifest("index_evals").facts["evals"], "and could evaluate on the new eval"


def test_the_books_of_the_new_version_add_up(bench: Bench, refreshed: Any) -> None:
    from posttrain.mix.books import keep_books

    books = keep_books(load_run(published()[-1]["run_id"]))
    assert books.problems == []
    assert books.as_json()["chain"]["word_problems"].keys() >= {"mixed", "refreshed"}


def test_nothing_new_and_nothing_done(bench: Bench, refreshed: Any) -> None:
    again = bench.test("refresh_eval_index", run_conf={"recipe": "fresh"})
    assert again.state == "success" and set(states(again).values()) == {"skipped"}


def test_an_eval_that_takes_no_row_triggers_no_training(bench: Bench, refreshed: Any) -> None:
    bench.add_eval("chess", ["White moves the queen in front of the king and mates in two moves whatever black replies to that"])
    before = published()
    run = bench.test("refresh_eval_index")
    found = states(run)
    assert run.state == "success" and found.pop("report_refresh") == found.pop("compare_mixture") == "success"
    assert found["new_mixture"] == found["publish_refreshed"] == "skipped"
    assert published() == before


def test_a_file_that_changed_stops_the_run_until_it_is_accepted(
    bench: Bench, refreshed: Any, capfd: pytest.CaptureFixture[str],
) -> None:
    old = sha256_file(str(bench.root / "leaked.jsonl"))
    new = bench.add_eval("leaked", [*bench.leaked, questions(load_run(published()[-1]["run_id"]).manifest("mix"))[0]])
    stopped = bench.test("refresh_eval_index")
    assert stopped.state == "failed" and states(stopped)["start"] == "failed"
    assert states(stopped)["new_mixture"] == "upstream_failed"
    assert f"leaked.jsonl (eval leaked): sha256 {old} when the mixture was compared with it, now {new}" in capfd.readouterr().out
    nightly = bench.test("nightly_rebuild", run_conf={"recipe": "fresh"})
    assert nightly.state == "failed" and states(nightly)["start"] == "failed", "a rebuild does not take it silently either"
    assert f"sha256 {old} when recipe fresh was run last, now {new}" in capfd.readouterr().out
    accepted = bench.test("refresh_eval_index", run_conf={"accept": [new[:12]]})
    assert accepted.state == "success" and states(accepted)["publish_refreshed"] == "success"
    assert len(published()) == 3


def test_a_wrong_request_fails_at_the_start(bench: Bench, refreshed: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run = bench.test("refresh_eval_index", run_conf={"recipes": "fresh"})
    assert run.state == "failed" and states(run)["start"] == "failed"
    assert "unknown conf key 'recipes', did you mean 'recipe'?" in capfd.readouterr().out


def test_an_event_may_name_no_path(bench: Bench, refreshed: Any) -> None:
    """The extra of an asset event is user input."""
    from airflow.sdk.exceptions import AirflowFailException

    from posttrain_airflow.assets import EVAL_SETS, TRAINING_MIXTURE
    from posttrain_airflow.refreshing import start_refresh

    event, dag_run, dag = (type("", (), {})() for _ in range(3))
    event.extra, dag_run.conf, dag.params = {"recipe": "../../etc/passwd.yaml"}, {}, {"recipe": None, "accept": []}
    context: Any = {"triggering_asset_events": {EVAL_SETS: [event]}, "inlet_events": {TRAINING_MIXTURE: []}, "dag_run": dag_run,
                    "dag": dag, "params": dag.params}
    with pytest.raises(AirflowFailException, match=r"no recipe '../../etc/passwd.yaml'; there are fresh"):
        start_refresh(context)
