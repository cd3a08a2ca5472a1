# `make demo` walks the whole loop on real data, `make test` runs every test. Both set up what they need.
# `make test-s3` runs the longer tests of artifacts against Ceph's gateway, or the S3 server that LATHE_TEST_S3_URL names.
.PHONY: demo test test-s3 test-crash test-crash-data tools fuzz

demo: tools
	cargo build --release
	target/release/lathe demo

test: tools
	python3 scripts/test.py

test-s3: tools
	python3 scripts/test-s3.py
# The marathon of the crash tests: a server on each database, killed under load two hundred times (about ten minutes).
test-crash: tools
	cargo build --bin lathe
	target/py/bin/python -m pytest tests/python/test_crash.py -k torn --crash-rounds 200

# The same for data and pipelines: commands killed at three hundred random moments (about ten minutes).
test-crash-data: tools
	cargo build --bin lathe
	target/py/bin/python bench/data/crash.py --rounds 300

tools:
	@sh scripts/check-tools.sh

# Ten minutes of random texts for every parser that clients or repositories reach, and of damaged files for every reader of models; needs `cargo install cargo-fuzz` and a C++ compiler.
# Nothing here is unsafe, so no sanitizer is needed, and the stable compiler will do.
FUZZ_SECONDS ?= 600
fuzz:
	cd fuzz && for target in filters bodies artifact_paths yaml pipelines tensors mlmodel skops models; do \
		mkdir -p corpus/$$target && RUSTC_BOOTSTRAP=1 cargo fuzz run -s none $$target corpus/$$target seeds/$$target \
			-- -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 || exit 1; done
