//! Pipelines in DVC's formats: parse `dvc.yaml`, plan what must execute and why, execute it, write `dvc.lock`.
//! Deciding is pure ([`plan`]); hashing and the cache belong to `lathe-data`, recording runs to the caller.
