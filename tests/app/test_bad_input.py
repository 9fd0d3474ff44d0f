"""What our own app refuses: exit code not 0, one line that names the key, no traceback, and no folder left behind."""

import shutil
from pathlib import Path

import pytest

from hposweep.commands import COMMANDS
from hposweep.training import fashion_mnist
from support.processes import ROOT, Completed, Run

N_TRIALS, SEED = "hydra.sweeper.n_trials", "hydra.sweeper.seed"
DIRECTION, METRIC = "hydra.sweeper.direction", "hydra.sweeper.metric"
SPACE = "hydra.sweeper.search_space.optimizer.learning_rate"
LR = "optimizer.learning_rate"

BAD_INPUT = [
    ("hydra.sweeper.n_seeds=3", "hydra.sweeper.n_trials: must be a multiple of n_seeds (3), got 16"),
    ("hydra.sweeper.n_seeds=0", "hydra.sweeper.n_seeds: must be at least 1, got 0"),
    ("hydra.sweeper.confirm_top=-1", "hydra.sweeper.confirm_top: must be at least 0, got -1"),
    ("hydra.sweeper.n_trials=null", "hydra.sweeper.n_trials: must be given, since there is no end of configurations"),
    ("hydra.sweeper.learn_from=[nosuch]", "hydra.sweeper.learn_from: nosuch: nosuch/journal.jsonl: not found; "),
    ("hydra.sweeper.initial_configs=[{x: 1}]", "hydra.sweeper.initial_configs[0]: x: is not searched. Searched: "),
    ("hydra.sweeper.own_spaces=nosuch", "hydra.sweeper.own_spaces: the config has no directory nosuch"),
    (f"{N_TRIALS}=0", "hydra.sweeper.n_trials: must be at least 1, got 0"),
    (f"{N_TRIALS}=-3", "hydra.sweeper.n_trials: must be at least 1, got -3"),
    (f"{N_TRIALS}=many", "hydra.sweeper.n_trials: Value 'many' of type 'str' could not be converted to Integer"),
    (f"{SEED}=-1", "hydra.sweeper.seed: must be from 0 to 4294967295, got -1"),
    ("seed=-1", "seed: must be from 0 to 2147483647, got -1"),
    (f"{DIRECTION}=sideways", "hydra.sweeper.direction: must be minimize or maximize, got 'sideways'"),
    (f"{DIRECTION}=[minimize,maximize]", "hydra.sweeper.direction: one direction, minimize or maximize; a list"),
    ("hydra.sweeper.final_metric=best_value", "hydra.sweeper.final_metric: 'best_value' has another meaning in"),
    ("hydra.sweeper.final_metric=' '", "hydra.sweeper.final_metric: must be a name in one line, got ' '"),
    ("hydra.sweeper.max_failure_rate=2", "hydra.sweeper.max_failure_rate: must be from 0 to 1, got 2"),
    ("hydra.sweeper.max_batch_size=0", "hydra.sweeper.max_batch_size: must be at least 1"),
    ("hydra.sweeper.trial_timeout=0", "hydra.sweeper.trial_timeout: must be above 0 seconds"),
    ("hydra.sweeper.time_budget=-1", "hydra.sweeper.time_budget: must be above 0 seconds"),
    ("hydra.sweeper.max_retries=-1", "hydra.sweeper.max_retries: must be at least 0, got -1"),
    ("hydra.sweeper.progress=fancy", "hydra.sweeper.progress: must be one of auto, live, log, none, got 'fancy'"),
    ("hydra.launcher.n_workers=0", "hydra.launcher.n_workers: must be at least 1, got 0"),
    ("hydra.launcher.devices=[0,0]", "hydra.launcher.devices: 0 stands twice; hydra.launcher.workers_per_device"),
    ("hydra.launcher.devices=[gpu]", "hydra.launcher.devices: must be numbers from 0 and ids such as GPU-8932f937 or"),
    ("hydra.launcher.workers_per_device=2", "hydra.launcher.workers_per_device: needs hydra.launcher.devices"),
    ("searcher=random,tpe", "searcher: can't be searched over"),
    ("scheduler=fifo,asha", "scheduler: can't be searched over"),
    ("search_space=mlp,lenet", "search_space: can't be searched over"),
    ("experiment=a,b", "experiment: can't be searched over"),
    ("searcher=rndom", "searcher: no 'rndom'; did you mean 'random'? Available: bayesian, "),
    ("hydra/sweeper/searcher=random", "hydra/sweeper/searcher: here it is searcher=random"),
    ("model=sofmax", "model: no 'sofmax'; did you mean 'softmax'? Available: lenet, mlp, softmax"),
    ("model=mlp,sofmax", "model: no 'sofmax'; did you mean 'softmax'? Available: lenet, mlp, softmax"),
    (
        "data=nosuch",
        "data: no 'nosuch'. Available: arrays, csv, dataset, fashion_mnist, fashion_mnist_book, keras_dataset",
    ),
    (f'{SPACE}="gama(2,1)"', "search_space.optimizer.learning_rate: no distribution 'gama'; did you mean 'gamma'?"),
    (
        f'{SPACE}="loguniform(1,1e-4)"',
        "search_space.optimizer.learning_rate: loguniform(a, b) needs 0 < a < b, got a=1",
    ),
    (f'{SPACE}="beta(1)"', "search_space.optimizer.learning_rate: beta(1): wrong arguments; usage: beta(a, b, loc=0"),
    (f'{SPACE}="choice()"', "search_space.optimizer.learning_rate: choice() needs at least one option"),
    (f"{LR}=interval(1,0)", "optimizer.learning_rate: interval(1,0): needs low < high"),
    (f"{LR}=tag(log,interval(0,1))", "optimizer.learning_rate: tag(log,interval(0,1)): a log scale needs 0 < low"),
    (f"{LR}=tag(log,interval(-1,1))", "optimizer.learning_rate: tag(log,interval(-1,1)): a log scale needs 0 < low"),
    (f"{LR}=choice()", "optimizer.learning_rate=choice(): empty choice is not legal"),
    (f"{LR}=gamma(2,1)", "optimizer.learning_rate=gamma(2,1): Unknown function 'gamma'. Available: "),
    (f"{LR}=abc", "optimizer.learning_rate: Value 'abc' of type 'str' could not be converted to Float"),
    (f"{LR}=abc,def", "optimizer.learning_rate: Value 'def' of type 'str' could not be converted to Float"),
    (
        "optimizer.learnin_rate=0.1",
        "optimizer.learnin_rate: not in the config; did you mean 'optimizer.learning_rate'?",
    ),
    (
        "optimizer.learnin_rate=0.1,1",
        "optimizer.learnin_rate: not in the config; did you mean 'optimizer.learning_rate'?",
    ),
    ("hydra.sweeper.n_trails=3", "hydra.sweeper.n_trails: not in the config; did you mean 'hydra.sweeper.n_trials'?"),
    ("+hydra.sweeper.searcher.foo=1", "hydra.sweeper.searcher.foo: no such option of RandomSearcher"),
    ("hydra.sweeper.n_trials=1,2", "Sweeping over Hydra's configuration is not supported"),
    ("data.batch_size=50001", "data.batch_size: must be from 1 to 50000, the training examples; got 50001"),
    ("data.batch_size=0", "data.batch_size: must be from 1 to 50000, the training examples; got 0"),
    ("trainer.max_epochs=0", "trainer.max_epochs: must be at least 1, got 0"),
    (
        "scheduler=assha",
        "scheduler: no 'assha'; did you mean 'asha'? Available: asha, fifo, hyperband, median_stopping",
    ),
    ("hydra/sweeper/scheduler=asha", "hydra/sweeper/scheduler: here it is scheduler=asha"),
    ("hydra.sweeper.target_epoch=3", "hydra.sweeper.target_epoch: is set for each job by the scheduler"),
    ("trainer.stage=retrain", "trainer.stage: a sweep trains its trials, and tests its winner by itself; got retrain"),
    ("hydra.sweeper.metric=state", "hydra.sweeper.metric: 'state' heads another column of the tables"),
    (f"{METRIC}=accuracy", f"{METRIC}: must be a column of the learning curve, validation_error, validation_loss, "),
    (f"{DIRECTION}=maximize", f"{DIRECTION}: must be minimize, since less validation_error is better; got maximize"),
    ("search_space=null", "search_space=null: a config group needs one of its options; Available: "),
    (
        "hydra.sweeper.search_space.optimizer.learning_rate='loguniform(1, inf)'",
        "search_space.optimizer.learning_rate: loguniform(1, inf): half of its draws or more would not",
    ),
    ("hydra.sweep.subdir=one", "hydra.sweep.subdir: gives all trials the folder 'one'"),
    ("hydra.sweep.dir=/proc/nosuch", "hydra.sweep.dir: /proc/nosuch can't be made"),
]


