# The front door: `just` lists what there is.

default:
    @just --list --unsorted

# Run the demo: a small repository of its own, four tickets, a stand-in agent
demo:
    cargo run --release -- demo

# All that must hold before a change lands
check:
    bash .ci/run

# Format the code
fmt:
    cargo fmt --all

# Lints, with warnings denied
lint:
    cargo clippy --locked --all-targets -- --deny warnings

# The tests
test *ARGS:
    cargo test --locked {{ARGS}}

# The rows of docs/RELIABILITY.md, as often and as large as they can be (takes long)
rows-in-full:
    RALPH_TEST_IN_FULL=1 cargo test --locked -- row

# Kill every command at every point that it passes, and then the recovery at each of its own (takes hours)
crash-pairs:
    RALPH_TEST_IN_FULL=1 cargo test --locked --test integration -- --include-ignored --nocapture crash_everywhere

# 2,000 sessions of agents that do anything, supervisors and the batch killed at random (RALPH_SOAK_SESSIONS, RALPH_SOAK_SEED)
soak:
    cargo test --locked --test integration -- --ignored --nocapture soak::

# The real pi, for the tests that drive it
real-pi:
    npm ci --prefix tests/real_pi --ignore-scripts --no-audit --no-fund

# Every fuzz target for so many seconds (needs cargo-fuzz); `fuzz/run` has more
fuzz SECONDS="600":
    fuzz/run {{SECONDS}}

# The model against the real thing: so many random sequences (an ordinary test run tries 12)
model CASES="500":
    PROPTEST_CASES={{CASES}} cargo test --locked --test integration model::

# The documentation of the library, with warnings denied
doc:
    RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps

# Licences and advisories of what ralph is built from (needs cargo-deny)
deny:
    cargo deny check

# What dispatching, supervising and looking cost, in ratios
bench:
    cargo bench --bench session -- --write

# What many tickets cost, against a shell loop and the ideal schedule
bench-batch:
    cargo bench --bench batch -- --write

# What a worktree costs, against git, libgit2 and cp, up to 80,000 files (needs some 15 GB in memory)
bench-worktree:
    cargo bench --bench worktree -- --write

# Write the JSON Schemas that are checked in
schema:
    RALPH_TEST_WRITE_SCHEMAS=1 cargo test --locked --test integration schema::the_schema_of

# Draw the terminal picture of the README
picture:
    bash docs/demo-picture.sh
