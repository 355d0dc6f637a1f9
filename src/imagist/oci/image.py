"""Layer, Image and Index: three read-only protocols that every medium and builder speaks.

Everything is a source of these (layout, archive, store, build, empty, random), a sink for them
(layout, archive, store) or a function from one to another (mutate, validate, compare).
`raw_manifest` and `raw_config` are the truth: a digest is over bytes that are held. A source
implements the few members of a protocol; `derive` gives the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, Final, Protocol, runtime_checkable

from imagist.oci.manifest import Descriptor

HARD_LIMIT: Final = 127
"""Layers of one image that Docker's overlay driver can mount."""


@runtime_checkable
class Layer(Protocol):
    """One file system change set (layer.md)."""

    @property
    def digest(self) -> str:
        """Digest of the blob as it is stored and moved."""
        ...

    @property
    def diff_id(self) -> str:
        """Digest of the uncompressed tar."""
        ...

    @property
    def size(self) -> int:
        """Bytes of the blob."""
        ...

    @property
    def media_type(self) -> str:
        """Media type of the blob."""
        ...

    def compressed(self) -> BinaryIO:
        """Open the blob; the caller closes it."""
        ...


@runtime_checkable
class Image(Protocol):
    """One image for one platform."""

    @property
    def media_type(self) -> str:
        """Media type of the manifest."""
        ...

    @property
    def raw_manifest(self) -> bytes:
        """The manifest's bytes."""
        ...

    @property
    def raw_config(self) -> bytes:
        """The configuration's bytes."""
        ...

    @property
    def layers(self) -> Sequence[Layer]:
        """The layers, base first."""
        ...


@runtime_checkable
class Index(Protocol):
    """A list of images, usually one for each platform."""

    @property
    def media_type(self) -> str:
        """Media type of the index."""
        ...

    @property
    def raw_manifest(self) -> bytes:
        """The index's bytes."""
        ...

    def child(self, descriptor: Descriptor) -> Image | Index:
        """The image or index that one of the descriptors names.

        Raises:
            NotFound: this medium does not hold it.
        """
        ...