WORKERS = "a key of another plugin; here the number of workers is hydra.launcher.n_workers"
STUDY = "a key of another plugin; here the sweep's folder is the study: hydra.sweep.dir names it"
UNREAD = [
    (
        "+trainer.hooks=[a]",
        "trainer.hooks: nothing reads this key. Keys of trainer: max_epochs, target",
    ),
    ("+trainer.max_epoch=3", "trainer.max_epoch: nothing reads this key; did you mean 'trainer.max_epochs'?"),
    ("+trainer.max_epoch=3,4", "trainer.max_epoch: nothing reads this key; did you mean 'trainer.max_epochs'?"),
    ("n_trials=5", "n_trials: not in the config; did you mean 'hydra.sweeper.n_trials'?"),
    ("+n_trials=5", "n_trials: nothing reads this key; did you mean 'hydra.sweeper.n_trials'?"),
    ("n_workers=2", "n_workers: not in the config; did you mean 'hydra.launcher.n_workers'?"),
    ("learning_rate=0.1", "learning_rate: not in the config; did you mean 'optimizer.learning_rate'?"),
    ("+hydra.sweep.n_trials=5", "hydra.sweep.n_trials: nothing reads this key; did you mean 'hydra.sweeper.n_trials'?"),
    ("+hydra.launcher.foo=1", "hydra.launcher.foo: nothing reads this key. Keys of hydra.launcher: n_workers, devices"),
    ("+model.foo=1", "model.foo: nothing reads this key. Keys of model: loss"),
    ("+model.num_hiddens=64", "model.num_hiddens: a key of model=mlp alone"),
    ("model.num_hiddens=64", "model.num_hiddens: a key of model=mlp alone"),
    ("optimizer.beta_1=0.5", "optimizer.beta_1: a key of optimizer=adam, optimizer=adamw alone"),
    ("+optimizer.beta_1=0.5", "optimizer.beta_1: a key of optimizer=adam, optimizer=adamw alone"),
    ("+trainer={foo:1}", "trainer.foo: not in the config. Keys of trainer: max_epochs, "),
    ("optimizer.lr=0.5", "optimizer.lr: not in the config. Keys of optimizer: name, learning_rate, "),
    ("hydra.sweeper.n_jobs=4", f"hydra.sweeper.n_jobs: {WORKERS}"),
    ("+hydra.sweeper.n_jobs=4", f"hydra.sweeper.n_jobs: {WORKERS}"),
    ("hydra.launcher.n_jobs=4", f"hydra.launcher.n_jobs: {WORKERS}"),
    ("hydra.sweeper.storage=sqlite:///a.db", f"hydra.sweeper.storage: {STUDY}"),
    ("+hydra.sweeper.study_name=a", f"hydra.sweeper.study_name: {STUDY}"),
    (
        "hydra/sweeper/sampler=tpe",
        "hydra/sweeper/sampler: a key of another plugin; here the searcher is chosen by sea",
    ),
    ("hydra.sweeper.sampler.seed=1", "hydra.sweeper.sampler.seed: a key of another plugin; here the searcher is chos"),
]
READ = [
    ["+lr=0.1", "optimizer.learning_rate=${lr}"],  # by an interpolation
    ["+name=a", "hydra.sweep.dir=outputs/${name}"],
    ["+optimizer.clipnorm=1"],  # by Keras
    ["optimizer.name=sgd,adam", "+optimizer.beta_1=0.5"],
    ["model._target_=mine.build", "+model.width=3"],  # by functions of the user's own
    ["objective._target_=mine.objective", "+anything=1"],
    ["+hydra.job.env_set.A=b"],  # by Hydra
]


