"""Object stores, on a real server; needs the extra `s3` and SeaweedFS: `make test-s3`."""
