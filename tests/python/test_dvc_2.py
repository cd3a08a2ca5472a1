"""What DVC 2 left, caches and files, as DVC 3 takes it."""

import hashlib
import json
import shutil

from conftest import lathe
from test_dvc_data import apart, both, commit, dvc, same, state, twins, write  # noqa: F401  (fixtures too)


def test_caches_and_files_of_dvc_2_are_read(twins):
    ours, theirs = twins
    text = b"a\r\nb\r\n"
    md5 = hashlib.md5(text.replace(b"\r\n", b"\n")).hexdigest()
    binary = b"\0\r\n"
    binary_md5 = hashlib.md5(binary).hexdigest()
    listing = json.dumps([{"md5": md5, "relpath": "a.txt"}, {"md5": binary_md5, "relpath": "b.bin"}]).encode()
    folder_md5 = hashlib.md5(listing).hexdigest() + ".dir"
    objects = {md5: text, binary_md5: binary, folder_md5: listing}
    write(twins, {f".dvc/cache/{name[:2]}/{name[2:]}": content for name, content in objects.items()})
    for folder in twins:
        for name in objects:
            (folder / f".dvc/cache/{name[:2]}/{name[2:]}").chmod(0o444)
    write(
        twins,
        {
            "t.txt.dvc": f"outs:\n- md5: {md5}\n  size: {len(text)}\n  path: t.txt\n",
            "d.dvc": f"outs:\n- md5: {folder_md5}\n  size: 9\n  nfiles: 2\n  path: d\n",
        },
    )
    both(twins, "checkout")
    same(twins)
    assert (ours / "d/a.txt").read_bytes() == text
    assert json.loads(lathe("status", "--json", cwd=ours).stdout)["data"] == {}
    write(twins, {"d/c": "new"})
    both(twins, "commit", "-f", "d.dvc")
    # DVC also leaves the changed folder's list in the old layout, where nothing names it.
    (extra,) = set(state(theirs)) - set(state(ours))
    assert extra.endswith(".dir") and "files/md5" not in extra
    (theirs / extra).unlink()
    same(twins)
    assert "hash: md5" in (ours / "d.dvc").read_text() and "hash: md5" not in (ours / "t.txt.dvc").read_text()


def test_what_dvc_2_left_is_brought_to_where_dvc_3_looks(twins):
    ours, theirs = twins
    texts = {f"{i}": f"line {i}\r\n".encode() * (i + 1) for i in range(40)} | {"plain": b"a\n", "none": b""}
    md5s = {name: hashlib.md5(text.replace(b"\r\n", b"\n")).hexdigest() for name, text in texts.items()}
    listing = json.dumps([{"md5": md5s[name], "relpath": name} for name in sorted(texts)]).encode()
    folder_md5 = hashlib.md5(listing).hexdigest() + ".dir"
    objects = {md5s[name]: text for name, text in texts.items()} | {folder_md5: listing}
    write(twins, {f".dvc/cache/{name[:2]}/{name[2:]}": content for name, content in objects.items()})
    for folder in twins:
        for name in objects:
            (folder / f".dvc/cache/{name[:2]}/{name[2:]}").chmod(0o444)
    write(twins, {"d.dvc": f"# mine\nouts:\n- md5: {folder_md5}\n  size: 9\n  nfiles: 2\n  path: d\n"})
    write(twins, {"t.dvc": f"outs:\n- md5: {md5s['3']}\n  size: 9\n  path: t\n", "n": "new\n"})
    both(twins, "add", "n")
    before = state(ours)
    dry = json.loads(lathe("cache", "migrate", "--dry", "--dvc-files", "--json", cwd=ours, code=1).stdout or "{}")
    assert dry == {} and state(ours) == before
    both(twins, "checkout")
    dry = json.loads(lathe("cache", "migrate", "--dry", "--dvc-files", "--json", cwd=ours).stdout)
    assert dry == {"objects": len(objects), "files": ["d.dvc", "t.dvc"], "dry": True}
    both(twins, "cache", "migrate")
    modes = lambda folder: {name: mode for name, (_, mode) in state(folder).items() if "cache/files" in name}
    assert modes(ours) == modes(theirs)
    # Linked, not copied: nothing became larger.
    object_at = lambda folder, md5: next((folder / ".dvc/cache/files/md5").glob(f"{md5[:2]}/{md5[2:]}"))
    moved = object_at(ours, hashlib.md5(texts["3"]).hexdigest())
    assert moved.samefile(ours / f".dvc/cache/{md5s['3'][:2]}/{md5s['3'][2:]}")
    assert lathe("cache", "migrate", "--json", cwd=ours).stdout.count('"objects": 0') == 1
    both(twins, "cache", "migrate", "--dvc-files")
    same(twins)
    assert "hash: md5" in (ours / "d.dvc").read_text() and "# mine" in (ours / "d.dvc").read_text()
    shutil.rmtree(ours / "d")
    lathe("checkout", cwd=ours)
    assert (ours / "d/3").read_bytes() == texts["3"]
    ours_dir, theirs_dir = both(twins, "cache", "dir")
    assert ours_dir.replace("/ours/", "/theirs/") == theirs_dir
    both(twins, "cache", "dir", "../elsewhere")
    both(twins, "cache", "dir", "--local", "../near")
    same(twins)
    both(twins, "cache", "dir", "--unset")
    same(twins)
