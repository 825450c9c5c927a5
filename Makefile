# What a developer or operator types. Everything uses the one release profile, so that Bevy is built once.
# `make demo ARGS="--seconds 60"` passes options to the demo; CARGO_TARGET_DIR moves the build elsewhere.

CARGO ?= cargo
ARGS ?=
# Tests open windows, sockets and codecs: more at once than there are cores only makes them wait for each other.
TEST_THREADS ?= 2

.PHONY: demo test bench measure fuzz lint deb install-packages help

help:
	@echo "make demo              build, then run two portals beside each other (ARGS=... goes to the demo)"
	@echo "make test              all tests"
	@echo "make lint              formatting, clippy and documentation, without warnings"
	@echo "make bench             benchmarks of each stage"
	@echo "make measure           the figures of docs/measurements.md (ARGS=... names some of them)"
	@echo "make fuzz              what strangers may send, for a minute per kind (ARGS=240 for four); needs nightly Rust"
	@echo "make deb               the package for Debian, Ubuntu and Raspberry Pi OS, in target/debian/"
	@echo "make install-packages  Debian packages for building and running, where missing"

install-packages:
	@tests/install-packages

demo: install-packages
	$(CARGO) run --release --bin screen-portal -- demo $(ARGS)

test: install-packages
	$(CARGO) test --release --lib --bins --tests --examples -- --test-threads $(TEST_THREADS)
	$(CARGO) test --release --doc

bench: install-packages
	$(CARGO) bench $(ARGS)

measure: install-packages
	$(CARGO) build --release
	tests/measure/run $(ARGS)

fuzz: install-packages
	fuzz/run $(ARGS)

lint: install-packages
	$(CARGO) fmt --check
	$(CARGO) clippy --release --all-targets -- -D warnings
	$(CARGO) clippy --release --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS=-Dwarnings $(CARGO) doc --no-deps --release

deb: install-packages
	@command -v cargo-deb >/dev/null || $(CARGO) install --locked cargo-deb || { echo "make deb: cargo-deb is missing: cargo install cargo-deb" >&2; exit 1; }
	$(CARGO) build --release
	rm -rf target/package
	$(CARGO) run --release --example package_files -- target/package
	$(CARGO) deb --no-build --output target/debian/
	@! command -v lintian >/dev/null || lintian --allow-root --fail-on error,warning target/debian/screen-portal_*.deb
