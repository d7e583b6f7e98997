"""The benchmark of the method's claims, as its users start it, on drawn photographs; its plan and its verdicts."""

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from retina_adapt.commands.draw import draw_photographs
from retina_adapt.commands.recipes import recipes_folder
from retina_adapt.configuration import parse_configuration

SPLITS = {"train": 4, "validation": 1, "test": 1}
CONFIGS = recipes_folder() / "configs"


@pytest.fixture(scope="module")
def module() -> Iterator[Callable[[str], ModuleType]]:
    """`module("plan")` is `benchmarks.claims.plan`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(recipes_folder()))
        yield lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(scope="module")
def full(module: Callable[[str], ModuleType]) -> object:
    """The committed configuration of the full benchmark."""
    arguments = ["--config", str(CONFIGS / "benchmark_claims_full.yaml")]
    return parse_configuration(module("claims").ClaimsConfig, description="", arguments=arguments)


@pytest.fixture(scope="module")
def quick(start_recipe: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The committed quick configuration, but for its photographs and folders, and smaller; the benchmark has run.

    In this process, as the tests: read from the disk a second time, a recipe that is edited meanwhile would be another.
    """
    folder = tmp_path_factory.mktemp("claims")
    for seed, (split, count) in enumerate(SPLITS.items()):
        draw_photographs(folder / "photographs" / split, count=count, seed=100 * seed, size=128)
    config = yaml.safe_load((CONFIGS / "benchmark_claims_quick.yaml").read_text())
    config |= {
        "output_folder": str(folder / "trainings"),
        "results": str(folder / "claims.json"),
        "document": str(folder / "results.md"),
        "figures": str(folder / "figures"),
        "data_sets": [{"name": "drawn", "path": str(folder / "photographs")}],
        "curve": [6],
        "steps": 6,
        "batch_size": 1,
        # So few steps show what is learned if they are long, and all on degraded photographs.
        "default_learning_rate": 4.0e-3,
        "clear_share": 0.0,
        "fit": {"steps": 2, "learning_rate": 4.0e-3, "photographs": [1]},
        "ablations": config["ablations"][:1],
    }
    (folder / "quick.yaml").write_text(yaml.safe_dump(config))
    start_recipe("benchmark", "claims", "--config", folder / "quick.yaml")
    return config | {"path": str(folder / "quick.yaml")}


@pytest.mark.slow
def test_the_quick_benchmark_has_every_arm_and_cell_and_adapted_beats_degraded(
    quick: dict, module: Callable[[str], ModuleType]
) -> None:
    results = json.loads(Path(quick["results"]).read_text())
    trainings = list(results["trainings"].values())
    plan = module("claims.plan")
    config = parse_configuration(module("claims").ClaimsConfig, description="", arguments=["--config", quick["path"]])
    # An arm's variants bear its name as well.
    planned = plan.plan_trainings(config)["arms"]
    by_arm = {arm: results["trainings"][training.key] for arm, (training,) in planned.items()}
    assert set(by_arm) == set(quick["arms"])
    fixed = {(each["training"]["arm"], each["training"]["pairs"]) for each in trainings if each["training"]["pairs"]}
    assert fixed == {(arm, pairs) for arm in quick["pairs_arms"] for pairs in quick["pair_counts"]}
    assert set(results["measurements"]["classical"]["result"]) == {
        "CLAHE",
        "illumination correction",
        "backbone alone",
    }
    (fitted,) = [each["fitted"] for each in trainings if "fitted" in each]
    assert set(fitted) == {"0"}
    scores = by_arm["ours"]["scores"]["drawn"]
    assert scores["psnr_enhanced"] > scores["psnr_degraded"] + 0.3
    assert by_arm["ours"]["trainable_parameters"] < 0.05 * by_arm["ours"]["backbone_parameters"]


