//! Lookups: what `lookup()`, `query()` and `with_<name>` read on the controller.
