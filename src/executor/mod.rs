//! Runs plays: cursors, strategies, loops, results, handlers; emits events.
