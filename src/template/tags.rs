//! What a text brings along through templates: its trust, the place where it was written, and the
//! vault envelope that it was decrypted from.
//!
//! ansible-core tags string objects, and a template that only hands an object on (a lone variable,
//! a member, `default`, a loop) keeps its tags, while whatever makes a new string has none. Here the
//! object is the shared allocation of the text: [`super::convert::to_mj`] passes it on without a
//! copy, and a text that a template computes is an allocation of its own.

use crate::diag::Span;
use crate::value::{Str, Trust, VaultText};
use minijinja::value::Value as Mj;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Weak};

/// What is known of one text.
#[derive(Clone, Debug, Default)]
pub struct Tag {
    /// It stands in a trusted source (a playbook, role, inventory or vars file).
    pub trusted: bool,
    pub origin: Option<Span>,
    /// The envelope that it was decrypted from.
    pub vault: Option<Arc<VaultText>>,
}

/// Tagged texts by the address of their allocation. A weak reference keeps the address from being
/// used again while the entry stands.
#[derive(Default)]
struct Shard {
    known: HashMap<usize, (Weak<str>, Tag)>,
    /// The size at which entries of texts that are gone are thrown out.
    limit: usize,
}

const SHARDS: usize = 16;
static TAGS: LazyLock<[Mutex<Shard>; SHARDS]> = LazyLock::new(Default::default);

fn address(text: &Arc<str>) -> usize {
    Arc::as_ptr(text).cast::<u8>() as usize
}

fn shard(at: usize) -> Option<MutexGuard<'static, Shard>> {
    TAGS.get((at >> 4) % SHARDS).map(|s| s.lock().unwrap_or_else(|e| e.into_inner()))
}

/// Tags a text.
pub fn put(text: &Arc<str>, tag: Tag) {
    let at = address(text);
    let Some(mut shard) = shard(at) else { return };
    if shard.known.len() >= shard.limit {
        shard.known.retain(|_, (text, _)| text.strong_count() > 0);
        shard.limit = (shard.known.len() * 2).max(1024);
    }
    shard.known.insert(at, (Arc::downgrade(text), tag));
}

/// The tags of a text, if it has any.
pub fn get(text: &Arc<str>) -> Option<Tag> {
    let at = address(text);
    shard(at)?.known.get(&at).map(|(_, tag)| tag.clone())
}

/// The tags of a template's value.
pub fn of(v: &Mj) -> Option<Tag> {
    v.to_str().as_ref().and_then(get)
}

/// A text as the engine's value, tagged if it is trusted or known to stand somewhere.
pub fn enter(s: &Str) -> Mj {
    let trusted = s.trust != Trust::Plain;
    if (trusted || s.origin.is_some()) && get(&s.text).is_none() {
        put(&s.text, Tag { trusted, origin: s.origin, vault: None });
    }
    Mj::from(s.text.clone())
}

/// The text of a decrypted value as the engine's value, tagged with its envelope.
pub fn decrypted(text: &Arc<str>, vault: &Arc<VaultText>) -> Mj {
    put(text, Tag { trusted: true, origin: vault.origin, vault: Some(vault.clone()) });
    Mj::from(text.clone())
}

/// The envelope itself as the engine's value.
pub fn text_of(vault: &Arc<VaultText>) -> Mj {
    put(&vault.envelope, Tag { trusted: true, origin: vault.origin, vault: Some(vault.clone()) });
    Mj::from(vault.envelope.clone())
}

/// The engine's text as one of ours: trusted only if it is, unchanged, a text of a trusted source
/// with nothing to render in it.
pub fn leave(text: Arc<str>) -> Str {
    match get(&text) {
        Some(tag) if tag.trusted && tag.vault.is_none() => {
            let kept = Str::trusted(text, tag.origin);
            if kept.is_template() { Str::plain(kept.text) } else { kept }
        }
        Some(tag) => Str { text, trust: Trust::Plain, origin: tag.origin },
        None => Str::plain(text),
    }
}
