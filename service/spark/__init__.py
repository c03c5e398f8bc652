"""Audits of an archive on Apache Spark (extra `spark`)."""
