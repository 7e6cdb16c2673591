from __future__ import annotations

from pathlib import Path

import pytest

from dkvb import recipe as recipes
from dkvb.errors import UsageError
from dkvb.recipe import Recipe

PAPER = {
    # recipe: (top_k, values, lr, epochs, linear lr, max steps, min steps, na, ne), Tables 4 to 6 and Appendix C
    "cifar10": (1, "normal", 0.1, 74, 0.001, 3, 3, 180_000, 3_200),
    "cifar100": (10, "zeros", 0.3, 71, 0.01, 9, 10, 70_000, 150),
    "lacuna100": (10, "uniform", 0.3, 7, 0.01, 5, 7, 150_000, 300),
}


@pytest.mark.parametrize("name", recipes.builtin_names())
def test_every_builtin_recipe_loads_and_is_named_like_its_file(name: str) -> None:
    assert recipes.load(name).name == name


@pytest.mark.parametrize("name", PAPER)
def test_paper_recipes_hold_the_paper_s_tables(name: str) -> None:
    r = recipes.load(name)
    found = (
        r.keys.top_k,
        r.train.values,
        r.train.lr,
        r.train.epochs,
        r.linear.lr,
        r.scrub.max_steps,
        r.scrub.min_steps,
        r.unlearn.na,
    )
    assert (*found, r.unlearn.ne) == PAPER[name]
    assert (r.keys.codebooks, r.keys.pairs, r.keys.dim, r.keys.epochs, r.keys.batch_size, r.keys.decay) == (
        256,
        4096,
        8,
        10,
        256,
        0.95,
    )
    assert (r.train.batch_size, r.linear.batch_size, r.linear.epochs, r.scrub.batch_size) == (256, 256, 2, 256)
    assert r.data.validation == 0
    assert r.run.seeds == [0, 1, 2, 3, 4]


def test_default_is_dkvb_toml_here_else_cifar10(tmp_path: Path) -> None:
    assert recipes.load().name == "cifar10"
    (tmp_path / "dkvb.toml").write_text('name = "mine"\n[data]\nsource = "digits"\n')
    assert recipes.load().name == "mine"


def test_a_file_overrides_the_builtin_recipe_of_its_source(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[data]\nsource = "digits"\n[keys]\npairs = 99\n')
    r = recipes.load("r.toml")
    assert (r.keys.pairs, r.keys.codebooks, r.name) == (99, recipes.load("digits").keys.codebooks, "r")


def test_flags_override_the_file() -> None:
    r = recipes.load("digits").with_(unlearn={"na": 7}, run={"seeds": [3]})
    assert (r.unlearn.na, r.run.seeds, r.keys) == (7, [3], recipes.load("digits").keys)


def test_paths_are_relative_to_the_recipe_file(tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "r.toml").write_text('[data]\nsource = "folder"\npath = "../pictures"\n[encoder]\nweights = "clip.pt"\n')
    r = recipes.load(str(folder / "r.toml"))
    assert r.data.path == str(tmp_path / "pictures")
    assert r.encoder.weights == str(folder / "clip.pt")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[data]\nsorce = "digits"', "'sorce' in [data]; did you mean 'source'?"),
        ("[kyes]\npairs = 3", "unknown key 'kyes'; did you mean 'keys'?"),
        ("keys = 3", "'keys' is a section"),
        ('[data]\nsource = "cifar11"', "unknown data.source 'cifar11'; did you mean"),
        ('[unlearn]\nmethod = "activation"', "did you mean 'activations'?"),
        ("[unlearn]\nna = -1", "unlearn.na = -1: give 0 or more, or 'auto'"),
        ("[unlearn]\nne = -5", "unlearn.ne = -5: give 0 or more"),
        ("[scrub]\nmin_steps = 0", "scrub.min_steps = 0"),
        ('[keys]\npairs = "many"', "keys.pairs"),
        ("[keys]\npairs = 4\ntop_k = 5", "top_k = 5 is more than pairs = 4"),
        ("[keys]\npairs = 70000", "keys.pairs"),
        ("[data]\nvalidation = 1.0", "data.validation"),
        ("[run]\nseeds = []", "run.seeds"),
        ('[keys]\ninit = "kmeans"', "keys.init"),
        ("[keys\npairs = 4", "is not valid TOML"),
        ("[run]\nseeds = [-1]", "run.seeds = -1: give 0 or more"),
        (
            "[run]\nseeds = [0, 18446744073709551616]",
            "run.seeds = 18446744073709551616: give 9223372036854775807 or less",
        ),
        ("[run]\nseeds = [3, 0, 3]", "run.seeds: 3 is named twice"),
        ("[run]\nseeds = 3", "run.seeds = 3: give a list"),
        ("[run]\nworkers = 0", "run.workers = 0: give 1 or more"),
        ("[run]\nmemory = inf", "run.memory = inf: give a finite number"),
        ("[train]\nlr = nan", "train.lr = nan: give a finite number"),
        ("[train]\nepochs = 1.5", "train.epochs = 1.5: give a whole number"),
        ("[data]\nstrict = 1", "data.strict = 1: give true or false"),
        ('[data]\non_bad = "ignore"', "data.on_bad = 'ignore': give 'fail' or 'skip'"),
        ("[verify]\nmax_forget = 2.0", "verify.max_forget = 2.0: give 1.0 or less, or 'chance'"),
        ("[verify]\nmax_forget = nan", "verify.max_forget = nan: give a finite number, or 'chance'"),
        ("[verify]\nsamples = [5, 0]", "verify.samples = 0: give 1 or more"),
        ("[verify]\nsamples = []", "verify.samples = []: give a list of at least 1"),
        ('[unlearn]\nmethod = ["scrub", "scrub"]', "'scrub' is named twice"),
        ('[data]\nsource = "featurs"\n[encoder]\nname = "pixels"', "'featurs'; did you mean 'features'?"),
        ("[data]\nsource = 3", "data.source = 3: give text in quotes"),
    ],
)
def test_bad_recipes_are_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        recipes.load("r.toml")
    assert says in str(error.value)
    assert "r.toml" in str(error.value)


