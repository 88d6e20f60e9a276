"""`mien edit` on many pictures: done once, taken up again where it was stopped, past every picture that fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mien.commands import batch as batch_module
from mien.commands import edit as edit_module
from mien.commands.batch import JOURNAL
from mien.editing.editor import Editor
from mien.errors import DiskFull, InputError, OutputError
from mien.image import load_image, save_image
from tests.commands.faces import face
from tests.commands.program import Outcome, Program
from tests.media import INTERRUPTIBLE

NAMES = ("a.png", "b.jpg", "deep/a.png", "deep/er/c.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of faces in folders, each of another shade, and what else lies about in such a folder."""
    folder = tmp_path / "photos"
    (folder / "deep/er").mkdir(parents=True)
    (folder / ".cache").mkdir()
    for index, name in enumerate(NAMES):
        save_image(folder / name, face(10 * index))
    save_image(folder / ".cache/hidden.png", face())
    (folder / "notes.md").write_text("Faces, all of one colour.\n")
    return folder


class Job:
    """The same command line again and again."""

    def __init__(self, mien: Program, bundle: Path, source: Path, output: Path) -> None:
        self.mien, self.source, self.output = mien, source, output
        self.words: list[object] = ["--bundle", bundle, "--set", "smile=1", "--aligned", "-o", output]

    def __call__(self, *more: object) -> Outcome:
        return self.mien("edit", self.source, *self.words, "--json", *more)


@pytest.fixture
def job(mien: Program, bundle: Path, photos: Path, tmp_path: Path) -> Job:
    return Job(mien, bundle, photos, tmp_path / "out")


def results(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != JOURNAL)


def counts(outcome: Outcome) -> tuple[int, int, int, int]:
    report = outcome.report
    return report["done"], report["skipped"], report["ignored"], len(report["failed"])


def test_every_picture_of_a_folder_keeps_its_name_and_is_edited(job: Job, bundle: Path, photos: Path) -> None:
    outcome = job()
    assert outcome.code == 0, outcome.err
    assert counts(outcome) == (4, 0, 1, 0)
    assert results(job.output) == sorted(NAMES)
    editor = Editor(bundle)
    for name in ("a.png", "deep/a.png", "deep/er/c.png"):
        expected = editor.apply(photos / name, {"smile": 1.0}, aligned=True).image
        assert np.array_equal(load_image(job.output / name), expected)
    report = outcome.report
    assert report["edits"] == {"smile": 1.0} and report["synthetic"] is True and "encoder" in report["sessions"]


