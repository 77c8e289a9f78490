"""With the real model and the real store: meaning, warm starts, one owner, and tuning that must earn its place."""

import contextlib
import gc
import io
import socket
import subprocess
import sys
import sysconfig
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from core.errors import Unavailable
from knowledge.adapter import merge
from knowledge.embedder import SHIPPED as CORRECTIONS
from knowledge.embedder import Embedder, plain
from knowledge.index import Index
from knowledge.query import Query
from knowledge.questions import Question
from knowledge.runbooks import parse
from knowledge.search import Runbooks
from knowledge.tune import TooFew, chosen, split, tune
from knowledge.vectors import Vectors
from tests.servers import eventually

pytestmark = [
    pytest.mark.xdist_group("meaning"),
    pytest.mark.servers,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries, on import
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]
ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ROOT / "runbooks"


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("vectors")


def test_vectors_are_unit_length_and_like_means_near(embedder):
    """A paraphrase is nearer than a sentence about something else, and every vector has length one."""
    near, also, far = embedder.encode(
        ["temperatures arrive in Celsius", "degrees are in another unit", "the label job is late"]
    )
    assert near @ also > near @ far
    assert np.allclose(np.linalg.norm([near, also, far], axis=1), 1, atol=1e-5)


def test_order_and_company_do_not_change_a_vector(embedder):
    """A text has the same vector alone and in a batch of other lengths."""
    texts = ["short", "a somewhat longer text about feature jobs", "x " * 300, ""]
    batch = embedder.encode(texts)
    assert all(batch[at] @ embedder.encode([text])[0] > 0.99999 for at, text in enumerate(texts))


def test_paraphrases_find_their_runbook(embedder, cache):
    """Questions in other words than the runbook's find it, and a question about something else finds none."""
    library = Runbooks(SHIPPED, vectors=Vectors(cache, embedder))
    asked = {
        "readings switched from Fahrenheit to Celsius after the release": "unit-change.md",
        "the nightly aggregation has not finished since yesterday and values are old": "stale-feature-job.md",
        "chargebacks have not come in yet so the AUC looks low": "late-labels.md",
        "the new version promoted at noon scores everybody too high": "bad-model-version.md",
        "callers give up waiting and get the default answer": "latency-and-fallback.md",
    }
    assert {words: library.find(words, top=1)[0].book.file for words in asked} == asked
    assert all(library.passages(words, asked=True) for words in asked)
    assert library.passages("How do I renew a passport at the embassy?", asked=True) == []


def test_the_question_chooses_the_section(embedder, cache):
    """The same alert gets another section for another question."""
    library = Runbooks(SHIPPED, vectors=Vectors(cache, embedder))
    headings = {
        question: library.passages("unit change of a feature", question=question)[0].citation.heading
        for question in (
            "What does this alert mean?",
            "How do I diagnose this?",
            "How do I fix this?",
            "What is the impact?",
        )
    }
    assert list(headings.values()) == ["Meaning", "Diagnosis", "Mitigation", "Impact"]


@pytest.mark.parametrize(
    ("question", "heading"),
    [
        ("What does this alert mean?", "Description"),
        ("What is the impact?", "Severity"),
        ("How do I diagnose this?", "Troubleshooting"),
        ("How do I fix this?", "Resolution > When permissions are missing"),
    ],
)
def test_a_section_is_found_under_whatever_name_its_author_gave_it(embedder, cache, tmp_path, question, heading):
    """Other words for the four parts of a runbook are understood, and "Prevention" is not the answer to "fix this"."""
    parts = ["Description", "Severity", "Troubleshooting", "Resolution", "Prevention", "Related alerts"]
    texts = {part: f"## {part}\nReplication slots of the database.\n" for part in parts}
    texts["Resolution"] = "## Resolution\n### When permissions are missing\nGrant them to the replication user.\n"
    (tmp_path / "slots.md").write_text("# Replication slots\n" + "".join(texts.values()))
    found = Runbooks(tmp_path, vectors=Vectors(cache, embedder)).find("replication slots grow", question=question)
    assert found[0].book.sections[found[0].section].heading == heading


