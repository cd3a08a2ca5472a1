# `make demo` walks the whole loop on real data, `make test` runs every test. Both set up what they need.
.PHONY: demo test tools

demo: tools
	cargo build --release
	target/release/lathe demo

test: tools
	python3 scripts/test.py

tools:
	@sh scripts/check-tools.sh
