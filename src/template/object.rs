//! Maps, lists and scopes as template objects: members are converted or rendered when touched.

use super::convert::{carry, key_from_mj, key_to_mj, to_mj, undefined};
use super::engine::Inner;
use super::scope::Scope;
use super::{Var, Vars, omit};
use crate::diag::Error;
use crate::value::{Map, Value};
use indexmap::IndexMap;
use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Mj};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, RwLock};

/// The engine and the scope that a lazy member is rendered with.
#[derive(Clone)]
pub(super) struct Renderer {
    pub engine: Arc<Inner>,
    pub scope: Scope,
}

thread_local! {
    /// Set when a template changed a list or dict that came from its variables.
    static CHANGED: Cell<bool> = const { Cell::new(false) };
    /// The variables that are being rendered on this thread, outermost first.
    static RENDERING: RefCell<Vec<(usize, Arc<str>)>> = const { RefCell::new(Vec::new()) };
}

/// True once after a template changed a list or dict in place.
pub(super) fn take_changed() -> bool {
    CHANGED.with(|c| c.replace(false))
}

type Lazy = (Renderer, Mutex<HashMap<usize, Mj>>);

fn member(lazy: Option<&Lazy>, index: usize, v: &Value) -> Mj {
    let Some((r, cache)) = lazy else { return to_mj(v) };
    if let Some(hit) = cache.lock().unwrap_or_else(|e| e.into_inner()).get(&index) {
        return hit.clone();
    }
    match r.engine.lazy_value(v, r) {
        Ok(mj) => {
            cache.lock().unwrap_or_else(|e| e.into_inner()).insert(index, mj.clone());
            mj
        }
        Err(e) => Mj::from(carry(e)),
    }
}

/// A mapping. With a renderer, members that are templates are rendered on first touch and kept.
/// A template that changes it in place gives it members of its own.
pub struct MapObj {
    map: Arc<Map>,
    lazy: Option<Lazy>,
    own: RwLock<Option<IndexMap<Mj, Mj>>>,
}

impl fmt::Debug for MapObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MapObj")
    }
}

impl MapObj {
    /// A mapping with nothing to render in it.
    pub fn plain(map: Arc<Map>) -> MapObj {
        MapObj { map, lazy: None, own: RwLock::new(None) }
    }
    pub(super) fn lazy(map: Arc<Map>, r: Renderer) -> MapObj {
        MapObj { map, lazy: Some((r, Mutex::default())), own: RwLock::new(None) }
    }
    /// A mapping that a template built.
    pub(super) fn owned(members: IndexMap<Mj, Mj>) -> MapObj {
        MapObj { map: Arc::default(), lazy: None, own: RwLock::new(Some(members)) }
    }
    /// The map itself, if nothing in it has to be rendered or was changed.
    pub fn as_plain(&self) -> Option<&Arc<Map>> {
        (self.lazy.is_none() && self.read(|o| o.is_none())).then_some(&self.map)
    }
    fn read<T>(&self, f: impl FnOnce(&Option<IndexMap<Mj, Mj>>) -> T) -> T {
        f(&self.own.read().unwrap_or_else(|e| e.into_inner()))
    }
    fn all(&self) -> IndexMap<Mj, Mj> {
        self.map.iter().enumerate().map(|(i, (k, v))| (key_to_mj(k), member(self.lazy.as_ref(), i, v))).collect()
    }
    /// Changes the mapping in place.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut IndexMap<Mj, Mj>) -> T) -> T {
        let all = if self.read(|o| o.is_none()) { Some(self.all()) } else { None };
        let mut own = self.own.write().unwrap_or_else(|e| e.into_inner());
        if all.is_some() {
            CHANGED.with(|c| c.set(true));
        }
        f(own.get_or_insert_with(|| all.unwrap_or_default()))
    }
}

impl Object for MapObj {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        if let Some(found) = self.read(|o| o.as_ref().map(|o| o.get(key).cloned())) {
            return found;
        }
        let (i, _, v) = match key.as_str() {
            Some(s) => self.map.get_full(s)?,
            None => self.map.get_full(&key_from_mj(key).ok()?)?,
        };
        Some(member(self.lazy.as_ref(), i, v))
    }
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        if let Some(found) = self.read(|o| o.as_ref().map(|o| o.get(&Mj::from(key)).cloned())) {
            return found;
        }
        let (i, _, v) = self.map.get_full(key)?;
        Some(member(self.lazy.as_ref(), i, v))
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if let Some(keys) = self.read(|o| o.as_ref().map(|o| o.keys().cloned().collect())) {
            return Enumerator::Values(keys);
        }
        Enumerator::Values(self.map.keys().map(key_to_mj).collect())
    }
    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(self.read(|o| o.as_ref().map(IndexMap::len)).unwrap_or(self.map.len()))
    }
}

/// A list; like [`MapObj`].
pub struct ListObj {
    list: Arc<Vec<Value>>,
    lazy: Option<Lazy>,
    own: RwLock<Option<Vec<Mj>>>,
}

impl fmt::Debug for ListObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListObj")
    }
}

