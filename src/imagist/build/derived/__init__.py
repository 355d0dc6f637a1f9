"""What an image adds to its packages, derived from them without running anything.

Every function here is pure: it puts nodes of the image (owner `""`) into a tree, reads file
contents only through `Contents`, takes time as a parameter, and returns warnings.
"""
