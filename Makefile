# `make demo` walks the whole loop on real data, `make test` runs every test. Both set up what they need.
.PHONY: demo test test-crash tools

demo: tools
	cargo build --release
	target/release/lathe demo

test: tools
	python3 scripts/test.py

# The marathon of the crash tests: a server on each database, killed under load two hundred times (about ten minutes).
test-crash: tools
	cargo build --bin lathe
	target/py/bin/python -m pytest tests/python/test_crash.py -k torn --crash-rounds 200

tools:
	@sh scripts/check-tools.sh
