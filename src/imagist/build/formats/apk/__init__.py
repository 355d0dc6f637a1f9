"""APK packages."""
