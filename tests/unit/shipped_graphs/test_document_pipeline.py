import re

import pytest

from graphs import document_pipeline

SHIPPED = ["incident-2025-03.txt", "lighthouse.txt", "onboarding.txt", "remote-work.txt", "travel-policy.txt"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCUMENT_ROOT", str(tmp_path))
    return tmp_path


def test_every_shipped_document_is_in_the_report_in_order_of_its_name():
    result = document_pipeline.graph.invoke({"folder": "."})

    assert [entry["path"] for entry in result["entries"]] == SHIPPED
    assert re.findall(r"\((\S+\.txt)\)$", result["report"], re.MULTILINE) == SHIPPED
    assert result["report"].startswith("# 5 documents in .\n")


def test_the_index_leads_from_a_term_to_its_documents():
    index = document_pipeline.graph.invoke({"folder": "."})["index"]

    assert index["hotel"] == ["travel-policy.txt"]
    assert index["queue"] == ["incident-2025-03.txt"]
    assert list(index) == sorted(index)


def test_sentences_and_words_are_counted(root):
    (root / "a.txt").write_text("A title\n\nThe cat sat. The cat ran home!\nDid the dog sleep?\n")

    (entry,) = document_pipeline.graph.invoke({"folder": "."})["entries"]

    assert entry["title"] == "A title"
    assert entry["sentences"] == 3
    assert entry["words"] == 7
    assert entry["terms"] == ["cat", "dog", "home", "ran", "sat", "sleep"]


def test_the_report_is_written_once_although_the_branches_differ_in_length():
    steps = [name for part in document_pipeline.graph.stream({"folder": "."}) for name in part]

    assert steps.count("document") == len(SHIPPED)
    assert steps.count("report") == 1
    assert steps[-1] == "report"


def test_texts_stay_inside_the_subgraph():
    result = document_pipeline.graph.invoke({"folder": "."})

    assert set(result) == {"report", "index", "entries"}


def test_duplicates_are_found_though_their_line_breaks_differ(root):
    (root / "a.txt").write_text("Title\n\nOne two three four.")
    (root / "b.txt").write_text("Title\n\nOne two\nthree four.\n")
    (root / "c.txt").write_text("Title\n\nSomething else.")

    assert "Duplicates: a.txt, b.txt." in document_pipeline.graph.invoke({"folder": "."})["report"]


def test_a_folder_below_the_root_is_read(root):
    (root / "letters").mkdir()
    (root / "letters" / "a.txt").write_text("T\n\nDear Ada.")

    (entry,) = document_pipeline.graph.invoke({"folder": "letters"})["entries"]

    assert entry["path"] == "letters/a.txt"


def test_an_empty_folder_gives_an_empty_report(root):
    assert (
        document_pipeline.graph.invoke({"folder": "."})["report"]
        == "# 0 documents in .\n\n0 meaningful words in 0 sentences.\n"
    )


def test_an_empty_document_has_an_entry(root):
    (root / "a.txt").write_text("")

    (entry,) = document_pipeline.graph.invoke({"folder": "."})["entries"]

    assert (entry["title"], entry["sentences"], entry["summary"]) == ("(empty)", 0, "")


@pytest.mark.parametrize("folder", ["..", "/etc", "a/../../b"])
def test_a_folder_outside_the_root_is_refused(root, folder):
    with pytest.raises(ValueError, match="leads out of the document root"):
        document_pipeline.graph.invoke({"folder": folder})


def test_a_link_that_leads_outside_is_refused(root, tmp_path_factory):
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.txt"
    secret.write_text("secret")
    (root / "a.txt").symlink_to(secret)

    with pytest.raises(ValueError, match="leads out of the document root"):
        document_pipeline.graph.invoke({"folder": "."})


def test_a_folder_that_is_not_there_is_named(root):
    with pytest.raises(ValueError, match="found no folder 'nowhere'"):
        document_pipeline.graph.invoke({"folder": "nowhere"})


def test_a_document_too_large_is_refused_before_it_is_read(root):
    (root / "a.txt").write_bytes(b"x" * (document_pipeline.LARGEST + 1))

    with pytest.raises(ValueError, match="expected at most 1000000; split the document"):
        document_pipeline.graph.invoke({"folder": "."})


def test_bytes_that_are_not_utf8_are_named(root):
    (root / "a.txt").write_bytes(b"caf\xe9")

    with pytest.raises(ValueError, match=r"a\.txt: found bytes that are not UTF-8 at 3"):
        document_pipeline.graph.invoke({"folder": "."})
