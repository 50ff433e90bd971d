"""metrics.jsonl and the batch arithmetic that all trainers share."""

import json

import pytest

from posttrain.recipe import load_recipe
from posttrain.train.job import Job, last_complete_checkpoint
from posttrain.train.metrics import metrics_callback, shared_arguments


class State:
    def __init__(self, step, max_steps=10):
        self.global_step, self.max_steps, self.is_world_process_zero = step, max_steps, True


def job(folder):
    return Job(load_recipe("smoke"), {}, folder)


def test_a_resumed_run_drops_the_lines_of_the_steps_that_it_does_again(tmp_path):
    first = metrics_callback(job(tmp_path))
    first.on_train_begin(None, State(0), None)
    for step in (1, 2, 3):
        first.on_log(None, State(step), None, {"loss": float(step), "train_runtime": 1.5})
    resumed = metrics_callback(job(tmp_path))
    resumed.on_train_begin(None, State(2), None)
    resumed.on_log(None, State(3), None, {"loss": 30.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 2.0}, {"step": 3, "loss": 30.0}]


def test_batch_size_is_what_the_recipe_says_over_all_processes(tmp_path):
    settings = load_recipe("smoke").sft.model_copy(update={"batch_size": 32, "per_device_batch_size": 4})
    arguments = shared_arguments(job(tmp_path), settings, world_size=2)
    assert arguments["per_device_train_batch_size"] * arguments["gradient_accumulation_steps"] * 2 == 32


def test_a_batch_size_that_cannot_be_made_is_refused(tmp_path):
    settings = load_recipe("smoke").sft.model_copy(update={"batch_size": 30, "per_device_batch_size": 4})
    with pytest.raises(ValueError, match="batch_size 30 is not"):
        shared_arguments(job(tmp_path), settings, world_size=2)


def test_a_checkpoint_without_its_last_file_does_not_count(tmp_path):
    states = {6: b'{"global_step": 6}', 12: b'{"global_step": 12}', 18: None, 24: b'{"global_step": 24, "log_hist', 30: b""}
    for step, state in states.items():
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"")
        if state is not None:
            (folder / "trainer_state.json").write_bytes(state)
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")
    assert last_complete_checkpoint(tmp_path / "none") is None