def test_what_is_done_is_skipped_without_opening_a_network(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job()
    before = {name: (job.output / name).stat().st_mtime_ns for name in NAMES}

    def never(*words: object, **options: object) -> None:
        raise AssertionError("opened the editor")

    monkeypatch.setattr(edit_module, "Editor", never)
    outcome = job()
    assert outcome.code == 0 and counts(outcome) == (0, 4, 1, 0)
    assert outcome.report["sessions"] == {}
    assert {name: (job.output / name).stat().st_mtime_ns for name in NAMES} == before


def test_only_what_changed_is_done_again(job: Job, photos: Path) -> None:
    job()
    save_image(photos / "a.png", face(99))  # another picture of the same name
    os.utime(photos / "a.png", ns=(1, 1))
    (job.output / "b.jpg").unlink()
    save_image(photos / "new.png", face(50))
    assert counts(job()) == (3, 2, 1, 0)
    assert counts(job()) == (0, 5, 1, 0)
    assert counts(job("--set", "old=0.5")) == (5, 0, 1, 0)
    assert counts(job("--set", "old=0.5", "--method", "gradcam++")) == (5, 0, 1, 0)
    assert counts(job("--set", "old=0.5", "--method", "gradcam++", "--no-deghost")) == (5, 0, 1, 0)


def test_another_bundle_means_doing_it_again(job: Job, bundle: Path, tmp_path: Path) -> None:
    job()
    other = shutil.copytree(bundle, tmp_path / "other")
    job.words[1] = other
    assert counts(job()) == (0, 4, 1, 0)  # the same bundle in another place
    manifest = json.loads((other / "bundle.json").read_text())
    (other / "bundle.json").write_text(json.dumps(manifest | {"origin": "Made anew."}))
    assert counts(job()) == (4, 0, 1, 0)


def test_masks_go_to_a_folder_of_their_own_and_bound_every_change(job: Job, photos: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks"
    assert counts(job("--mask-out", masks)) == (4, 0, 1, 0)
    assert results(masks) == ["a.png", "b.jpg.png", "deep/a.png", "deep/er/c.png"]
    for name in ("a.png", "deep/a.png"):
        touched = (load_image(photos / name) != load_image(job.output / name)).any(2)
        assert touched.any() and not touched[load_image(masks / name)[..., 0] == 0].any()
    (masks / "a.png").unlink()
    assert counts(job("--mask-out", masks)) == (1, 3, 1, 0)


def test_pictures_that_fail_are_listed_and_stop_nothing(job: Job, photos: Path) -> None:
    (photos / "broken.png").write_bytes((photos / "a.png").read_bytes()[:200])
    (photos / "empty.jpg").touch()
    save_image(photos / "wide.png", np.zeros((64, 100, 3), np.uint8))
    outcome = job()
    assert outcome.code == InputError.exit_code and counts(outcome) == (4, 0, 1, 3)
    failed = {Path(failure["source"]).name: failure["error"] for failure in outcome.report["failed"]}
    assert set(failed) == {"broken.png", "empty.jpg", "wide.png"} and "square" in failed["wide.png"]
    assert results(job.output) == sorted(NAMES)
    said = job.mien("edit", photos, *job.words)
    assert said.code == InputError.exit_code
    assert "0 edited, 4 done before, 3 failed, 1 other files" in said.out
    assert said.err.count("\n") == 3 and all(name in said.err for name in failed)
    save_image(photos / "broken.png", face(5))
    assert counts(job()) == (1, 4, 1, 2)


def test_a_torn_journal_costs_one_picture(job: Job) -> None:
    job()
    journal = job.output / JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-30])
    assert counts(job()) == (1, 3, 1, 0)
    assert counts(job()) == (0, 4, 1, 0)
    journal.write_bytes(b"\xff\xfe nonsense\n[1]\nnull\n" + journal.read_bytes())
    assert counts(job()) == (0, 4, 1, 0)
    journal.unlink()
    assert counts(job()) == (4, 0, 1, 0)


def test_an_edit_that_no_picture_could_have_stops_at_once(job: Job) -> None:
    outcome = job("--set", "beard=1")
    assert outcome.code == 3 and "there are: smile, old, tan" in outcome.err and outcome.err.count("\n") == 1
    assert results(job.output) == []


