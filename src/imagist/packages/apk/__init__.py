"""Alpine and Wolfi packages: APK v2 files, APKINDEX repositories, versions, dependencies, solving."""
