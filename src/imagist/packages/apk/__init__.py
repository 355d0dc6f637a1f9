"""Alpine and Wolfi packages: APK v2 files, APKINDEX, versions, dependencies, solving."""