def test_a_full_disk_stops_and_keeps_what_is_done(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    real = batch_module.edit_one
    calls = []

    def filling(*words: object) -> object:
        calls.append(words)
        if len(calls) == 3:
            raise DiskFull("There is no room left to write it.")
        return real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(batch_module, "edit_one", filling)
    outcome = job()
    assert outcome.code == DiskFull.exit_code and len(calls) == 3
    assert "2 of 4 pictures are finished" in outcome.err and "goes on from there" in outcome.err
    monkeypatch.setattr(batch_module, "edit_one", real)
    assert counts(job()) == (2, 2, 1, 0)


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_being_stopped_keeps_what_is_finished(job: Job, signal_name: str) -> None:
    script = f"""
import sys, time
from mien import cli
from mien.commands import batch

def slow(*words, real=batch.edit_one):
    result = real(*words)
    print("finished", flush=True)
    time.sleep(0.3)
    return result

batch.edit_one = slow
sys.argv = {["mien", "edit", str(job.source), *map(str, job.words)]!r}
cli.main()
"""
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    assert [child.stdout.readline() for _ in range(2)] == ["finished\n"] * 2, child.communicate()[1]
    time.sleep(0.05)

    child.send_signal(signal.Signals[signal_name])
    _, errors = child.communicate(timeout=60)
    assert child.returncode == {"SIGINT": 130, "SIGTERM": 143, "SIGKILL": -9}[signal_name], errors
    assert "Traceback" not in errors and ("goes on from there" in errors) == (signal_name != "SIGKILL")
    assert not [name for name in results(job.output) if name.endswith(".part")]
    outcome = job()
    done, skipped, *_ = counts(outcome)
    assert outcome.code == 0 and done + skipped == 4 and 1 <= skipped <= 2
    assert results(job.output) == sorted(NAMES)


def test_its_own_results_within_the_folder_are_left_out(job: Job, photos: Path) -> None:
    job.output = photos / "edited"
    job.words[-1] = job.output
    assert counts(job("--mask-out", photos / "masks")) == (4, 0, 1, 0)
    assert counts(job("--mask-out", photos / "masks")) == (0, 4, 1, 0)
    assert results(job.output) == sorted(NAMES)


def test_kinds_that_are_not_written_become_png(job: Job, photos: Path, tmp_path: Path) -> None:
    import cv2

    for name in ("a.webp", "a.bmp"):
        cv2.imwrite(str(photos / name), face()[..., ::-1])
    assert counts(job()) == (6, 0, 1, 0)
    assert results(job.output) == sorted((*NAMES, "a.webp.png", "a.bmp.png"))
    save_image(photos / "a.bmp.png", face(30))
    outcome = job()
    assert counts(outcome)[3] == 1 and "another name" in outcome.report["failed"][0]["error"]


def test_originals_are_never_replaced(mien: Program, bundle: Path, photos: Path, tmp_path: Path) -> None:
    before = {name: (photos / name).read_bytes() for name in NAMES}
    rest = ["--bundle", bundle, "--set", "smile=1", "--aligned"]
    outcome = mien("edit", photos, *rest, "-o", photos)
    assert outcome.code == OutputError.exit_code and "holds the originals" in outcome.err
    outcome = mien("edit", photos / "deep", *rest, "-o", tmp_path / "out", "--mask-out", photos / "deep")
    assert outcome.code == OutputError.exit_code and "holds the originals" in outcome.err
    (photos / "list.txt").write_text("a.png\n")
    outcome = mien("edit", photos / "list.txt", *rest, "-o", photos)
    assert outcome.code == OutputError.exit_code and "would replace an original" in outcome.err
    outcome = mien("edit", photos, *rest, "-o", tmp_path / "out", "--mask-out", tmp_path / "out")
    assert outcome.code == OutputError.exit_code and "both go to" in outcome.err
    outcome = mien("edit", photos, *rest, "-o", photos / "a.png")
    assert outcome.code == OutputError.exit_code and "is a file" in outcome.err
    assert {name: (photos / name).read_bytes() for name in NAMES} == before
    assert not (tmp_path / "out").exists() and not (photos / JOURNAL).exists()


def test_a_list_names_pictures_anywhere(job: Job, photos: Path, tmp_path: Path) -> None:
    far = tmp_path / "far"
    far.mkdir()
    for name in ("z.png", "a.png"):
        save_image(far / name, face(70))
    lines = ["# two and a half", "", "a.png", "deep/a.png", " a.png ", str(far / "z.png"), "gone.png", "../far/a.png"]
    job.source = photos / "list.txt"
    job.source.write_text("\ufeff" + "\r\n".join(lines), "utf-8")
    outcome = job()
    assert outcome.code == 3 and counts(outcome) == (3, 0, 0, 2)
    assert results(job.output) == ["a.png", "deep/a.png", "z.png"]
    failed = {failure["source"]: failure["error"] for failure in outcome.report["failed"]}
    assert any("There is no file" in error for error in failed.values())
    assert any("give one of them another name" in error for error in failed.values())
    assert counts(job()) == (0, 3, 0, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: (path / "in").mkdir(), "names no picture"),
        (lambda path: ((path / "in").mkdir(), (path / "in/a.md").touch()), "names no picture (1 other files)"),
        (lambda path: (path / "in.txt").write_text("# nothing\n"), "names no picture"),
        (lambda path: (path / "in.txt").write_bytes(b"\x89PNG\xff"), "cannot be read as UTF-8"),
        (lambda path: (path / "in.txt").write_bytes(b"a\0.png\n"), "NUL"),
    ],
)
def test_a_source_without_pictures_is_an_error(job: Job, tmp_path: Path, make, message: str) -> None:  # type: ignore[no-untyped-def]
    make(tmp_path)
    job.source = next(path for path in (tmp_path / "in", tmp_path / "in.txt") if path.exists())
    outcome = job()
    assert outcome.code == InputError.exit_code and message in outcome.err
    assert not job.output.exists()


def test_the_bar_is_told_how_far_it_is(bundle: Path, photos: Path, tmp_path: Path) -> None:
    from mien.commands.batch import BatchJob, edit_all
    from mien.commands.edit import Wanted

    seen: list[tuple[int, int | None]] = []
    wanted = Wanted(str(bundle), {"smile": 1.0}, aligned=True)
    edit_all(BatchJob(photos, tmp_path / "out", wanted), lambda done, total: seen.append((done, total)))
    assert seen == [(i, 4) for i in range(1, 5)]
