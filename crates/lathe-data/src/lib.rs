//! Data versioning in DVC's formats: hashing, the cache, `.dvc` files, status and checkout. It does not parse
//! `dvc.yaml` (that is `lathe-pipeline`) and does not talk to remotes itself (that is `lathe-blob`).