impl ListObj {
    /// A list with nothing to render in it.
    pub fn plain(list: Arc<Vec<Value>>) -> ListObj {
        ListObj { list, lazy: None, own: RwLock::new(None) }
    }
    pub(super) fn lazy(list: Arc<Vec<Value>>, r: Renderer) -> ListObj {
        ListObj { list, lazy: Some((r, Mutex::default())), own: RwLock::new(None) }
    }
    /// A list that a template built.
    pub(super) fn owned(members: Vec<Mj>) -> ListObj {
        ListObj { list: Arc::default(), lazy: None, own: RwLock::new(Some(members)) }
    }
    /// The list itself, if nothing in it has to be rendered or was changed.
    pub fn as_plain(&self) -> Option<&Arc<Vec<Value>>> {
        (self.lazy.is_none() && self.read(|o| o.is_none())).then_some(&self.list)
    }
    fn read<T>(&self, f: impl FnOnce(&Option<Vec<Mj>>) -> T) -> T {
        f(&self.own.read().unwrap_or_else(|e| e.into_inner()))
    }
    /// Changes the list in place.
    pub(super) fn change<T>(&self, f: impl FnOnce(&mut Vec<Mj>) -> T) -> T {
        let all = self
            .read(|o| o.is_none())
            .then(|| self.list.iter().enumerate().map(|(i, v)| member(self.lazy.as_ref(), i, v)).collect());
        let mut own = self.own.write().unwrap_or_else(|e| e.into_inner());
        if all.is_some() {
            CHANGED.with(|c| c.set(true));
        }
        f(own.get_or_insert_with(|| all.unwrap_or_default()))
    }
}

impl Object for ListObj {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        let i = key.as_usize()?;
        if let Some(found) = self.read(|o| o.as_ref().map(|o| o.get(i).cloned())) {
            return found;
        }
        Some(member(self.lazy.as_ref(), i, self.list.get(i)?))
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.read(|o| o.as_ref().map(Vec::len)).unwrap_or(self.list.len()))
    }
}

/// A scope as a mapping: the root of every template, `vars`, `hostvars`, `hostvars[host]`.
pub(super) struct ScopeObj {
    pub r: Renderer,
    /// The root of a template, where a missing name is an error and not just a missing key.
    pub root: bool,
}

impl fmt::Debug for ScopeObj {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScopeObj")
    }
}

/// How deep variables may lead to one another.
const MAX_DEPTH: usize = 48;

impl ScopeObj {
    fn vars(&self) -> &Arc<dyn Vars> {
        &self.r.scope.vars
    }

    fn find(&self, key: &str) -> Result<Option<Mj>, Error> {
        let r = &self.r;
        if let Some(hit) = r.scope.cache.lock().unwrap_or_else(|e| e.into_inner()).get(key) {
            return Ok(Some(hit.clone()));
        }
        let made = match self.vars().get(key)? {
            None => return Ok(None),
            Some(Var::Scope(vars)) => Mj::from_object(ScopeObj {
                r: Renderer { engine: r.engine.clone(), scope: r.scope.over(vars) },
                root: false,
            }),
            Some(Var::Raw(v)) if v.needs_render() => {
                let _guard = Guard::enter(self.vars(), key)?;
                r.engine.lazy_value(&v, r)?
            }
            Some(Var::Raw(v)) => to_mj(&v),
        };
        r.scope.cache.lock().unwrap_or_else(|e| e.into_inner()).insert(key.into(), made.clone());
        Ok(Some(made))
    }
}

/// Marks a variable as being rendered, for as long as it lives.
struct Guard;

impl Guard {
    fn enter(vars: &Arc<dyn Vars>, name: &str) -> Result<Guard, Error> {
        let id = Arc::as_ptr(vars).cast::<()>() as usize;
        RENDERING.with(|stack| {
            let mut stack = stack.borrow_mut();
            if let Some(at) = stack.iter().position(|(v, n)| *v == id && **n == *name) {
                let mut chain: Vec<&str> = stack.iter().skip(at).map(|(_, n)| &**n).collect();
                chain.push(name);
                return Err(Error::template(format!("Recursive loop detected in template: {}", chain.join(" -> ")))
                    .help("break the loop: one of these variables must not refer to the others"));
            }
            if stack.len() >= MAX_DEPTH {
                return Err(Error::template("Recursive loop detected in template: maximum recursion depth exceeded"));
            }
            stack.push((id, name.into()));
            Ok(Guard)
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        RENDERING.with(|stack| stack.borrow_mut().pop());
    }
}

impl Object for ScopeObj {
    fn get_value(self: &Arc<Self>, key: &Mj) -> Option<Mj> {
        self.get_value_by_str(key.as_str()?)
    }
    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Mj> {
        if let Some(own) = key.strip_prefix("__d_") {
            return (own == "scope" && self.root).then(|| Mj::from_dyn_object(self.clone()));
        }
        match self.find(key) {
            Ok(Some(v)) => Some(v),
            Err(e) => Some(Mj::from(carry(e))),
            Ok(None) if !self.root || self.r.engine.known.globals.contains(key) => None,
            Ok(None) if key == "omit" => Some(to_mj(&omit())),
            Ok(None) => Some(Mj::from(undefined(format!("'{key}' is undefined")))),
        }
    }
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.vars().names().into_iter().map(Mj::from).collect())
    }
}