def check_refused(done: Completed, message: str, folder: Path) -> None:
    assert done.exit_code != 0
    assert len(done.error_lines) == 1, done.err
    assert done.error_lines[0].startswith(message)
    assert not list(folder.rglob("journal.jsonl"))
    assert not (folder / "outputs").exists()


@pytest.mark.parametrize(("word", "message"), BAD_INPUT + UNREAD, ids=[word for word, _ in BAD_INPUT + UNREAD])
def test_bad_input_is_one_line_that_names_the_key(hposweep_here: Run, tmp_path: Path, word: str, message: str) -> None:
    check_refused(hposweep_here("--multirun", word), message, tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["seed=3", "hydra.sweeper.confirm_top=1"],
            "hydra.sweeper.confirm_top: needs trials of different seeds, and seed is the same for all trials",
        ),
        (
            ["seed=1,2", "hydra.sweeper.n_seeds=2"],
            "hydra.sweeper.n_seeds: needs trials of different seeds, and seed is",
        ),
        (
            ["searcher=grid", "hydra.sweeper.searcher.points=0"],
            "hydra.sweeper.searcher.points: must be a whole number of at least 1, got 0",
        ),
    ],
    ids=str,
)
def test_two_words_that_do_not_go_together_are_one_line(
    hposweep_here: Run, tmp_path: Path, words: list[str], message: str
) -> None:
    check_refused(hposweep_here("--multirun", *words), message, tmp_path)


