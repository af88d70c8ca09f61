//! Plays, blocks, tasks and roles: from nodes to typed values, every keyword checked.
