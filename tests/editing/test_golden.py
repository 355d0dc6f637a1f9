"""The bytes that edits make, pinned: who changes them changes the digests of everybody's images."""

from __future__ import annotations

from editing.bench import Bench, images
from imagist.editing import base, flatten
from imagist.oci import derive


def test_edits_give_the_digests_that_they_gave(bench: Bench) -> None:
    bench.file("app/run", "#!/bin/sh\n", mode=0o755)
    bench.file("app/etc/conf", "a = 1\n")
    (bench.folder / "app" / "link").symlink_to("etc/conf")
    platforms = ("--platform", "amd64,arm64")
    bench.write(bench.edit("append", "-f", "app/run:/bin/base", *platforms), "zero")
    bench.write(bench.edit("append", "-f", "app/run:/bin/newer", *platforms), "new")
    one = bench.edit("append", "zero", "-f", "app:/srv/app", "--owner", "7:8")
    two = bench.edit("mutate", bench.write(one, "one"), "-l", "a=<b>", "-e", "X=1", "-a", "n=m")
    three = bench.edit("flatten", bench.write(two, "two"))
    four = bench.edit("rebase", "two", "--old_base", "zero", "--new_base", "new")
    assert {
        "layer": images(one)[0].layers[-1].digest,
        "append": derive.digest(one),
        "mutate": derive.digest(two),
        "flat layer": images(three)[0].layers[0].digest,
        "flatten": derive.digest(three),
        "rebase": derive.digest(four),
        # With other bytes what is remembered must have another key.
        "formats": (base.FORMAT, flatten.FORMAT),
    } == {
        "layer": "sha256:cd0ed09d56c4a66533cc7eb3b051f736194c6126ae17d2dee71d096e986958bc",
        "append": "sha256:eb0bae4a35d2eb57b831355349818013a50d652863afb5f3adc384f7ca830c2b",
        "mutate": "sha256:556f7bc40555536624f38d0536420f4e8d5d3ea9bd021afe91ec466f66f71d05",
        "flat layer": "sha256:7e2da71169a6087a13c9b1a9c59764c87aaef9ca6ac4d9e01ca8a40c6330d5ac",
        "flatten": "sha256:f4aa69a3b5694a805456fdfe8022fbfdb042a696a7818a703a02abd8a079fdbe",
        "rebase": "sha256:c8103eea0978801850b4a468d5b6253b5b0a8dac243108180eb0d91538e209d4",
        "formats": (1, 1),
    }
