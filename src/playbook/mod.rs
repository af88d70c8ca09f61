//! Plays, blocks, tasks and roles: from nodes to typed values. Every keyword is checked here, static
//! imports are expanded, and what a task inherits is in place; only templates wait for the run.

mod apply;
mod argspec;
mod block;
mod keywords;
mod kv;
mod library;
mod loader;
mod play;
mod redirects;
mod reserved;
mod role;
mod routing;
mod structure;
mod task;
mod types;

pub use apply::apply_to;
pub use argspec::spec_of;
pub use block::nearest;
pub use keywords::{Inherit, Keywords, cannot_convert, is_identifier};
pub use kv::{RAW_PARAM, parse_kv, split_args};
pub use library::{Library, LibraryOptions, ModuleFile, Resolved};
pub use loader::{
    Loader, LoaderOptions, Place, PlayScope, StaticRender, include_candidates, include_dir, refuse_directory,
};
pub use play::{load_node, load_playbook};
pub use reserved::{reserved_among, reserved_in};
pub use role::{clean, load_for_task};
pub use task::{free_form, short_name};
pub use types::{ArgumentSpec, Block, Item, Loop, LoopControl, Play, Playbook, Prompt, Role, Task};