@pytest.mark.parametrize("models", ["softmax,mlp", "mlp,softmax"])
def test_a_key_that_one_of_the_searched_options_lacks_is_refused_whichever_is_drawn_first(
    hposweep_here: Run, tmp_path: Path, models: str
) -> None:
    done = hposweep_here("--multirun", f"model={models}", "++model.num_hiddens=64")
    check_refused(done, "model.num_hiddens: a key of model=mlp alone", tmp_path)


@pytest.mark.parametrize("words", READ, ids=" ".join)
def test_a_key_that_something_reads_is_none_that_nothing_reads(hposweep_here: Run, words: list[str]) -> None:
    done = hposweep_here("--multirun", "hydra.sweeper.dry_run=true", *words)
    assert done.exit_code == 0, done.err


def test_a_key_of_an_option_in_a_folder_of_ones_own_is_known_too(hposweep_here: Run, tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "wide.yaml").write_text("_target_: mine.build\nwidth: 3\n")
    done = hposweep_here("--multirun", "--config-dir", "mine", "model.width=3")
    check_refused(done, "model.width: a key of model=wide alone", tmp_path)


def test_a_dry_run_refuses_what_the_launcher_refuses(hposweep_here: Run, tmp_path: Path) -> None:
    done = hposweep_here("--multirun", "hydra.sweeper.dry_run=true", "hydra.launcher.n_workers=0")
    check_refused(done, "hydra.launcher.n_workers: must be at least 1, got 0", tmp_path)


def test_a_loss_can_be_the_metric_and_what_an_objective_of_ones_own_returns_can_be_maximized(
    hposweep_here: Run, tmp_path: Path
) -> None:
    own = ["objective._target_=mine.score", f"{METRIC}=accuracy", f"{DIRECTION}=maximize"]
    for words in ([f"{METRIC}=validation_loss"], own):
        done = hposweep_here("--multirun", "hydra.sweeper.dry_run=true", *words)
        assert done.exit_code == 0, done.err


SCHEDULER = "hydra.sweeper.scheduler"
BAD_SCHEDULES = [
    (f"{SCHEDULER}.r_min=9", f"{SCHEDULER}.r_min: must be at most r_max (8), got 9"),
    (f"{SCHEDULER}.r_min=0", f"{SCHEDULER}.r_min: must be a whole number of at least 1, got 0"),
    (f"{SCHEDULER}.eta=1", f"{SCHEDULER}.eta: must be a whole number of at least 2, got 1"),
    (f"{SCHEDULER}.eta=three", f"{SCHEDULER}.eta: must be a whole number of at least 2, got 'three'"),
    (f"{SCHEDULER}.eta=null", f"{SCHEDULER}.eta: must be a whole number of at least 2, got None"),
    (f"{SCHEDULER}.r_max=9", f"{SCHEDULER}.r_max: must be at most trainer.max_epochs (8), got 9"),
    (f"{SCHEDULER}.r_max=many", f"{SCHEDULER}.r_max: must be a whole number of at least 1, got 'many'"),
    (f"{SCHEDULER}.brackets=5", f"{SCHEDULER}.brackets: must be from 1 to 3 (the number of rungs), got 5"),
    (f"{SCHEDULER}.stopping=perhaps", f"{SCHEDULER}.stopping: must be true or false, got 'perhaps'"),
    ("hydra.sweeper.budget_key=model", "hydra.sweeper.budget_key: model holds no number of epochs"),
    (f"+{SCHEDULER}.grace_period=1", f"{SCHEDULER}.grace_period: no such option of AshaScheduler"),
    ("trainer.max_epochs=2,3", "trainer.max_epochs: can't be searched, since the scheduler decides how long"),
    ("trainer.target_epoch=2,3", "trainer.target_epoch: can't be searched, since the scheduler decides how long"),
]


@pytest.mark.parametrize(("word", "message"), BAD_SCHEDULES, ids=[word for word, _ in BAD_SCHEDULES])
def test_bad_budgets_are_one_line_that_names_the_key(
    hposweep_here: Run, tmp_path: Path, word: str, message: str
) -> None:
    check_refused(hposweep_here("--multirun", "scheduler=asha", word), message, tmp_path)


