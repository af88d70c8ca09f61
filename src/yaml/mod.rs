//! YAML with places: parsing (PyYAML's YAML 1.1 reading, anchors, merge keys, `!vault`, `!unsafe`)
//! into [`Node`]s, and writing values in PyYAML's layout.

mod node;

pub use node::{Node, NodeKind};
