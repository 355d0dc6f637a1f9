"""Edits of finished images: functions from images and indexes to images and indexes."""