def test_code_in_a_distribution_is_refused_and_never_run(hposweep_here: Run, tmp_path: Path) -> None:
    text = f"__import__('os').system('touch {tmp_path}/executed')"
    done = hposweep_here("--multirun", f'{SPACE}="{text}"')
    check_refused(done, "search_space.optimizer.learning_rate: __import__", tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_time_limit_that_the_launcher_cannot_keep(hposweep_here: Run, tmp_path: Path) -> None:
    done = hposweep_here("--multirun", "hydra/launcher=basic", "hydra.sweeper.trial_timeout=5")
    check_refused(done, "hydra.sweeper.trial_timeout: BasicLauncher can't kill a job", tmp_path)


def test_a_misspelt_command(hposweep_here: Run, tmp_path: Path) -> None:
    message = (
        "reproduc: no such command; did you mean 'reproduce'? "
        f"Available: {', '.join(COMMANDS)}; an override is key=value"
    )
    check_refused(hposweep_here("reproduc", "outputs/sweep"), message, tmp_path)


def test_one_key_twice_in_one_source(hposweep_here: Run, tmp_path: Path) -> None:
    done = hposweep_here("--multirun", f"{LR}=0.1,0.2", f"{LR}=interval(0,1)")
    check_refused(done, "optimizer.learning_rate: stands twice on the command line", tmp_path)


def test_a_data_file_cut_in_half(hposweep: Run, tmp_path: Path) -> None:
    """In a copy of the package, whose data are its own."""
    root = fashion_mnist.data_folder().parents[1]
    for name in ("hposweep", "conf", "datasets"):
        shutil.copytree(root / name, tmp_path / name)
    broken = tmp_path / "datasets" / "fashion_mnist" / "train-images-idx3-ubyte.gz"
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    done = hposweep("--multirun", env={"PYTHONPATH": str(tmp_path)})
    check_refused(done, f"{broken}: damaged or not the original file", tmp_path)


def test_a_folder_that_holds_another_sweep(hposweep_warm: Run, small_sweep: Path) -> None:
    journal = (small_sweep / "journal.jsonl").read_bytes()
    done = hposweep_warm("--multirun", f"hydra.sweep.dir={small_sweep}")
    assert done.exit_code != 0
    (line,) = done.error_lines
    assert line.startswith(f"hydra.sweep.dir: {small_sweep} holds another sweep; ")
    assert "trainer.max_epochs: 3 -> 8" in line
    assert (small_sweep / "journal.jsonl").read_bytes() == journal


def test_errors_that_an_earlier_version_called_a_loss_are_not_gone_on_with(hposweep_here: Run, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tests" / "recorded" / "schema1" / "asha", tmp_path / "swept")
    done = hposweep_here("--multirun", "hydra.sweep.dir=swept", f"{METRIC}=validation_loss")
    assert done.exit_code != 0
    (line,) = done.error_lines
    assert line.startswith(
        "hydra.sweep.dir: the values in swept are validation errors, which an earlier version called"
    )


@pytest.mark.process
def test_a_sweep_that_began_with_a_key_that_nothing_reads_can_be_gone_on_with(
    hposweep_here: Run, tmp_path: Path
) -> None:
    """Which is refused for what it differs in, and not for the key."""
    shutil.copytree(ROOT / "tests" / "recorded" / "schema1" / "asha", tmp_path / "swept")
    done = hposweep_here("--multirun", "hydra.sweep.dir=swept", "+hydra.sweeper.n_jobs=4", "+trainer.hooks=[a]")
    assert done.error_lines[-1].startswith("hydra.sweep.dir: swept holds another sweep; ")


def test_tracebacks_come_back_with_hydra_full_error(hposweep_here: Run) -> None:
    done = hposweep_here("--multirun", "model=nosuch", env={"HYDRA_FULL_ERROR": "1"})
    assert done.exit_code != 0
    assert "Traceback" in done.err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model=sofmax", "model: no 'sofmax'; did you mean 'softmax'?"),
        ("data.batch_size=50001", "data.batch_size: must be from 1 to 50000"),
        ("trainer.threads=0", "trainer.threads: must be at least 1, got 0"),
        (f"{METRIC}=accuracy", f"{METRIC}: must be a column of the learning curve, "),
        ("+trainer.hooks=[a]", "trainer.hooks: nothing reads this key"),
        ("+hydra.sweeper.n_jobs=4", f"hydra.sweeper.n_jobs: {WORKERS}"),
    ],
)
def test_a_single_run_says_it_in_one_line_too(hposweep_here: Run, word: str, message: str) -> None:
    done = hposweep_here(word)
    assert done.exit_code != 0
    assert len(done.error_lines) == 1, done.err
    assert done.error_lines[0].startswith(message)
