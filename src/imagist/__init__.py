"""Images as Code: OCI images from declarations, without RUN, daemon or root."""

__version__ = "0.1.0"