def test_the_index_follows_the_files_and_survives_a_restart(embedder, cache, tmp_path):
    """After a restart the store still holds what was indexed, and only a changed file is indexed again."""
    root = tmp_path / "runbooks"
    root.mkdir()
    (root / "a.md").write_text("# Unit change\n## Meaning\nCelsius.\n## Mitigation\nRoll back.\n")
    (root / "b.md").write_text("# Late labels\nWait.\n")
    vectors = Vectors(cache, embedder)
    library = Runbooks(root, vectors=vectors, index=Index(tmp_path / "chroma"))
    library.refresh()
    before = library.index.held()
    assert {file: count for file, (_, count) in before.items()} == {"a.md": 2, "b.md": 1}
    library.close()
    (root / "b.md").write_text("# Late labels\nWait.\n## Escalate when\nNever.\n")
    again = Runbooks(root, vectors=vectors, index=Index(tmp_path / "chroma"))
    again.refresh()
    after = again.index.held()
    assert after["a.md"] == before["a.md"]
    assert after["b.md"] != before["b.md"]
    assert after["b.md"][1] == 2
    (root / "a.md").unlink()
    again.refresh()
    assert set(again.index.held()) == {"b.md"}
    hits = again.index.near(vectors.of(["labels"])[0], 10)
    assert {(hit.file, hit.revision) for hit in hits} == {("b.md", after["b.md"][0])}
    again.close()


def test_a_second_owner_is_refused_and_searches_without_the_index(embedder, cache, tmp_path):
    """One process owns the store; who comes second is told so, and still finds everything."""
    first = Runbooks(SHIPPED, vectors=Vectors(cache, embedder), index=Index(tmp_path / "chroma"))
    first.refresh()
    other = Index(tmp_path / "chroma")
    with pytest.raises(Unavailable, match=r"owned by process .* CHROMA_URL"):
        other.held()
    second = Runbooks(SHIPPED, vectors=Vectors(cache, embedder), index=other)
    assert second.find("late labels", top=1)[0].book.file == "late-labels.md"
    assert "owned by process" in second.without_index
    first.close()


def test_an_absent_chroma_server_costs_speed_and_not_answers(embedder, cache, tmp_path):
    """With nobody at CHROMA_URL the search says so, hides the password, and compares with every chunk."""
    library = Runbooks(
        SHIPPED, vectors=Vectors(cache, embedder), index=Index(tmp_path, url="http://u:secret@127.0.0.1:9")
    )
    assert library.find("late labels", top=1)[0].book.file == "late-labels.md"
    assert "127.0.0.1" in library.without_index
    assert "secret" not in library.without_index


@pytest.fixture
def chroma_server(tmp_path):
    """A real Chroma server on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = Path(sysconfig.get_path("scripts"), "chroma")
    command = [program, "run", "--path", tmp_path / "server", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Chroma never closes its HTTP session
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_chroma_server_is_the_same_store_for_several_processes(embedder, cache, tmp_path, chroma_server):
    """With CHROMA_URL two libraries share one index, by the same code."""

    def answers() -> bool:
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{chroma_server}/api/v2/heartbeat", timeout=5) as said,
        ):
            return said.status == 200
        return False

    await eventually(answers, within=30)
    one, two = (
        Runbooks(SHIPPED, vectors=Vectors(cache, embedder), index=Index(tmp_path, url=chroma_server)) for _ in "ab"
    )
    one.refresh()
    two.refresh()
    assert (one.without_index, two.without_index) == ("", "")
    assert one.index.held() == two.index.held()
    assert len(one.index.held()) == len(one.shelf.books)
    assert two.index.near(two.vectors.of(["late labels"])[0], 3)[0].file == "late-labels.md"
    one.close()
    two.close()
    del one, two
    gc.collect()


def test_a_torn_end_of_the_vector_files_is_cut_off(embedder, tmp_path):
    """A process killed while writing vectors leaves a file that the next start repairs."""
    vectors = Vectors(tmp_path, embedder)
    whole = vectors.of(["one", "two"])
    rows, keys = tmp_path / f"{embedder.name}.f16", tmp_path / f"{embedder.name}.keys"
    rows.write_bytes(rows.read_bytes()[:-100])
    again = Vectors(tmp_path, embedder)
    assert np.allclose(again.of(["one", "two"]), whole, atol=1e-3)
    assert keys.stat().st_size == 32


def test_two_processes_may_write_vectors_into_one_folder(embedder, tmp_path):
    """What another process added in between is taken in before writing, so that keys and rows stay in step."""
    mine, theirs = Vectors(tmp_path, embedder), Vectors(tmp_path, embedder)
    mine.of(["one"])
    theirs.of(["two", "three"])
    mine.of(["four"])
    fresh = Vectors(tmp_path, embedder)
    texts = ["four", "three", "two", "one"]
    assert np.allclose(fresh.of(texts), embedder.encode(texts), atol=2e-2)
    assert (tmp_path / f"{embedder.name}.keys").stat().st_size == 64


def test_searching_imports_no_torch(embedder, cache, tmp_path):
    """A process indexes a library and answers a question without torch; only training needs it."""
    Runbooks(SHIPPED, vectors=Vectors(cache, embedder)).refresh()
    program = f"""