@pytest.mark.slow
def test_its_document_has_a_row_for_each_arm_and_a_verdict_for_each_target(quick: dict) -> None:
    document = Path(quick["document"]).read_text()
    assert all(f"| {arm} |" in document for arm in quick["arms"])
    assert "nan" not in document
    assert (
        "| fewer parameters | at most 5% of the backbone's parameters | 3.0%; 18% of the autoencoder's | met |"
        in document
    )
    assert "| fewer pairs | ours with 10 pairs" in document
    assert {path.stem for path in Path(quick["figures"]).iterdir()} == {
        "pairs",
        "parameters",
        "convergence",
        "degradations",
    }


@pytest.mark.slow
def test_what_has_been_run_is_found_again_unless_the_backbone_is_another(
    quick: dict, module: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    claims, store = module("claims"), module("claims.store")
    config = parse_configuration(claims.ClaimsConfig, description="", arguments=["--config", quick["path"]])
    trainings = claims.in_order(claims.plan_trainings(config))
    # From the file of all results alone, as in a checkout.
    results = store.ResultStore(Path(quick["output_folder"]) / "elsewhere", quick["results"])
    assert [training.key for training in trainings if results.find(training, results.gathered()) is None] == []
    monkeypatch.setattr(store, "_fingerprint_of", lambda folder: "of a backbone trained anew")
    assert all(results.find(training, results.gathered()) is None for training in trainings)


def test_a_training_whose_result_may_be_another_has_another_key(
    module: Callable[[str], ModuleType], full: object
) -> None:
    training = module("claims").in_order(module("claims.plan").plan_trainings(full))[0]
    changes = {
        "arm": "lora",
        "degradation": "haze",
        "pairs": 5,
        "seed": 7,
        "steps": 1,
        "batch_size": 1,
        "learning_rate": 1.0,
        "learning_rate_decay": "cosine",
        "small_frames_share": 0.1,
        "clear_share": 0.3,
        "tone_variation": 0.1,
        "color_variation": 0.1,
        "data_sets": training.data_sets[:1],
        "test_sets": (replace(training.test_sets[0], where={"column": [0, 1]}),),
        "draws": 2,
        "adaptor": replace(training.adaptor, context_grid=0),
        "losses": replace(training.losses, logarithmic=0.5),
        "backbone": "another",
        "curve": (),
        "fit": module("claims.trainings").Fit(steps=1, learning_rate=1.0),
    }
    assert set(changes) == set(vars(training))
    keys = {replace(training, **{name: value}).key for name, value in changes.items()} | {training.key}
    assert len(keys) == len(changes) + 1


def test_the_paper_has_its_own_losses_and_scratch_none_on_latents(
    module: Callable[[str], ModuleType], full: object
) -> None:
    arms = module("claims.plan").plan_trainings(replace(full, losses=replace(full.losses, latent_adaptation=5.0)))[
        "arms"
    ]
    losses = vars(arms["paper"][0].losses)
    assert losses.pop("latent_adaptation") == losses.pop("latent_preservation") == 1.0
    assert set(losses.values()) == {0.0}
    assert arms["scratch"][0].losses.latent_adaptation == 0.0
    assert arms["full fine-tuning"][0].losses == arms["ours"][0].losses


def test_one_seed_of_the_arms_comes_first_and_questions_share_trainings(
    module: Callable[[str], ModuleType], full: object
) -> None:
    questions = module("claims.plan").plan_trainings(full)
    ordered = module("claims").in_order(questions)
    assert [training.arm for training in ordered[: len(full.arms)]] == full.arms
    assert [training.seed for training in ordered] == sorted(training.seed for training in ordered)
    assert questions["arms"]["ours"] == questions["ablations"]["ours"]
    assert {len(rows) for rows in questions["unseen"].values()} == {1}


def test_every_arm_has_its_own_learning_rate(module: Callable[[str], ModuleType], full: object) -> None:
    plan = module("claims.plan")
    config = replace(full, learning_rates={"ours": 0.5, "scratch": 0.25}, default_learning_rate=0.125)
    questions = plan.plan_trainings(config)
    for question in questions.keys() - {"learning_rates"}:
        for training in chain.from_iterable(questions[question].values()):
            assert training.learning_rate == config.learning_rates.get(training.arm, 0.125)


def test_the_long_trainings_are_tried_at_other_rates_and_share_that_of_their_own(
    module: Callable[[str], ModuleType], full: object
) -> None:
    questions = module("claims.plan").plan_trainings(full)
    (own,), (other,) = (
        questions["learning_rates"][f"scratch, {10 * full.steps} steps | {rate}"] for rate in (0.001, 0.002)
    )
    assert own == questions["convergence"]["scratch"][0]
    assert other == replace(own, learning_rate=0.002)
    control = "scratch with input skip with branches"
    (short, *_), (long, *_) = questions["arms"][control], questions["convergence"][control]
    assert (short.learning_rate, long.learning_rate) == (0.001, 0.0005)


def test_a_degradation_with_values_of_its_own_is_trained_without_them_besides(
    module: Callable[[str], ModuleType], full: object
) -> None:
    plan = module("claims.plan")
    config = replace(full, of_degradation={"haze": {"tone_variation": 0.5, "steps": 7}})
    questions = plan.plan_trainings(config)
    for rows, place in ((questions["degradations"], ""), (questions["unseen"], " | CSDI")):
        own, others = rows[f"haze{place}"][0], rows[f"haze{plan.AS_THE_OTHERS}{place}"][0]
        assert (own.tone_variation, own.steps) == (0.5, 7)
        assert others == replace(own, tone_variation=0.0, steps=config.steps, fit=None)
        assert rows[f"spots{place}"][0].steps == config.steps
        assert f"spots{plan.AS_THE_OTHERS}{place}" not in rows


def test_test_photographs_are_degraded_as_often_as_a_degradation_asks_for(
    module: Callable[[str], ModuleType], full: object
) -> None:
    plan = module("claims.plan")
    questions = plan.plan_trainings(replace(full, test_draws={"spots": 3}))
    for rows in (questions["degradations"], questions["unseen"]):
        for trainings in rows.values():
            assert {training.draws for training in trainings} == {3 if trainings[0].degradation == "spots" else 1}


def test_an_adaptor_is_fitted_to_all_photographs_of_a_data_set_and_to_few_of_one_it_has_not_seen(
    module: Callable[[str], ModuleType], full: object
) -> None:
    plan = module("claims.plan")
    questions = plan.plan_trainings(full)
    for question, photographs in (("degradations", (0,)), ("unseen", (5, 0))):
        for name, trainings in questions[question].items():
            expected = None if plan.AS_THE_OTHERS in name else photographs
            assert {training.fit and training.fit.photographs for training in trainings} == {expected}
    assert plan.plan_trainings(replace(full, fit=None))["degradations"]["mixed"][0].fit is None


@pytest.mark.slow
def test_fitting_starts_anew_from_the_training_for_every_data_set(
    module: Callable[[str], ModuleType], full: object, tmp_path: Path
) -> None:
    run = module("claims.trainings").run_training
    for name in ("first", "second"):
        for seed, split in enumerate(SPLITS):
            draw_photographs(tmp_path / name / split, count=2, seed=seed, size=128)
    first, second = (module("claims.pairs").DataSet(name, str(tmp_path / name)) for name in ("first", "second"))
    training = module("claims.plan").plan_trainings(replace(full, data_sets=[first, second]))["degradations"]["haze"][0]
    training = replace(training, steps=2, curve=(), draws=1, fit=replace(training.fit, steps=2, photographs=(1, 0)))
    both, alone = run(training), run(replace(training, test_sets=(second,)))
    assert both["fitted"]["0"]["second"] == alone["fitted"]["0"]["second"] != alone["scores"]["second"]
    # With another number of photographs, another result.
    assert alone["fitted"]["1"] != alone["fitted"]["0"]
    plain = run(replace(training, test_sets=(second,), fit=None))
    assert "fitted" not in plain
    assert plain["scores"] == alone["scores"]


def test_scores_of_several_draws_are_means_over_all_of_them(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    scoring, pairs = module("claims.scoring"), module("claims.pairs")
    draw_photographs(tmp_path / "test", count=2, seed=1, size=128)
    drawn = pairs.degraded([pairs.DataSet("drawn", str(tmp_path))], "test", "mixed", 64)
    once, twice = (scoring.score_pairs(lambda low: low, drawn, draws=draws) for draws in (1, 2))
    assert once["psnr_degraded"] != twice["psnr_degraded"]
    assert twice["psnr_enhanced"] == twice["psnr_degraded"]
    assert twice["psnr_clear_enhanced"] == once["psnr_clear_enhanced"]


def test_verdicts_ask_for_three_decibels_but_for_no_loss_where_the_input_is_mild(
    module: Callable[[str], ModuleType],
) -> None:
    gains = module("claims.targets").gains
    assert gains("", {"a": (20.0, 3.1), "b": (36.0, 0.1)}).met
    missed = gains("", {"a": (20.0, 2.9), "b": (36.0, 0.1)})
    assert not missed.met
    assert missed.measured == "1 of 2 cells, not a (+2.90)"
    assert gains("", {}).met is None


def test_a_loss_of_next_to_nothing_has_no_share_to_win_back(module: Callable[[str], ModuleType]) -> None:
    won_back = module("structure").won_back
    assert won_back({"dice clear": 0.7, "dice degraded": 0.4, "dice enhanced": 0.6}) == pytest.approx(2 / 3)
    assert won_back({"dice clear": 0.688, "dice degraded": 0.685, "dice enhanced": 0.682}) is None


def test_a_section_is_written_between_its_marks_and_leaves_the_rest(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    write, path = module("_marked_section").write_marked_section, tmp_path / "results.md"
    path.write_text("# Results\n\nBefore.\n\nAfter.\n")
    write(path, "claims", ["One."])
    write(path, "structure", ["Two."])
    write(path, "claims", ["Three."])
    once = path.read_text()
    write(path, "claims", ["Three."])
    assert path.read_text() == once
    assert "One." not in once
    assert once.index("After.") < once.index("Three.") < once.index("Two.")


def test_a_section_that_does_not_end_is_an_error_and_nothing_is_lost(
    module: Callable[[str], ModuleType], tmp_path: Path
) -> None:
    marked, path = module("_marked_section"), tmp_path / "results.md"
    marked.write_marked_section(path, "claims", ["One."])
    path.write_text(path.read_text().replace("<!-- end of claims -->", "By hand."))
    with pytest.raises(marked.DocumentError, match=r"results\.md: '<!-- claims: .*has no '<!-- end of claims -->'"):
        marked.write_marked_section(path, "claims", ["Two."])
    assert path.read_text().endswith("By hand.\n")


@dataclass(frozen=True)
class Run:
    """In the place of a training: what the verdicts ask of one is its key."""

    key: str


def by_psnr(psnr: dict[str, float | None]) -> tuple[dict[str, list[Run]], dict[str, dict]]:
    """Rows, and the results of those that have a PSNR; the others have not been run."""
    rows = {name: [Run(name)] for name in psnr}
    results = {
        name: {
            "scores": {"drawn": {"psnr_enhanced": value, "psnr_degraded": 15.0}},
            "trainable_parameters": 1,
            "backbone_parameters": 100,
        }
        for name, value in psnr.items()
        if value is not None
    }
    return rows, results


@pytest.mark.parametrize(
    ("skip", "met"),
    [(20.0, True), (21.0, False), (None, None)],
)
def test_fewer_pairs_are_held_against_every_training_from_scratch(
    module: Callable[[str], ModuleType], skip: float | None, met: bool | None
) -> None:
    rows, results = by_psnr({"ours | 10": 20.5, "scratch | 100": 18.0, "scratch with input skip | 100": skip})
    fewer_pairs = module("claims.targets").fewer_pairs
    assert fewer_pairs(rows, results).met is met
    longer = {name.replace(" |", ", 20 steps |"): trainings for name, trainings in rows.items()}
    assert fewer_pairs(longer, results, ", 20 steps").met is met


@pytest.mark.parametrize(
    ("branches", "branches_of_five", "met"),
    [(22.2, 20.4, [True, True]), (22.4, 20.6, [False, False]), (None, None, [None, None]), (22.2, None, [True, None])],
)
def test_fewer_parameters_are_held_against_the_best_full_fine_tuning(
    module: Callable[[str], ModuleType],
    branches: float | None,
    branches_of_five: float | None,
    met: list[bool | None],
) -> None:
    arms, results = by_psnr({"ours": 22.0, "full fine-tuning": 21.0, "full fine-tuning with branches": branches})
    pairs, of_pairs = by_psnr(
        {
            "ours | 5": 20.5,
            "full fine-tuning | 5": 20.0,
            "full fine-tuning with branches | 5": branches_of_five,
            "ours | 100": 21.5,
            "ours | all": 22.0,
        }
    )
    share, *others = module("claims.targets").fewer_parameters(arms, pairs, results | of_pairs)
    assert share.met
    assert [verdict.met for verdict in others] == met


@pytest.mark.parametrize(
    ("changes", "measured", "met"),
    [
        ({}, "on 3 of 3", True),
        ({"b | scratch with input skip": 19.5}, "on 2 of 3", False),
        ({"c | ours": 14.0, "c | scratch": 13.0}, "on 2 of 3", False),
        ({"a | ours": None}, "", None),
        ({"d | ours and denoiser": None}, "", None),
    ],
)
def test_other_backbones_are_held_against_their_input_and_all_training_from_scratch(
    module: Callable[[str], ModuleType], full: object, changes: dict[str, float | None], measured: str, met: bool | None
) -> None:
    psnr = {f"{kind} | ours": 19.0 for kind in "abc"} | {f"{kind} | scratch": 17.0 for kind in "abc"}
    psnr |= {"b | scratch with input skip": 18.0, "d | ours and denoiser": 19.0} | changes
    rows, results = by_psnr(psnr)
    for result in results.values():
        result["scores"]["drawn"] |= {"ssim_enhanced": 0.9, "psnr_clear_enhanced": 40.0}
        result["seconds"] = 1.0
    section = module("claims.section")
    about = section.Material(
        config=full, questions={"backbones": rows}, results=results, measured={}, figures=Path(), link=""
    )
    (verdict,) = module("claims.adaptor_sections").backbones(about).verdicts
    assert (verdict.measured, verdict.met) == (measured, met)


@pytest.mark.parametrize(("best_step", "met"), [(50, True), (150, False), (None, False)])
def test_convergence_is_held_against_each_of_the_long_trainings(
    module: Callable[[str], ModuleType], best_step: int | None, met: bool
) -> None:
    steps = (50, 150)
    curve = [{"step": step, "psnr": 24.0 if best_step and step >= best_step else 20.0} for step in steps]
    long = [{"step": 1000, "psnr": 23.0}, {"step": 2000, "psnr": 22.0}], [{"step": 1000, "psnr": 21.0}] * 2
    results = {"ours": {"curve": curve}, "scratch": {"curve": long[0]}, "scratch with input skip": {"curve": long[1]}}
    rows = {name: [Run(name)] for name in results}
    arms = {"ours": rows.pop("ours")}
    # A tenth of the 1000 steps where scratch is best is 100, of 2000 it would be 200.
    verdict = module("claims.targets").faster_convergence(arms, rows, results)
    assert "scratch comes to 23.00 dB at step 1000" in verdict.measured
    assert verdict.met is met


def test_no_harm_counts_every_adaptor_and_the_worst_photograph_of_the_router(
    module: Callable[[str], ModuleType],
) -> None:
    found = {"HRF": {"light": {"psnr": 39.9, "lowest_psnr": 30.0}, "auto": {"psnr": 90.0, "lowest_psnr": 41.0}}}
    routed, each = module("claims.targets").no_harm(found, "auto")
    assert (routed.met, each.met, each.measured) == (True, False, "0 of 1, not light on HRF (39.9)")
    found["HRF"]["auto"]["lowest_psnr"] = 39.0
    assert not module("claims.targets").no_harm(found, "auto")[0].met


def test_a_measure_is_valid_where_it_ranks_alike_on_all_parts(module: Callable[[str], ModuleType]) -> None:
    is_valid = module("claims.targets").is_valid
    assert is_valid({"development": -0.9, "held out": -0.5})
    assert not is_valid({"development": -0.9, "held out": -0.4})
    assert not is_valid({"development": -0.9, "held out": 0.9})
