# Shortcuts; CI runs `scripts/test`, and nothing here is needed for that.

# List the recipes.
default:
    @just --list --unsorted

# Formatting, lints, documentation and all tests; arguments go to `cargo test`.
test *arguments:
    scripts/test {{ arguments }}

# The page in a real Chromium; its pictures are in target/browser/pictures.
test-browser:
    scripts/test --browser-only

# The whole thing at work on this machine; arguments go to the demo.
demo *arguments:
    scripts/demo {{ arguments }}

# Live through the chaos of many seeds; arguments go to dispatch-sim.
hunt *arguments="--seeds 0..2000 --jobs 2":
    cargo run --profile hunt -p dispatch-sim -- {{ arguments }}

# Correct the formatting.
fmt:
    cargo fmt --all

# Clippy over everything, warnings as errors.
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# The crates' documentation, in target/doc.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --workspace

# Dependencies, licences and advisories (needs cargo-deny: cargo install cargo-deny).
deny:
    cargo deny --locked check

# All tests, those too that take too long for CI.
test-long:
    scripts/test --long

# The Debian package; arguments go to scripts/package.
package *arguments:
    scripts/package {{ arguments }}

# The container image (needs docker or another builder with its command line).
image builder="docker":
    {{ builder }} build --build-arg DISPATCH_VERSION="$(cargo run --locked --quiet -- version | cut -d' ' -f2)" -t arvados-dispatch-cloud .