def test_unknown_recipes_are_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'cifar10'"):
        recipes.load("cifar1")
    with pytest.raises(UsageError, match="no recipe file nowhere.toml"):
        recipes.load("nowhere.toml")


def test_the_encoder_of_a_recipe_on_features_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[data]\nsource = "features"\npath = "x"\n[encoder]\nname = "timm:none"\n')
    assert recipes.load("r.toml").encoder.batch_size == recipes.load("features").encoder.batch_size


def test_another_encoder_takes_no_weights_of_the_usual_one(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('[data]\nsource = "cifar10"\n[encoder]\nname = "resnet50"\n')
    assert recipes.load("cifar10").encoder.weights
    assert recipes.load("r.toml").encoder.weights is None


def test_a_recipe_file_may_begin_with_a_byte_order_mark_but_must_be_text(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('name = "mine"', encoding="utf-8-sig")
    assert recipes.load("r.toml").name == "mine"
    (tmp_path / "r.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(UsageError, match=r"r\.toml is not valid TOML: its text is not UTF-8"):
        recipes.load("r.toml")


def test_own_data_have_a_converged_head_unless_its_epochs_are_said(tmp_path: Path) -> None:
    def read(more: str) -> Recipe:
        (tmp_path / "r.toml").write_text('[data]\nsource = "features"\n' + more, encoding="utf-8")
        return recipes.load(str(tmp_path / "r.toml"))

    assert (read("").linear.until, read("").scrub.lr) == ("converged", 0.1)
    said = read("[linear]\nepochs = 10\n")
    assert (said.linear.until, said.linear.lr, said.linear.converged, said.scrub.lr) == ("epochs", 0.01, True, 0.01)
    assert read("[linear]\nlr = 0.1\n[scrub]\nlr = 0.5\n").scrub.lr == 0.5
    both = read('[linear]\nuntil = "converged"\nepochs = 3\n')
    assert (both.linear.until, both.scrub.lr) == ("converged", 0.1)
    assert read("").train.label_smoothing == 0.1
    assert read("[train]\nepochs = 5\n").train.label_smoothing == 0, "as in version 0.1"
    assert read("[train]\nlabel_smoothing = 0.2\n").train.label_smoothing == 0.2
    for name in recipes.builtin_names():
        recipe = recipes.load(name)
        paper = name != "digits" and not recipe.data.own
        assert (recipe.linear.until == "epochs", not recipe.keys.adapt) == (paper, paper), name
        assert recipe.train.label_smoothing == (0.1 if recipe.data.own else 0), name