import sys
from pathlib import Path
from knowledge.adapter import merge
from knowledge.embedder import SHIPPED as CORRECTIONS
from knowledge.embedder import Embedder, plain
from knowledge.index import Index
from knowledge.search import Runbooks
from knowledge.vectors import Vectors
vectors = Vectors(Path({str(cache)!r}), Embedder())
library = Runbooks(Path({str(SHIPPED)!r}), vectors=vectors, index=Index(Path({str(tmp_path)!r})))
library.refresh()
assert len(library.index.held()) >= 25 and not library.without
assert library.find("readings switched from Fahrenheit to Celsius after the release")[0].book.file == "unit-change.md"
assert "torch" not in sys.modules, "torch was imported"
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]


def test_tuning_is_kept_only_if_it_wins_on_runbooks_it_never_saw(tmp_path):
    """Nonsense to learn from is not kept, what is chosen stays the shipped correction, and nothing is left lying
    about.
    """
    books = [parse(f"{name}.md", f"# {name}\nWhen {name} fails, wait.".encode())[0] for name in "abcdefgh"]
    asked = [Question(f"{book.file}{at}", Query(f"zxqv {at} blorp"), book.file) for at, book in enumerate(books * 3)]
    told = tune(books, asked, tmp_path, epochs=1)
    assert not told.kept
    assert told.held_out + told.learnt_from == 24
    assert chosen(tmp_path).name == "adapter.npz"
    assert chosen(tmp_path).parent != tmp_path
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("adapter", [None, CORRECTIONS])
def test_vectors_are_those_of_sentence_transformers(adapter):
    """The model in numpy gives the vectors that sentence-transformers gives, with and without corrections."""
    texts = ["PSI of temp is 3.1", "", "naïve 42% <b>", "The feature job has not run since yesterday. " * 40]
    theirs = plain().eval()
    if adapter:
        merge(theirs, adapter)
    mine = Embedder(adapter).encode(texts)
    assert (mine * theirs.encode([text or " " for text in texts], normalize_embeddings=True)).sum(1).min() > 0.9999


def test_what_is_no_adapter_is_refused_by_name(tmp_path):
    """A file that holds no corrections for this model stops the search by meaning with its name."""
    broken = tmp_path / "adapter.npz"
    for content in (b"not an archive", _archive({"x": np.zeros(3)}), _archive({"0.query.a": np.zeros((8, 384))})):
        broken.write_bytes(content)
        with pytest.raises(Unavailable, match=r"adapter\.npz' is not an adapter"):
            Embedder(broken).encode(["x"])


def _archive(arrays: dict) -> bytes:
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def test_tuning_asks_for_enough_to_judge_by(tmp_path):
    """With few questions it says how many are needed instead of fooling anybody."""
    with pytest.raises(TooFew, match="20 questions and 6 runbooks are needed"):
        tune([], [], tmp_path)


def test_held_out_runbooks_share_no_question_with_the_ones_learnt_from():
    """The split is by runbook: none is on both sides."""
    asked = [Question(str(at), Query("x"), f"{at % 7}.md") for at in range(40)]
    learn, held = split(asked, seed=3)
    assert held
    assert not {q.answer for q in learn} & {q.answer for q in held}
