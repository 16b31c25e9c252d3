"""Checks a dataset folder as its users would read it: python check_dataset.py DIR

Loads it with `datasets.load_dataset(DIR)` and no other argument, compares what comes out with the card and with
metadata.json, and looks at every row. Prints what was checked; exits with 1 at the first thing that is wrong.
"""

import json
import math
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import datasets
import pyarrow.parquet as parquet
from huggingface_hub import DatasetCard

SPLITS = ("train", "validation", "test")


class Wrong(Exception):
    """What is wrong with the dataset."""


def require(condition, message):
    if not condition:
        raise Wrong(message)


def require_equal(found, expected, what):
    require(found == expected, f"{what}: found {found!r}, expected {expected!r}")


def require_features(found, expected, what):
    differing = [name for name in {**found, **expected} if found.get(name) != expected.get(name)]
    require(not differing, f"{what}: these columns have other types: {', '.join(differing)}")


def load(folder, cache):
    """The dataset as a user gets it, with every check that the library has."""
    try:
        return datasets.load_dataset(str(folder), cache_dir=cache, verification_mode="all_checks")
    except Exception as problem:  # whatever the library finds wrong is wrong with the dataset
        raise Wrong(f"load_dataset: {type(problem).__name__}: {problem}") from problem


def check_card(folder):
    """The card's front matter is valid for the Hub and declares each file for its split."""
    card = DatasetCard.load(folder / "README.md")
    data = card.data.to_dict()
    for field in ("pretty_name", "license", "language", "size_categories", "task_categories", "tags", "configs"):
        require(data.get(field), f"README.md: {field} is missing")
    declared = {file["split"]: file["path"] for file in data["configs"][0]["data_files"]}
    for split, path in declared.items():
        require((folder / path).is_file(), f"README.md: {path} of split {split} does not exist")
    require(len(card.text.strip()) > 1000, "README.md: the text is missing")
    return declared


def check_loading(folder, cache, metadata, declared):
    """What loads is what the card and metadata.json promise."""
    dataset = load(folder, cache)
    require_equal(set(dataset), set(declared), "splits")
    require_equal(set(dataset), set(metadata["splits"]), "splits in metadata.json")
    promised = datasets.load_dataset_builder(str(folder), cache_dir=cache).info
    columns = {column["name"]: column["feature"] for column in metadata["schema"]}
    for name, split in dataset.items():
        # Straight from the file, so that the card's features can't stand in for the real ones.
        plain = datasets.Dataset.from_parquet(str(folder / declared[name]), cache_dir=cache)
        require_features(plain.features, promised.features, f"{name} against the card")
        require_features(plain.features, datasets.Features.from_dict(columns), f"{name} against metadata.json")
        require_equal(list(split.column_names), list(columns), f"{name}: columns")
        require_equal(len(split), metadata["splits"][name]["trajectories"], f"{name}: rows")
        found, stated = plain.info.splits["train"].num_bytes, promised.splits[name].num_bytes
        require(math.isclose(found, stated, rel_tol=0.01), f"{name}: num_bytes is {stated}, and {found} were read")
    return dataset


def check_files(folder, metadata):
    """The Parquet files can be read in parts."""
    for entry in metadata["files"]:
        path = folder / entry["path"]
        require_equal(path.stat().st_size, entry["bytes"], f"{entry['path']}: bytes")
        layout = parquet.ParquetFile(path).metadata
        require_equal(layout.num_rows, entry["rows"], f"{entry['path']}: rows")
        for group in range(layout.num_row_groups):
            row_group = layout.row_group(group)
            require(row_group.total_byte_size <= 100 << 20, f"{entry['path']}: row group {group} is over 100 MiB")
            column = row_group.column(0)
            require_equal(column.compression, "ZSTD", f"{entry['path']}: compression")
            require(column.has_offset_index and column.has_column_index, f"{entry['path']}: there is no page index")


