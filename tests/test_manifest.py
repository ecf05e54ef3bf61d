"""Manifests: three digests that mean what they say, and nothing believed that should not be."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from prefline.data.errors import ManifestError
from prefline.pipeline import Manifest, Recipe, Store, find_faults, manifest
from prefline.pipeline.canonical import canonical_json
from prefline.pipeline.inspection import inspect
from prefline.pipeline.manifest import File
from prefline.pipeline.terminal import describe_notes

SCHEMAS = Path(__file__).parent / "schemas"
RECIPE = Recipe(stage="make-thing", stage_version=2, params={"lr": 1e-05}, inputs={}, seed=17)
FILES = [File(path="b.txt", size=1, sha256="b" * 64), File(path="a/c.json", size=2, sha256="c" * 64)]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


def build(**changes: Any) -> Manifest:
    settings = {
        "kind": "thing",
        "feedback": ["human"],
        "files": FILES,
        "data": {"rows": 3},
        "recipe": RECIPE,
        "run": {},
    }
    return Manifest.build(**(settings | changes))


def document(**changes: Any) -> dict[str, Any]:
    """A manifest as JSON, changed by a stranger who knows how to make the digests fit."""
    changed = json.loads(build().to_bytes()) | changes
    content = {name: changed.get(name) for name in ("schema", "kind", "feedback", "files", "data")}
    try:
        changed["id"] = "sha256:" + hashlib.sha256(rfc8785.dumps(content)).hexdigest()
        changed["key"] = "sha256:" + hashlib.sha256(rfc8785.dumps(changed.get("recipe"))).hexdigest()
    except rfc8785.CanonicalizationError:
        pass  # there is no right digest for this: whatever stands there must be refused
    return changed


def test_canonical_json_follows_the_examples_of_the_standard() -> None:
    # RFC 8785, sections 3.2.2 and 3.2.3
    numbers = [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001]
    assert canonical_json({"numbers": numbers}) == b'{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}'
    assert canonical_json({"\u20ac": 1, "\r": 2, "1": 3, "\U0001f600": 4, "\u00f6": 5}).decode() == (
        '{"\\r":2,"1":3,"\u00f6":5,"\u20ac":1,"\U0001f600":4}'
    )


@given(JSON)
def test_any_data_survives_the_way_to_the_disk_and_back_with_its_id(value: Any) -> None:
    made = build(data={"value": value}, recipe=RECIPE.model_copy(update={"params": {"value": value}}))
    read = Manifest.from_bytes(made.to_bytes())
    assert (read.id, read.key) == (made.id, made.key)
    assert canonical_json(read.data) == canonical_json({"value": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", {1: 2}])
def test_what_json_cannot_hold_has_no_canonical_form(value: Any) -> None:
    with pytest.raises(ManifestError, match="no canonical JSON"):
        canonical_json({"value": value})


def test_the_digests_are_the_ones_anybody_can_compute() -> None:
    made = build()
    content = {
        "schema": "prefline.manifest/1",
        "kind": "thing",
        "feedback": ["human"],
        "files": [
            {"path": "a/c.json", "size": 2, "sha256": "c" * 64},
            {"path": "b.txt", "size": 1, "sha256": "b" * 64},
        ],
        "data": {"rows": 3},
    }
    recipe = b'{"inputs":{},"params":{"lr":0.00001},"seed":17,"stage":"make-thing","stage_version":2}'
    assert made.id == "sha256:" + hashlib.sha256(rfc8785.dumps(content)).hexdigest()
    assert made.key == "sha256:" + hashlib.sha256(recipe).hexdigest()


def test_time_and_versions_change_neither_id_nor_key() -> None:
    later = build(run={"started": "2027-01-01T00:00:00Z"})
    assert (later.id, later.key) == (build().id, build().key)


@pytest.mark.parametrize(
    "change", [{"kind": "other"}, {"feedback": ["mock"]}, {"files": FILES[:1]}, {"data": {"rows": 4}}]
)
def test_what_it_is_changes_the_id_and_not_the_key(change: dict[str, Any]) -> None:
    assert build(**change).id != build().id
    assert build(**change).key == build().key


@pytest.mark.parametrize(
    "change",
    [{"stage": "x"}, {"stage_version": 3}, {"seed": 18}, {"seed": None}, {"params": {"lr": 2e-05}},
     {"inputs": {"source": "file:sha256:" + "0" * 64}}],
)  # fmt: skip
def test_what_was_asked_for_changes_the_key_and_not_the_id(change: dict[str, Any]) -> None:
    other = build(recipe=RECIPE.model_copy(update=change))
    assert other.key != build().key
    assert other.id == build().id


def test_a_manifest_is_read_back_as_it_was_written() -> None:
    assert Manifest.from_bytes(build(run={"ü": 1.5}).to_bytes()) == build(run={"ü": 1.5})


def file_at(path: str) -> dict[str, Any]:
    return {"files": [{"path": path, "size": 1, "sha256": "a" * 64}]}


RECIPE_JSON = RECIPE.model_dump()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (file_at("../x.json"), "the part '..' leads elsewhere"),
        (file_at("/etc/x.json"), "it is absolute or has an empty part"),
        (file_at("a//x.json"), "it is absolute or has an empty part"),
        (file_at("a/./x.json"), "the part '.' leads elsewhere"),
        (file_at("..\\x.json"), "a character that other systems do not allow"),
        (file_at("C:x.json"), "a character that other systems do not allow"),
        (file_at("a\u202egpj.json"), "a control or an invisible character"),
        (file_at("a\n.json"), "a control or an invisible character"),
        (file_at("nul.json"), "a name that Windows cannot hold"),
        (file_at("u\u0308.json"), "not in Unicode's composed form"),
        (file_at("x" * 251 + ".json"), "longer than 255 bytes"),
        (file_at("model.bin"), "its suffix is not one of"),
        (file_at("manifest.json"), "is the name of the manifest itself"),
        (file_at("manifest.json/a.txt"), "cannot lie side by side on every system"),
        ({"files": [*file_at("A.txt")["files"], *file_at("a.txt")["files"]]}, "cannot lie side by side"),
        ({"files": [*file_at("a.txt")["files"], *file_at("a.txt/b.txt")["files"]]}, "cannot lie side by side"),
        ({"schema": "prefline.manifest/" + "9" * 5000}, "'schema' must be"),
        ({"run": {"deep": json.loads("[" * 80 + "]" * 80)}}, "nested more than 64 levels deep"),
        ({"schema": "prefline.manifest/2"}, "this prefline reads up to prefline.manifest/1: upgrade prefline"),
        ({"schema": "prefline.manifest/0"}, "prefline.manifest/0 was never released"),
        ({"schema": "croissant"}, "'schema' must be 'prefline.manifest/N', found 'croissant'"),
        ({"schema": None}, "'schema' must be 'prefline.manifest/N', found None"),
        ({"feedbck": []}, "unknown key 'feedbck' (did you mean 'feedback'?)"),
        ({"feedback": ["alien"]}, "feedback[0]: Input should be 'human', 'judge',"),
        ({"feedback": ["mock", "human"]}, "'feedback' must be sorted"),
        ({"files": [*file_at("b.json")["files"], *file_at("a.json")["files"]]}, "'files' must be sorted"),
        ({"files": [{"path": "a.json", "size": -1, "sha256": "a" * 64}]}, "files[0].size: Input should be"),
        ({"kind": "../escape"}, "'../escape' is not a kind of artifact"),
        ({"recipe": RECIPE_JSON | {"inputs": {"source": "/home/me/x.jsonl"}}}, "recipe.inputs.source: String should"),
        ({"recipe": RECIPE_JSON | {"stag": 1}}, "unknown key 'recipe.stag' (did you mean 'stage'?)"),
        ({"recipe": None}, "recipe: Input should be a valid dictionary"),
        ({"data": {"n": 2**60}}, "no canonical JSON"),
    ],
)  # fmt: skip
def test_a_hostile_manifest_is_refused_in_one_clear_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifest.from_bytes(json.dumps(document(**change)).encode())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"rows": 3', '"rows": 4'), "'id' is sha256:"),
        (lambda text: text.replace('"seed": 17', '"seed": 18'), "'key' is sha256:"),
        (lambda text: text.replace('"rows": 3', '"rows": NaN'), "NaN is not a JSON number"),
        (lambda text: text.replace('"kind"', '"kind": "x", "kind"'), "the key 'kind' appears twice"),
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text[:-1], "in another form than it was written in"),
        (lambda text: text.replace("  ", " "), "in another form than it was written in"),
        (lambda _: "[]", "a manifest must be an object"),
    ],
)
def test_a_damaged_manifest_is_refused_in_one_clear_line(damage: Callable[[str], str], message: str) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        Manifest.from_bytes(damage(build().to_bytes().decode()).encode())
    assert "\n" not in str(caught.value)


def test_an_older_schema_is_upgraded_in_memory_and_its_digests_still_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    old = document()

    def upgrade(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"schema": "prefline.manifest/2", "run": document["run"] | {"upgraded": True}}

    monkeypatch.setattr(manifest, "SCHEMA", 2)
    monkeypatch.setitem(manifest.UPCASTERS, 1, upgrade)
    read = Manifest.from_bytes(json.dumps(old).encode())
    assert read.id == old["id"]
    assert read.run["upgraded"] is True
    with pytest.raises(ManifestError, match="'id' is"):
        Manifest.from_bytes(json.dumps(old | {"data": {}}).encode())


def test_there_is_a_stored_example_of_every_released_schema() -> None:
    assert sorted(path.name for path in SCHEMAS.iterdir()) == [str(n) for n in range(1, manifest.SCHEMA + 1)]


@pytest.mark.parametrize("schema", sorted(SCHEMAS.iterdir()), ids=lambda path: path.name)
def test_a_store_of_every_released_schema_can_still_be_read(schema: Path) -> None:
    store = Store.open(schema)
    ids = list(store.ids())
    assert len(ids) == 2
    for artifact_id in ids:
        artifact = store.get_sound(artifact_id)
        assert find_faults(artifact.path, expected_id=artifact_id) == []
        assert store.find(artifact.manifest.key) == artifact
    report = inspect(store, [], quick=False)
    assert (report.sound, describe_notes(report)) == (True, [])
    assert store.resolve("example") in ids
