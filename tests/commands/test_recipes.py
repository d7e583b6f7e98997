"""`retina-adapt recipes copy`: a copy has what it needs, and nothing of another recipe's."""

import runpy
import sys
from pathlib import Path

import pytest

from retina_adapt.commands.recipes import RecipeError, copy_recipe, recipe_names, recipe_summary, recipes_folder


def test_a_recipe_is_copied_with_its_configurations_and_overwrites_nothing(tmp_path: Path) -> None:
    copied = copy_recipe("adapt", tmp_path)
    assert tmp_path / "adapt.py" in copied
    assert tmp_path / "configs" / "adapt_light.yaml" in copied
    with pytest.raises(RecipeError, match="exists already"):
        copy_recipe("adapt", tmp_path)
    assert {"adapt", "evaluate", "reconstruct_autoencoder", "reconstruct_denoiser"} <= set(recipe_names())


def test_what_starts_several_processes_comes_with_a_recipe_that_trains(tmp_path: Path) -> None:
    launcher = {tmp_path / "configs" / "accelerate" / f"{name}.yaml" for name in ("ddp", "fsdp2", "two_cpu_processes")}
    assert launcher <= set(copy_recipe("adapt", tmp_path))
    assert not launcher & set(copy_recipe("reconstruct_denoiser", tmp_path))
    assert not launcher & set(copy_recipe("evaluate", tmp_path / "elsewhere"))


def test_recipes_are_not_copied_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(RecipeError, match="taken: is a file; give a folder to copy to with --to"):
        copy_recipe("adapt", tmp_path / "taken")


def test_every_recipe_says_in_a_line_what_it_is_for() -> None:
    assert recipe_summary("adapt").startswith("Adaptation: fit a frozen backbone")
    assert all(len(recipe_summary(name)) > 20 for name in recipe_names())


def test_recipes_whose_names_begin_alike_do_not_take_each_others_configurations(tmp_path: Path) -> None:
    copied = copy_recipe("evaluate", tmp_path)
    configurations = [tmp_path / "configs" / f"evaluate_{name}.yaml" for name in ("nano", "pairs")]
    assert copied == [tmp_path / "evaluate.py", *configurations]
    assert tmp_path / "configs" / "evaluate_router_embedded.yaml" in copy_recipe("evaluate_router", tmp_path)
    copy_recipe("evaluate_reconstruction", tmp_path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_copy_finds_what_it_imports(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy_recipe(name, tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if Path(entry) != recipes_folder()])
    for other in recipe_names():
        monkeypatch.delitem(sys.modules, other, raising=False)
    runpy.run_path(str(tmp_path / f"{name}.py"), run_name="copied")
    for other in recipe_names():
        sys.modules.pop(other, None)


def test_a_recipe_that_is_imported_may_be_there_already_and_stays_as_it_was_changed(tmp_path: Path) -> None:
    copy_recipe("adapt", tmp_path)
    changed = tmp_path / "adapt.py"
    changed.write_text("# mine\n")
    assert copy_recipe("sweep", tmp_path) == [tmp_path / "sweep.py", tmp_path / "configs" / "sweep_pairs.yaml"]
    assert changed.read_text() == "# mine\n"


def test_the_benchmarks_are_not_copied_but_run_where_they_are(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as refused:
        copy_recipe("benchmark", tmp_path)
    *_, script = str(refused.value).split(" ")
    assert Path(script).is_file()
    assert "benchmark" not in recipe_names()