def check_row(row):
    """One trajectory is consistent in itself."""
    steps = row["trajectory"]
    require_equal(len(steps), row["num_steps"], "num_steps")
    require_equal([step["step"] for step in steps], list(range(1, len(steps) + 1)), "step numbers")
    total = math.fsum(step["reward"] for step in steps)
    if steps:
        require(abs(total - row["total_reward"]) < 1e-9, f"rewards add up to {total}, not {row['total_reward']}")
    require(0 <= row["total_reward"] <= 1, f"total_reward is {row['total_reward']}")
    results = {1.0: "success", 0.0: "failure"}
    require_equal(row["final_result"], results.get(row["total_reward"], "partial"), "final_result")
    require_equal(row["total_tokens"], row["input_tokens"] + row["output_tokens"], "total_tokens")
    for step in steps:
        require(isinstance(step["observation"], str), f"step {step['step']}: the observation is no text")
        require(step["action"]["type"], f"step {step['step']}: the action has no type")
        require(step["state"]["cwd"], f"step {step['step']}: there is no working directory")
        require(isinstance(json.loads(step["action"]["arguments"]), dict), f"step {step['step']}: arguments")
        require(isinstance(json.loads(step["state"]["files_changed"]), dict), f"step {step['step']}: files_changed")
    check_chat(row)


def check_chat(row):
    """Each tool's answer has its call, and the tools have names."""
    messages = row["messages"]
    require(messages, "there are no messages")
    calls = set()
    for message in messages:
        require(message["role"] in ("system", "user", "assistant", "tool"), f"role {message['role']!r}")
        for call in message["tool_calls"] or []:
            calls.add(call["id"])
        if message["role"] == "tool":
            require(message["tool_call_id"] in calls, f"{message['tool_call_id']!r} answers no call")
    for tool in json.loads(row["tools"]):
        require(tool["function"]["name"], "a tool has no name")


def check_rows(dataset, metadata):
    """Every row, and what metadata.json says of all of them."""
    splits_of = defaultdict(set)
    counted = {name: Counter() for name in ("category", "difficulty", "llm_model", "scaffold", "final_result")}
    seen = set()
    steps = 0
    for name, split in dataset.items():
        for row in split:
            where = f"{name}: {row['run']}/{row['rollout_id']}"
            try:
                check_row(row)
            except (Wrong, ValueError, KeyError) as problem:
                raise Wrong(f"{where}: {problem}") from problem
            require(where not in seen, f"{where} is there twice")
            seen.add(where)
            splits_of[row["cluster"]].add(name)
            steps += row["num_steps"]
            for column, counter in counted.items():
                counter[row[column]] += 1
    torn = {cluster: sorted(names) for cluster, names in splits_of.items() if len(names) > 1}
    require(not torn, f"clusters in more than one split: {torn}")
    total = len(seen)
    require_equal(total, metadata["total_trajectories"], "total_trajectories")
    require_equal(counted["category"], metadata["category_distribution"], "category_distribution")
    require_equal(counted["difficulty"], metadata["difficulty_distribution"], "difficulty_distribution")
    require_equal(counted["llm_model"], metadata["llm_distribution"], "llm_distribution")
    require_equal(counted["scaffold"], metadata["scaffold_distribution"], "scaffold_distribution")
    require(math.isclose(counted["final_result"]["success"] / total, metadata["success_rate"]), "success_rate")
    require(math.isclose(steps / total, metadata["avg_trajectory_length"]), "avg_trajectory_length")
    raw = metadata["raw"]
    require_equal(raw["kept"] + sum(raw["dropped"].values()), raw["submitted"], "kept + dropped")
    require_equal(raw["kept"], total, "kept")
    return total, steps


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    datasets.disable_progress_bars()
    try:
        for name in ("metadata.json", "README.md"):
            require((folder / name).is_file(), f"{folder} holds no {name}")
        metadata = json.loads((folder / "metadata.json").read_text())
        declared = check_card(folder)
        check_files(folder, metadata)
        with tempfile.TemporaryDirectory() as cache:
            dataset = check_loading(folder, cache, metadata, declared)
            total, steps = check_rows(dataset, metadata)
            sizes = ", ".join(f"{name} {len(dataset[name])}" for name in SPLITS if name in dataset)
    except Wrong as problem:
        sys.exit(f"{folder}: {problem}")
    print(f"{folder}: {total} trajectories ({sizes}) with {steps} steps are as the card and metadata.json say")


if __name__ == "__main__":
    main()
