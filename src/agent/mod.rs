//! The process on the target: reads requests, runs modules, answers.
